"""The loop that makes the cluster what the log says: look, decide, write, wait for the facts.

Any number of processes may run it: each write names the resource version that it was decided on,
and each fact is appended once. Nothing is decided about an application before what was done to it
has shown up in the facts, or 5 s are over; what was decided over 2 s ago is not written any more,
so a process that slept does no harm with old thoughts.
"""

import hashlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from midstage.chassis.logs import logger
from midstage.cluster.objects import Pod, Preview, Reference, Workload
from midstage.cluster.protocol import ConflictError, Ending
from midstage.contracts.apps import AppFact
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.running import Disruption
from midstage.deploy.decide.commands import decide
from midstage.deploy.decide.flight import has_landed
from midstage.deploy.decide.references import references_of
from midstage.deploy.decide.steps import plan
from midstage.deploy.metrics import Metrics
from midstage.deploy.model import (
    Action,
    AdoptPods,
    App,
    DeleteWorkload,
    DrainPod,
    EndRollout,
    ProgressRollout,
    PutWorkload,
    ScaleWorkload,
    Seen,
    Situation,
    StartRollout,
    TakeReferences,
    UndoFailed,
    companions,
)
from midstage.deploy.stream.companions import Companions
from midstage.deploy.stream.references import References
from midstage.deploy.stream.surroundings import Surroundings
from midstage.eventlog.failpoint import Failpoint
from midstage.eventlog.versions import Answer

TURN_S = 0.2
LANDS_WITHIN_S = 5.0
AGAIN_AFTER_S = 1.0
STALE_AFTER_S = 2.0

_log = logger(__name__)


class Cluster(Protocol):
    """What deploy does to a cluster; see ``midstage.cluster.protocol``."""

    name: str

    def put_workload(self, workload: Workload, *, expected: int, ending: Ending = None) -> Workload:
        """Make it so, if it is still at ``expected`` and ends no pod but these."""
        ...

    def scale_workload(
        self, name: str, *, replicas: int, expected: int, ending: Ending = None
    ) -> Workload:
        """Change its count alone, if it is still at ``expected`` and ends no pod but these."""
        ...

    def adopt(self, name: str, *, app: str) -> Workload:
        """Take over what somebody else made, or mark the pods that it has made since."""
        ...

    def delete_workload(self, name: str, *, expected: int, ending: Ending = None) -> None:
        """Remove it, if it is still at ``expected`` and ends no pod but these."""
        ...

    def drain_pod(self, name: str, *, uid: str, draining: bool) -> Pod:
        """Mark the pod, or take the mark back."""
        ...

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        """What the write would change; the API asks, the loop does not."""
        ...

    def references(self, references: Collection[Reference], /) -> Mapping[Reference, str]:
        """Of each secret and config that is there, what changes with its content."""
        ...

    def astray(self, wanted: Mapping[str, Disruption | None], /) -> Mapping[str, tuple[str, ...]]:
        """What somebody has made of that which goes with the workloads."""
        ...


