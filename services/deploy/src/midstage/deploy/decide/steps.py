"""What is to be done now so that the cluster becomes what the log says; level-triggered.

First workloads grow and get the versions that they carry out, so that whoever believes in older
ones conflicts. Then pods are marked as draining, or a mark is taken back. A workload shrinks by its
marked pods once all of them are stoppable: the cluster ends those first, so no other can be hit.
No ready replica is marked while no more than ``must_be_ready`` serve.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from midstage.cluster.objects import Template, Workload
from midstage.contracts.apps import AppSpec
from midstage.contracts.cluster import PodObserved
from midstage.deploy.decide.fleet import Crew, Fleet, fleet_of, serving, unschedulable
from midstage.deploy.decide.rollout import is_held, is_tight, seen
from midstage.deploy.decide.room import makes_room
from midstage.deploy.decide.wanted import must_be_ready, template_of, wanted
from midstage.deploy.model import (
    NAMESPACE,
    Action,
    DeleteWorkload,
    DrainPod,
    Plan,
    PutWorkload,
    Situation,
    Specified,
    workload_name,
)

Leaving = frozenset[str]
"""The uids of the pods that shall be marked as draining."""


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
    fleet = fleet_of(situation, current.fact.revision)
    count = wanted(spec, situation.scale)
    told = seen(situation, current, fleet, count)
    rollout = situation.state.rollout
    if rollout is None or rollout.started.revision != current.fact.revision:
        return Plan(seen=told)  # first the log, then the cluster
    grown = tuple(_grown(situation, current, fleet, count))
    if grown:
        return Plan(actions=grown, seen=told)
    leaving = _leaving(situation, spec, fleet, count)
    shrinking = chain.from_iterable(
        _shrunk(situation, crew, leaving, least=count if crew is fleet.new else 0)
        for crew in fleet.crews
    )
    return Plan(actions=tuple(shrinking), seen=told)


def _ended(situation: Situation) -> tuple[Action, ...]:
    """An application that was removed: marked first, then gone."""
    fleet = fleet_of(situation, "")
    stamped = tuple(_stamped(situation, fleet, {}))
    leaving = frozenset(pod.uid for pod in fleet.old_pods)
    return stamped or tuple(
        chain.from_iterable(_shrunk(situation, crew, leaving, least=0) for crew in fleet.crews)
    )


def _grown(
    situation: Situation, current: Specified, fleet: Fleet, count: int
) -> Iterator[PutWorkload]:
    """Workloads that need more replicas, or have not the versions that they carry out."""
    spec, rollout = current.fact.spec, situation.state.rollout
    aims = {}
    now = fleet.new_replicas
    if is_held(rollout, fleet):
        kept = _previous(situation, fleet)
        aims[kept.workload.name] = max(kept.replicas, count)
        aim = now
    elif fleet.old:
        surge = 0 if is_tight(rollout, spec, fleet) else spec.rollout.surge
        room = max(0, count + surge - now - fleet.old_replicas)
        aim = max(now, min(count, now + room))
    else:
        aim = max(now, count)
    if fleet.new is None and aim:
        yield _put(situation, template_of(spec), current.fact.revision, aim, expected=0)
    elif fleet.new is not None:
        aims[fleet.new.workload.name] = aim
    yield from _stamped(situation, fleet, aims)


def _stamped(situation: Situation, fleet: Fleet, aims: dict[str, int]) -> Iterator[PutWorkload]:
    for crew in fleet.crews:
        seen_now = crew.workload
        aim = aims.get(seen_now.name, seen_now.replicas)
        stamps = (situation.state.carries, situation.scale_version)
        if (seen_now.spec_version, seen_now.scale_version) != stamps or aim != seen_now.replicas:
            template = _template(situation, seen_now.revision)
            if template is not None:
                version = seen_now.resource_version
                yield _put(situation, template, seen_now.revision, aim, expected=version)


def _leaving(situation: Situation, spec: AppSpec, fleet: Fleet, count: int) -> Leaving:
    """The pods that shall not serve any longer: those too many, and those to be replaced."""
    new = _first(_in_order(fleet.new_pods), max(0, len(fleet.new_pods) - count))
    rollout = situation.state.rollout
    if is_held(rollout, fleet):
        kept = _previous(situation, fleet)
        rest = [pod for pod in fleet.old_pods if pod.workload != kept.workload.name]
        spare = serving(kept.pods) + sum(pod.ready for pod in rest) - must_be_ready(spec, count)
        too_many = _first(_in_order(kept.pods), max(0, len(kept.pods) - count))
        return new | too_many | _spared(_in_order(rest), len(rest), spare)
    return new | _replaced(situation, spec, fleet, count)


def _replaced(situation: Situation, spec: AppSpec, fleet: Fleet, count: int) -> Leaving:
    """Older replicas that new ones have replaced already, or that have to make room for them."""
    old, room = fleet.old_pods, situation.room
    if not old or room is None:
        return frozenset()
    ready = serving(fleet.new_pods)
    most = len(old) - max(0, count - ready)
    ordered = _in_order(old)
    if is_tight(situation.state.rollout, spec, fleet):
        lacking = count - fleet.new_replicas + unschedulable(fleet.new_pods)
        most = max(most, min(len(old), lacking))
        gives_room = makes_room(template_of(spec), room)
        ordered = sorted(
            ordered, key=lambda pod: (not pod.draining, pod.ready, not gives_room(pod))
        )
    spare = ready + sum(pod.ready for pod in old) - must_be_ready(spec, count)
    return _spared(ordered, most, spare)


def _spared(ordered: Sequence[PodObserved], most: int, spare: int) -> Leaving:
    """At most ``most`` of them, in their order; of the ready ones at most ``spare``."""
    leaving: set[str] = set()
    for pod in ordered:
        if len(leaving) >= most:
            break
        if not pod.ready or spare > 0:
            spare -= pod.ready
            leaving.add(pod.uid)
    return frozenset(leaving)


def _shrunk(situation: Situation, crew: Crew, leaving: Leaving, *, least: int) -> Iterator[Action]:
    """One crew made smaller by its marked pods where all are stoppable, else marks set or unset."""
    if not crew.settled:
        return
    marked = crew.draining
    if marked and marked <= leaving and marked <= situation.stoppable:
        yield from _without_marked(situation, crew, least=least)
        return
    if not crew.replicas and least == 0:
        yield _delete(crew)
        return
    for pod in crew.pods:
        if pod.draining != (pod.uid in leaving):
            yield DrainPod(name=pod.name, uid=pod.uid, draining=not pod.draining)


def _without_marked(situation: Situation, crew: Crew, *, least: int) -> Iterator[Action]:
    workload = crew.workload
    rest = max(least, crew.replicas - len(crew.draining))
    if rest == 0:
        yield _delete(crew)
        return
    template = _template(situation, workload.revision)
    if template is not None and rest < crew.replicas:
        version = workload.resource_version
        smaller = _put(situation, template, workload.revision, rest, expected=version)
        yield replace(smaller, ending=_marked(crew))


def _marked(crew: Crew) -> frozenset[tuple[str, int]]:
    return frozenset((pod.uid, pod.resource_version) for pod in crew.pods if pod.draining)


def _delete(crew: Crew) -> DeleteWorkload:
    return DeleteWorkload(
        name=crew.workload.name,
        expected=crew.workload.resource_version,
        ending=_marked(crew),
    )


def _put(
    situation: Situation, template: Template, revision: str, replicas: int, *, expected: int
) -> PutWorkload:
    workload = Workload(
        name=workload_name(situation.app, revision),
        namespace=NAMESPACE,
        app=situation.app,
        revision=revision,
        template=template,
        replicas=replicas,
        spec_version=situation.state.carries,
        scale_version=situation.scale_version,
    )
    return PutWorkload(workload=workload, expected=expected)


def _previous(situation: Situation, fleet: Fleet) -> Crew:
    """The older crew that goes on serving while a failed rollout is held."""
    rollout = situation.state.rollout
    named = rollout.started.previous if rollout else ""
    return max(fleet.old, key=lambda crew: (crew.workload.revision == named, serving(crew.pods)))


def _template(situation: Situation, revision: str) -> Template | None:
    """What the revision runs; None where the log remembers it no more."""
    for entry in reversed(situation.state.history):
        if entry.fact.revision == revision:
            return template_of(entry.fact.spec)
    return None


def _in_order(pods: Sequence[PodObserved]) -> list[PodObserved]:
    """Whoever is to go first: marked already, not ready, on no node yet, youngest."""
    return sorted(
        pods,
        key=lambda pod: (
            not pod.draining,
            pod.ready,
            bool(pod.node),
            -pod.created_at.timestamp(),
            pod.name,
        ),
    )


def _first(pods: Sequence[PodObserved], most: int) -> Leaving:
    return frozenset(pod.uid for pod in pods[:most])
