"""In which order a cluster ends the pods of a workload, and who of them may go.

What is marked is what ends: so pods are chosen in the cluster's own order.
"""

from collections.abc import Sequence

from midstage.contracts.cluster import PodObserved

Leaving = frozenset[str]
"""The uids of the pods that shall be marked as draining."""


def in_order(pods: Sequence[PodObserved]) -> list[PodObserved]:
    """As a cluster ends them: on no node, not started, not ready, marked, youngest."""
    return sorted(pods, key=lambda pod: (*rank(pod), -pod.created_at.timestamp(), pod.name))


def rank(pod: PodObserved) -> tuple[bool, bool, bool, bool]:
    """Least first; of pods that are alike none is sure to go before another."""
    return bool(pod.node), pod.started_at is not None, pod.ready, not pod.draining


def spared(ordered: Sequence[PodObserved], most: int, spare: int) -> Leaving:
    """At most ``most`` of them, in their order; of the ready ones at most ``spare``."""
    chosen: set[str] = set()
    for pod in ordered:
        if len(chosen) >= most:
            break
        if not pod.ready or spare > 0:
            spare -= pod.ready
            chosen.add(pod.uid)
    return frozenset(chosen)


def first(pods: Sequence[PodObserved], most: int) -> Leaving:
    """The first of them."""
    return frozenset(pod.uid for pod in pods[:most])