class AppLog(Protocol):
    """The applications' versioned log, as the loop needs it."""

    def states(self) -> Mapping[str, App]:
        """The state of every application."""
        ...

    def execute(
        self,
        *,
        key: str,
        command_id: str,
        payload: bytes,
        decide: Callable[[App], Sequence[AppFact]],
    ) -> Answer[AppFact]:
        """Decide, append, read back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flight:
    """An action that the facts do not show yet; it is waited for until ``until_s``.

    ``version``: the workload's in the answer; 0: none came.
    """

    action: Action
    until_s: float
    version: int = 0


class Reconciler:
    """A chassis Loop over all applications."""

    name = "reconcile"

    def __init__(
        self,
        *,
        apps: AppLog,
        around: Surroundings,
        cluster: Cluster,
        references: References,
        accompanied: Companions,
        unready: Callable[[], str | None],
        hears_edges: Callable[[], bool],
        monotonic: Callable[[], float],
        metrics: Metrics,
        reached: Failpoint,
    ) -> None:
        """``unready`` says why a topic that is needed is not folded; None where all are."""
        self._apps = apps
        self._around = around
        self._cluster = cluster
        self._references = references
        self._companions = accompanied
        self._unready = unready
        self._hears_edges = hears_edges
        self._monotonic = monotonic
        self._metrics = metrics
        self._reached = reached
        self._flights: dict[str, tuple[_Flight, ...]] = {}
        self._orphans: frozenset[str] = frozenset()

    def run(self, stop: threading.Event) -> None:
        """Turn until ``stop`` is set."""
        while not stop.wait(TURN_S):
            self.turn()

    def turn(self) -> None:
        """Do once what is to be done now."""
        self._around.look(hears_edges=self._hears_edges())
        if self._unready() is not None:
            return
        room = self._around.room()
        if room is None:
            return
        states = self._apps.states()
        specs = (state.current.fact.spec for state in states.values() if state.current)
        self._references.look(frozenset(name for spec in specs for name in references_of(spec)))
        self._companions.look(self._around.written(states))
        self._metrics.apps.set(sum(1 for state in states.values() if state.current))
        self._name_orphans(states)
        with self._metrics.turn_seconds.time():
            for app, state in states.items():
                self._carry_out(self._around.situation(app, state, room))

    def _carry_out(self, situation: Situation) -> None:
        decided_s = self._monotonic()
        if self._waits(situation, decided_s):
            return
        planned = plan(situation)
        may_write = self._around.outcomes.may_write(situation.app, situation.state.carries)
        for action in planned.actions if may_write else ():
            self._reached("deploy:decided")
            if self._monotonic() - decided_s > STALE_AFTER_S or not self._wrote(situation, action):
                break
            self._reached("deploy:written")
        if planned.seen is not None:
            self._tell(situation, planned.seen)

    def _waits(self, situation: Situation, now_s: float) -> bool:
        """Whether something that was done has not shown up yet."""
        flights = tuple(
            flight
            for flight in self._flights.pop(situation.app, ())
            if now_s < flight.until_s
            and not has_landed(flight.action, situation, version=flight.version)
        )
        if flights:
            self._flights[situation.app] = flights
        return bool(flights)

    def _wrote(self, situation: Situation, action: Action) -> bool:
        """Write once, and remember to wait for newer facts, whatever came of it."""
        app, outcomes = situation.app, self._around.outcomes
        target, carries = _target(action), situation.state.carries
        self._remember(app, action, AGAIN_AFTER_S)
        try:
            version = self._write(app, action)
        except ConflictError as e:
            self._metrics.conflicts.inc()
            outcomes.conflicted(app, target, carries, str(e))
            _log.info("write_conflicted", app=app, reason=str(e))
            return False
        except RefusedError as e:
            self._metrics.refusals.inc()
            outcomes.refused(app, target, carries, str(e))
            _log.error("write_refused", app=app, action=_told(action), reason=str(e))
            return False
        except UnavailableError as e:
            _log.warning("cluster_unavailable", app=app, action=_told(action), reason=str(e))
            return False
        self._remember(app, action, LANDS_WITHIN_S, version)
        outcomes.done(app, target)
        if isinstance(action, PutWorkload):
            self._note_corrections(situation, target)
        self._metrics.writes.labels(kind=type(action).__name__).inc()
        _log.info(
            "written",
            app=app,
            action=_told(action),
            spec_version=situation.state.carries,
            scale_version=situation.scale_version,
        )
        return True

    def _note_corrections(self, situation: Situation, target: str) -> None:
        """What was not as it should be before a workload was put, and is now."""
        found = {each.name: each.drift for each in situation.workloads if each.name == target}
        found[companions(situation.app)] = situation.astray
        for name, drift in found.items():
            if drift:
                self._around.outcomes.corrected(name, drift)
                self._metrics.corrections.inc()
                _log.info("drift_corrected", app=situation.app, of=name, drift=drift)
        self._companions.corrected(situation.app)

    def _remember(self, app: str, action: Action, within_s: float, version: int = 0) -> None:
        flight = _Flight(action=action, until_s=self._monotonic() + within_s, version=version)
        others = (each for each in self._flights.get(app, ()) if each.action != action)
        self._flights[app] = (*others, flight)

    def _write(self, app: str, action: Action) -> int:
        """Do it; the workload's version in the answer, 0 where there is none."""
        match action:
            case PutWorkload(workload=workload, expected=expected, ending=ending):
                written = self._cluster.put_workload(workload, expected=expected, ending=ending)
                return written.resource_version
            case ScaleWorkload(name=name, replicas=count, expected=expected, ending=ending):
                written = self._cluster.scale_workload(
                    name, replicas=count, expected=expected, ending=ending
                )
                return written.resource_version
            case AdoptPods(name=name):
                self._cluster.adopt(name, app=app)
            case DeleteWorkload(name=name, expected=expected, ending=ending):
                self._cluster.delete_workload(name, expected=expected, ending=ending)
            case DrainPod(name=name, uid=uid, draining=draining):
                self._cluster.drain_pod(name, uid=uid, draining=draining)
            case _:
                assert_never(action)
        return 0

    def _tell(self, situation: Situation, seen: Seen) -> None:
        """Append what was seen; whoever sees the same says it under the same id."""
        what, told_by = _said(situation, seen)
        try:
            answer = self._apps.execute(
                key=seen.app,
                command_id=told_by,
                payload=b"",
                decide=lambda state: decide(state, seen),
            )
        except (RefusedError, UnavailableError) as e:
            _log.warning("rollout_not_told", app=seen.app, what=what, reason=str(e))
            return
        self._reached("deploy:told")
        if isinstance(seen, EndRollout):
            self._metrics.rollouts.labels(verdict=what).inc()
        if answer.facts and not answer.repeated and not isinstance(seen, ProgressRollout):
            _log.info("rollout", app=seen.app, what=what, version=answer.version)

    def _name_orphans(self, states: Mapping[str, App]) -> None:
        """Workloads of applications that the log does not know are left alone."""
        orphans = frozenset(app for app in self._around.workload_apps() if app not in states)
        for app in sorted(orphans - self._orphans):
            _log.warning(
                "workload_of_unknown_app", app=app, remedy="put the application, or end it"
            )
        self._orphans = orphans


