"""Which pods shall not serve any longer: those too many, and those that are to be replaced.

The order within one workload is the one in which the cluster itself ends pods, so that what is
marked is what ends. No ready replica is chosen while no more than ``must_be_ready`` serve.
"""

from midstage.contracts.apps import AppSpec
from midstage.contracts.cluster import PodObserved
from midstage.deploy.decide.fleet import Crew, Fleet, serving, unschedulable
from midstage.deploy.decide.moving import too_many
from midstage.deploy.decide.order import Leaving, in_order, rank, spared
from midstage.deploy.decide.replace import order
from midstage.deploy.decide.rollout import is_held, is_tight
from midstage.deploy.decide.room import board_of
from midstage.deploy.decide.wanted import must_be_ready
from midstage.deploy.model import Room, Situation


def leaving(situation: Situation, spec: AppSpec, fleet: Fleet, count: int) -> Leaving:
    """Of ``fleet`` where ``count`` replicas are wanted."""
    if situation.state.is_paused and fleet.old:
        return _beyond(fleet, count + spec.rollout.surge)
    new = too_many(fleet.new_pods, count, situation.room)
    if is_held(situation.state.rollout, fleet):
        kept = previous(situation, fleet)
        rest = [pod for pod in fleet.old_pods if pod.workload != kept.workload.name]
        spare = serving(kept.pods) + sum(pod.ready for pod in rest) - must_be_ready(spec, count)
        return (
            new
            | too_many(kept.pods, count, situation.room)
            | spared(in_order(rest), len(rest), spare)
        )
    return new | _replaced(situation, spec, fleet, count)


def previous(situation: Situation, fleet: Fleet) -> Crew:
    """The older crew that goes on serving while a rollout is held or paused."""
    rollout = situation.state.rollout
    named = rollout.started.previous if rollout else ""
    return max(fleet.old, key=lambda crew: (crew.workload.revision == named, serving(crew.pods)))


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
    if sum(each.required for each in spec.spread) > 1:
        most = min(most, 1)  # who goes next depends on where the scheduler puts the one after it
    return spared(_making_room(spec, count, fleet, room), most, spare)


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
    return sorted(ordered, key=lambda pod: (*rank(pod), places[pod.uid]))


def _beyond(fleet: Fleet, most: int) -> Leaving:
    """Those beyond ``most``, each time of the crew that has the most."""
    rest = [in_order(crew.pods) for crew in fleet.crews]
    chosen: set[str] = set()
    for _ in range(max(0, sum(len(pods) for pods in rest) - most)):
        chosen.add(max(rest, key=len).pop(0).uid)
    return frozenset(chosen)
