"""Whose room counts: pods of others that the scheduler would evict for a replica take none.

What a class of priority is worth is known from pods that have it; before there is one, everybody's
room counts. Where older replicas are worth less than the new ones the scheduler might evict them
too, drained or not: then new ones are made only where they find room, and nobody's is counted on.
"""

from collections.abc import Sequence

from midstage.contracts.apps import AppSpec
from midstage.contracts.cluster import PodObserved


def outranked(spec: AppSpec, own: Sequence[PodObserved], pods: Sequence[PodObserved]) -> bool:
    """Whether replicas of ``spec`` may be worth more to the scheduler than one of ``own``.

    What is not known is not said to be: a cluster without priorities has none that differ.
    """
    worth = _worth(spec, pods)
    if worth is None:
        classes = {pod.priority_class for pod in own if pod.priority is not None}
        return spec.priority is not None and bool(classes - {spec.priority})
    return any(pod.priority is not None and pod.priority < worth for pod in own)


def counting(
    spec: AppSpec, own: Sequence[PodObserved], pods: Sequence[PodObserved]
) -> list[PodObserved]:
    """Those of ``pods`` whose room a replica of ``spec`` can't have; ``own``: the application's."""
    worth = None if outranked(spec, own, pods) else _worth(spec, pods)
    if worth is None:
        return list(pods)
    ours = frozenset(pod.uid for pod in own)
    return [pod for pod in pods if pod.priority is None or pod.priority >= worth or pod.uid in ours]


def _worth(spec: AppSpec, pods: Sequence[PodObserved]) -> int | None:
    """The priority of its replicas, if the scheduler evicts others for them; None: not known."""
    wanted = spec.priority or ""
    alike = [pod for pod in pods if pod.priority is not None and pod.priority_class == wanted]
    newest = max(alike, key=lambda pod: (pod.created_at, pod.uid), default=None)
    return newest.priority if newest is not None and newest.preempts else None
