"""Replicas whose node is emptied: others come elsewhere first, then these drain and end.

So the count never dips below what is wanted; where there is no room elsewhere they stay, and the
one that waits for room says why. At most ``surge`` of a workload move at once, at least one.
"""

from collections.abc import Sequence

from midstage.contracts.apps import AppSpec
from midstage.contracts.cluster import PodObserved
from midstage.deploy.decide.fleet import Crew, is_unschedulable, serving
from midstage.deploy.decide.order import Leaving, first, in_order, spared
from midstage.deploy.model import Room


def moving(pods: Sequence[PodObserved], room: Room | None) -> Sequence[PodObserved]:
    """Those of ``pods`` that shall be elsewhere."""
    emptied = room.emptied if room is not None else frozenset[str]()
    return [pod for pod in pods if pod.node in emptied] if emptied else []


def meanwhile(crew: Crew | None, spec: AppSpec, room: Room | None) -> int:
    """How many replicas more there are until they have moved."""
    return min(len(moving(crew.pods, room)), max(1, spec.rollout.surge)) if crew else 0


def too_many(pods: Sequence[PodObserved], count: int, room: Room | None) -> Leaving:
    """Which of a workload's ``pods`` leave where ``count`` are wanted: those that move, as others
    serve in their place, and what is beyond the count anyway.

    Pods that find no room elsewhere leave too once one has moved for sure: the cluster would end
    them first.
    """
    goes = moving(pods, room)
    if not goes:
        return first(in_order(pods), max(0, len(pods) - count))
    away = {pod.uid for pod in goes}
    staying = [pod for pod in in_order(pods) if pod.uid not in away]
    surplus = staying[: max(0, len(staying) - count)]
    kept = staying[len(surplus) :]
    spare = serving(kept) + sum(pod.ready for pod in goes) - count
    most = max(0, len(pods) - len(surplus) - count)
    if spare > 0:
        stuck = [pod for pod in kept if is_unschedulable(pod)][: max(0, most - 1)]
        surplus, most = [*surplus, *stuck], most - len(stuck)
    return first(surplus, len(surplus)) | spared(in_order(goes), most, spare)
