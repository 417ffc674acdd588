"""Which pods shall not serve any longer: those too many, and those that are to be replaced.

The order within one workload is the one in which the cluster itself ends pods, so that what is
marked is what ends. No ready replica is chosen while no more than ``must_be_ready`` serve.
"""

from collections.abc import Sequence

from midstage.contracts.apps import AppSpec
from midstage.contracts.cluster import PodObserved
from midstage.deploy.decide.fleet import Crew, Fleet, serving, unschedulable
from midstage.deploy.decide.replace import order
from midstage.deploy.decide.rollout import is_held, is_tight
from midstage.deploy.decide.room import board_of
from midstage.deploy.decide.wanted import must_be_ready
from midstage.deploy.model import Room, Situation

Leaving = frozenset[str]
"""The uids of the pods that shall be marked as draining."""


def leaving(situation: Situation, spec: AppSpec, fleet: Fleet, count: int) -> Leaving:
    """Of ``fleet`` where ``count`` replicas are wanted."""
    if situation.state.is_paused and fleet.old:
        return _too_many(fleet, count + spec.rollout.surge)
    new = _first(in_order(fleet.new_pods), max(0, len(fleet.new_pods) - count))
    if is_held(situation.state.rollout, fleet):
        kept = previous(situation, fleet)
        rest = [pod for pod in fleet.old_pods if pod.workload != kept.workload.name]
        spare = serving(kept.pods) + sum(pod.ready for pod in rest) - must_be_ready(spec, count)
        too_many = _first(in_order(kept.pods), max(0, len(kept.pods) - count))
        return new | too_many | _spared(in_order(rest), len(rest), spare)
    return new | _replaced(situation, spec, fleet, count)


def previous(situation: Situation, fleet: Fleet) -> Crew:
    """The older crew that goes on serving while a rollout is held or paused."""
    rollout = situation.state.rollout
    named = rollout.started.previous if rollout else ""
    return max(fleet.old, key=lambda crew: (crew.workload.revision == named, serving(crew.pods)))


def in_order(pods: Sequence[PodObserved]) -> list[PodObserved]:
    """As a cluster ends them: on no node, not started, not ready, marked, youngest."""
    return sorted(pods, key=lambda pod: (*_rank(pod), -pod.created_at.timestamp(), pod.name))


def _rank(pod: PodObserved) -> tuple[bool, bool, bool, bool]:
    return bool(pod.node), pod.started_at is not None, pod.ready, not pod.draining


def _replaced(situation: Situation, spec: AppSpec, fleet: Fleet, count: int) -> Leaving:
    """Older replicas that new ones have replaced already, or that have to make room for them."""
    old, room = fleet.old_pods, situation.room
    if not old or room is None:
        return frozenset()
    ready = serving(fleet.new_pods)
    most = len(old) - max(0, count - ready)
    if is_tight(situation.state.rollout, spec, fleet):
        lacking = count - fleet.new_replicas + unschedulable(fleet.new_pods)
        most = max(most, min(len(old), lacking))
    spare = ready + sum(pod.ready for pod in old) - must_be_ready(spec, count)
    return _spared(_making_room(spec, count, fleet, room), most, spare)


def _making_room(spec: AppSpec, count: int, fleet: Fleet, room: Room) -> list[PodObserved]:
    """Older replicas in the order in which they make room; where there is enough, as always."""
    ordered = in_order(fleet.old_pods)
    board = board_of(spec, count, ordered, fleet.new_pods, room)
    if board.placed + board.slots >= count:
        return ordered
    found = order(board)
    if found is None:
        return ordered
    places = {old.uid: place for place, old in enumerate(found)}
    return sorted(ordered, key=lambda pod: (*_rank(pod), places[pod.uid]))


def _spared(ordered: Sequence[PodObserved], most: int, spare: int) -> Leaving:
    """At most ``most`` of them, in their order; of the ready ones at most ``spare``."""
    chosen: set[str] = set()
    for pod in ordered:
        if len(chosen) >= most:
            break
        if not pod.ready or spare > 0:
            spare -= pod.ready
            chosen.add(pod.uid)
    return frozenset(chosen)


def _too_many(fleet: Fleet, most: int) -> Leaving:
    """Those beyond ``most``, each time of the crew that has the most."""
    rest = [in_order(crew.pods) for crew in fleet.crews]
    chosen: set[str] = set()
    for _ in range(max(0, sum(len(pods) for pods in rest) - most)):
        chosen.add(max(rest, key=len).pop(0).uid)
    return frozenset(chosen)


def _first(pods: Sequence[PodObserved], most: int) -> Leaving:
    return frozenset(pod.uid for pod in pods[:most])
