"""What is to be done now so that the cluster becomes what the log says; level-triggered.

First workloads grow and get the versions that they carry out, so that whoever believes in older
ones conflicts. Then pods are marked as draining, or a mark is taken back. A workload shrinks by its
marked pods once all of them are stoppable and the cluster would end no other. A paused rollout
changes neither the new nor the older replicas but for the count that is wanted. What the log does
not remember, as what was adopted, is an older crew like any other, whose count alone is written.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from midstage.cluster.objects import ADOPTED
from midstage.contracts.apps import AppSpec
from midstage.deploy.decide.fleet import Crew, Fleet, fleet_of
from midstage.deploy.decide.leaving import leaving, previous
from midstage.deploy.decide.moving import meanwhile, moving
from midstage.deploy.decide.order import Leaving, in_order
from midstage.deploy.decide.priority import outranked
from midstage.deploy.decide.references import taken
from midstage.deploy.decide.rollout import is_held, is_tight, seen
from midstage.deploy.decide.room import free_slots, takes_room
from midstage.deploy.decide.wanted import template_of, wanted
from midstage.deploy.decide.writes import delete, marked, put, stamped, template_for
from midstage.deploy.model import (
    Action,
    AdoptPods,
    DrainPod,
    Plan,
    PutWorkload,
    Room,
    ScaleWorkload,
    Situation,
    Specified,
)


def plan(situation: Situation) -> Plan:
    """What to do; nothing where the cluster is not known, or somebody knows more than we do."""
    if situation.room is None or _is_overtaken(situation):
        return Plan()
    current = situation.state.current
    if current is not None:
        return _kept(situation, current)
    return Plan(actions=_ended(situation)) if situation.state.removed else Plan()


def _is_overtaken(situation: Situation) -> bool:
    carries, scaled = situation.state.carries, situation.scale_version
    return any(
        workload.spec_version > carries or workload.scale_version > scaled
        for workload in situation.workloads
    )


def _kept(situation: Situation, current: Specified) -> Plan:
    spec = current.fact.spec
    references = taken(situation, current)
    if references is not None:
        return Plan(seen=references)  # before the replicas that shall have them
    fleet = fleet_of(situation, current.fact.revision)
    count = wanted(spec, situation.scale)
    told = seen(situation, current, fleet, count)
    rollout = situation.state.rollout
    if rollout is None or rollout.started.revision != current.fact.revision:
        return Plan(seen=told)  # first the log, then the cluster
    grown = tuple(_grown(situation, current, fleet, count))
    if grown:
        return Plan(actions=grown, seen=told)
    gone = leaving(situation, spec, fleet, count)
    shrinking = chain.from_iterable(
        _shrunk(situation, crew, gone, least=count if crew is fleet.new else 0)
        for crew in fleet.crews
    )
    return Plan(actions=tuple(shrinking), seen=told)


def _ended(situation: Situation) -> tuple[Action, ...]:
    """An application that was removed: marked first, then gone."""
    fleet = fleet_of(situation, "")
    first = tuple(stamped(situation, fleet, {}))
    gone = frozenset(pod.uid for pod in fleet.old_pods)
    return first or tuple(
        chain.from_iterable(_shrunk(situation, crew, gone, least=0) for crew in fleet.crews)
    )


def _grown(
    situation: Situation, current: Specified, fleet: Fleet, count: int
) -> Iterator[PutWorkload]:
    """Workloads that need more replicas, or are not as they should be."""
    aims = _aims(situation, current.fact.spec, fleet, count)
    revision = current.fact.revision
    if fleet.new is None and aims.get(revision):
        template = template_of(current.fact.spec)
        yield put(situation, template, revision, aims[revision], expected=0)
    names = {crew.workload.revision: crew.workload.name for crew in fleet.crews}
    yield from stamped(
        situation, fleet, {names[each]: aim for each, aim in aims.items() if each in names}
    )


def _aims(situation: Situation, spec: AppSpec, fleet: Fleet, count: int) -> dict[str, int]:
    """How many replicas each revision shall have at least, where that is not what it has.

    What failed because the cluster refused it is tried again, in case it does not any more.
    """
    current, now = situation.state.current, fleet.new_replicas
    revision = current.fact.revision if current else ""
    if situation.state.is_paused:
        lacking = max(0, count - now - fleet.old_replicas)
        if fleet.old:
            kept = previous(situation, fleet)
            return {kept.workload.revision: kept.replicas + lacking}
        return {revision: now + lacking} if fleet.new else {}
    if is_held(situation.state.rollout, fleet):
        kept = previous(situation, fleet)
        tried = situation.refusal is not None and fleet.new is None
        again = {revision: min(1, spec.rollout.surge)} if tried else {}
        more = meanwhile(kept, spec, situation.room)
        return {kept.workload.revision: max(kept.replicas, count + more), **again}
    if not fleet.old:
        return {revision: max(now, count + meanwhile(fleet.new, spec, situation.room))}
    room = max(0, count + _surge(situation, spec, fleet, count) - now - fleet.old_replicas)
    if situation.room and outranked(spec, fleet.old_pods, situation.room.pods):
        room = min(room, _finding_room(spec, fleet, count, situation.room))
    return {revision: max(now, min(count, now + room))}


def _surge(situation: Situation, spec: AppSpec, fleet: Fleet, count: int) -> int:
    """How many more than wanted there may be now; in a tight place only those that find room."""
    surge = spec.rollout.surge
    if not surge or not is_tight(situation.state.rollout, spec, fleet) or situation.room is None:
        return surge
    return min(surge, _finding_room(spec, fleet, count, situation.room))


def _finding_room(spec: AppSpec, fleet: Fleet, count: int, room: Room) -> int:
    """How many more replicas find room now, beside those that wait for some."""
    waiting = fleet.new_replicas - sum(1 for pod in fleet.new_pods if takes_room(pod))
    free = free_slots(spec, count, fleet.old_pods, fleet.new_pods, room)
    return max(0, free - waiting)


def _shrunk(situation: Situation, crew: Crew, gone: Leaving, *, least: int) -> Iterator[Action]:
    """One crew made smaller by its marked pods where all are stoppable, else marks set or unset."""
    if not crew.settled:
        return
    now = crew.draining
    if now and now <= gone and now <= situation.stoppable and _end_first(situation, crew):
        yield from _without_marked(situation, crew, least=least)
        return
    if not crew.replicas and least == 0:
        yield delete(crew)
        return
    if crew.workload.revision == ADOPTED and len(crew.pods) < crew.replicas:
        yield AdoptPods(name=crew.workload.name, replicas=crew.replicas)
    for pod in crew.pods:
        if pod.draining != (pod.uid in gone):
            yield DrainPod(name=pod.name, uid=pod.uid, draining=not pod.draining)


def _end_first(situation: Situation, crew: Crew) -> bool:
    """Whether the marked pods are those that the cluster would end, or such as never served; where
    others take the place of those that move, not these.
    """
    first = in_order(crew.pods)[: len(crew.draining)]
    moved = any(pod.draining for pod in moving(crew.pods, situation.room))
    return all(pod.draining or (pod.ready_at is None and not moved) for pod in first)


def _without_marked(situation: Situation, crew: Crew, *, least: int) -> Iterator[Action]:
    workload = crew.workload
    rest = max(least, crew.replicas - len(crew.draining))
    if rest == 0:
        yield delete(crew)
        return
    if rest >= crew.replicas:
        return
    template, version = template_for(situation, workload.revision), workload.resource_version
    if template is None:
        yield ScaleWorkload(
            name=workload.name, replicas=rest, expected=version, ending=marked(crew)
        )
    else:
        smaller = put(situation, template, workload.revision, rest, expected=version)
        yield replace(smaller, ending=marked(crew))