def _told(action: Action) -> str:
    match action:
        case PutWorkload(workload=workload):
            return f"put {workload.name} replicas {workload.replicas}"
        case ScaleWorkload():
            return f"scale {action.name} replicas {action.replicas}"
        case AdoptPods():
            return f"adopt pods of {action.name}"
        case DeleteWorkload():
            return f"delete {action.name}"
        case DrainPod():
            return f"{'drain' if action.draining else 'undrain'} {action.name}"
        case _:
            assert_never(action)


def _target(action: Action) -> str:
    """The name of what is written."""
    return action.workload.name if isinstance(action, PutWorkload) else action.name


def _said(situation: Situation, seen: Seen) -> tuple[str, str]:
    """What was seen in a word, and the command id that all who see the same give it."""
    match seen:
        case StartRollout():
            what = "started"
        case EndRollout(verdict=verdict):
            what = verdict.value
        case ProgressRollout():
            what = "progress"
        case UndoFailed(carries=carries):
            return "undone", f"undo/{seen.app}/{carries}"
        case TakeReferences(carries=carries, references=references):
            found = hashlib.sha256(repr(sorted(references.items())).encode()).hexdigest()[:16]
            return "references", f"references/{seen.app}/{carries}/{found}"
        case _:
            assert_never(seen)
    return what, f"rollout/{seen.app}/{situation.state.version}/{what}"
