"""What the routes ask for: applications as they stand, commands with their id and time.

A spec that makes a new revision is tried on the cluster as it is seen before it is taken: without
room for a surge or an update in place it is refused with the scheduler's words, once all is seen
that the log tells of the cluster by then. Where that is not known now, the spec is taken; the
rollout waits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from midstage.contracts.apps import AppFact, AppSpec, revision_of
from midstage.contracts.errors import RefusedError
from midstage.deploy.api.answers import (
    AdoptAnswer,
    AppAnswer,
    AppsAnswer,
    CommandAnswer,
    DiffAnswer,
    HistoryAnswer,
    adopt_answer,
    app_answer,
    changes,
    command_answer,
    plan_answer,
    revision_answer,
)
from midstage.deploy.api.plans import Adopts, Planned, planned
from midstage.deploy.api.specs import policy_of, spec_of
from midstage.deploy.decide.commands import decide, generation_of, scaled
from midstage.deploy.decide.room import Course, Way, course_of
from midstage.deploy.decide.specs import check_routes
from midstage.deploy.decide.wanted import wanted
from midstage.deploy.model import (
    App,
    Asked,
    PauseApp,
    RemoveApp,
    RestartApp,
    ResumeApp,
    Room,
    ScaleApp,
    Situation,
    Specified,
    SpecifyApp,
    UndoApp,
)
from midstage.deploy.views.differences import differences
from midstage.deploy.views.status import status_of
from midstage.eventlog.versions import Answer

_SEEN_WITHIN_S = 5.0


class AppLog(Protocol):
    """The applications' versioned log, as the API needs it."""

    def states(self) -> Mapping[str, App]:
        """The state of every application."""
        ...

    def state(self, key: str) -> tuple[int, App]:
        """Version and state of one application."""
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

    def answer(self, command_id: str) -> Answer[AppFact] | None:
        """What became of a command."""
        ...


class Around(Protocol):
    """What is seen of the cluster."""

    def room(self) -> Room | None:
        """Nodes and pods; None where the cluster is not known now."""
        ...

    def situation(self, app: str, state: App, room: Room | None) -> Situation:
        """All that is known of one application."""
        ...


class Seen(Protocol):
    """The loop by which the cluster is seen."""

    def wait_for_all(self, within_s: float) -> None:
        """Until all is folded that stands in the log now; else UnavailableError."""
        ...


@dataclass(slots=True, kw_only=True)
class _Tried:
    """How the last spec that was tried would go."""

    course: Course | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Apps:
    """The applications as the routes use them."""

    log: AppLog
    around: Around
    seen: Seen
    cluster: Adopts
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    def all(self) -> AppsAnswer:
        """The applications that stand, by name."""
        room = self.around.room()
        found = [
            self._answer(app, state, state.current, room)
            for app, state in sorted(self.log.states().items())
            if state.current is not None
        ]
        return {"apps": found}

    def one(self, app: str) -> AppAnswer:
        """One application; RefusedError (404) where there is none."""
        _, state = self.log.state(app)
        if state.current is None:
            raise RefusedError(f"there is no application {app!r}", status=404)
        return self._answer(app, state, state.current, self.around.room())

    def history(self, app: str) -> HistoryAnswer:
        """What was specified of it; RefusedError (404) where nothing ever was."""
        _, state = self.log.state(app)
        if not state.history:
            raise RefusedError(f"there is no application {app!r}", status=404)
        found = [revision_answer(entry, state.current) for entry in reversed(state.history)]
        return {"app": app, "revisions": found}

    def put(
        self,
        app: str,
        body: bytes,
        given_id: str | None,
        *,
        by: str,
        why: str,
        even_so: bool = False,
    ) -> CommandAnswer:
        """Carry out PUT; RefusedError where the spec is wrong, taken or has no room.

        Also where the cluster would not take it, with its words, unless it is wanted ``even_so``.
        """
        spec = spec_of(body)
        command = SpecifyApp(app=app, spec=spec, by=by, why=why, at=self.now())
        payload = b"PUT " + msgspec.json.encode((spec, why), order="deterministic")
        return self._executed(command, given_id, payload, even_so=even_so)

    def scale(
        self, app: str, body: bytes, given_id: str | None, *, by: str, why: str
    ) -> CommandAnswer:
        """Give the spec that holds another policy; RefusedError (404) without one, else as PUT."""
        policy = policy_of(body)
        command = ScaleApp(app=app, policy=policy, by=by, why=why, at=self.now())
        payload = b"SCALE " + msgspec.json.encode((policy, why), order="deterministic")
        return self._executed(command, given_id, payload)

    def adopt(self, app: str, workload: str) -> AdoptAnswer:
        """Take over a workload that somebody else made; it runs on until a spec replaces it.

        RefusedError as the cluster's, and where its replicas would be ended with a removed one's.
        """
        _, state = self.log.state(app)
        if state.removed is not None:
            raise RefusedError(
                f"application {app} was removed, and what it takes over would be ended with it: "
                "put its spec first",
                status=409,
            )
        return adopt_answer(self.cluster.adopt(workload, app=app))

    def undo(self, app: str, given_id: str | None, *, to: str, by: str, why: str) -> CommandAnswer:
        """Carry out an undo, to a revision or version where ``to`` names one.

        RefusedError where there is nothing to go back to, or no room.
        """
        command = UndoApp(app=app, to=to, by=by, why=why, at=self.now())
        return self._executed(command, given_id, f"UNDO {to}".strip().encode())

    def restart(self, app: str, given_id: str | None, *, by: str, why: str) -> CommandAnswer:
        """Carry out a restart: the same spec with new replicas; RefusedError as for PUT."""
        command = RestartApp(app=app, by=by, why=why, at=self.now())
        return self._executed(command, given_id, b"RESTART")

    def pause(self, app: str, given_id: str | None, *, by: str, why: str) -> CommandAnswer:
        """Let the rollout go no further; RefusedError (409) where nothing is rolling."""
        command = PauseApp(app=app, by=by, why=why, at=self.now())
        return self._executed(command, given_id, b"PAUSE")

    def resume(self, app: str, given_id: str | None, *, by: str, why: str) -> CommandAnswer:
        """Let a paused rollout go on; RefusedError (409) where none is."""
        command = ResumeApp(app=app, by=by, why=why, at=self.now())
        return self._executed(command, given_id, b"RESUME")

    def remove(self, app: str, given_id: str | None, *, by: str, why: str) -> CommandAnswer:
        """Carry out DELETE; RefusedError (404) where there is none."""
        command = RemoveApp(app=app, by=by, why=why, at=self.now())
        return self._executed(command, given_id, b"DELETE")

    def diff(self, app: str, body: bytes) -> DiffAnswer:
        """What the spec would change, and how; RefusedError as for PUT but for a shortage."""
        return self._diff(app, spec_of(body))

    def diff_scaling(self, app: str, body: bytes) -> DiffAnswer:
        """What another policy would change; RefusedError as for ``scale``."""
        _, state = self.log.state(app)
        if state.current is None:
            raise RefusedError(f"there is no application {app!r}", status=404)
        return self._diff(app, scaled(state.current.fact.spec, policy_of(body)))

    def command(self, command_id: str) -> CommandAnswer:
        """What became of a command; RefusedError (404) where the log does not know it."""
        answer = self.log.answer(command_id)
        if answer is None:
            raise RefusedError(f"the log knows no command {command_id!r}", status=404)
        return command_answer(answer, self.log.state(answer.key)[1], None)

    def _diff(self, app: str, spec: AppSpec) -> DiffAnswer:
        check_routes(app, spec, self.log.states())
        _, state = self.log.state(app)
        current = state.current
        before = current.fact if current else None
        generation = generation_of(state)
        course = self._course(app, state, spec, generation)
        plan = self._planned(app, state, spec, generation, course)
        return {
            "app": app,
            "exists": current is not None,
            "changes": changes(differences(before.spec if before else None, spec)),
            "revision": revision_of(spec, generation),
            "new_revision": course.way is not Way.NONE,
            "rollout": course.way.value,
            "reason": course.shortage,
            "cluster": plan_answer(plan),
        }

    def _executed(
        self, command: Asked, given_id: str | None, payload: bytes, *, even_so: bool = True
    ) -> CommandAnswer:
        tried = _Tried()

        def may_be(state: App, spec: AppSpec, generation: int) -> None:
            check_routes(command.app, spec, self.log.states())
            tried.course = self._course(command.app, state, spec, generation)
            if tried.course.way is Way.REFUSED:
                raise RefusedError(f"no room for this update: {tried.course.shortage}", status=409)
            if even_so:
                return
            plan = self._planned(command.app, state, spec, generation, tried.course)
            if plan.told.refusals:
                said = "; ".join(plan.told.refusals)
                raise RefusedError(f"the cluster would not take it: {said}", status=409)

        answer = self.log.execute(
            key=command.app,
            command_id=given_id.strip('"') if given_id else self.new_id(),
            payload=payload,
            decide=lambda state: decide(state, command, may_be=may_be),
        )
        return command_answer(answer, self.log.state(command.app)[1], tried.course)

    def _course(self, app: str, state: App, spec: AppSpec, generation: int) -> Course:
        """How the replicas would come to run the spec.

        That the cluster answers may be read before its nodes are: nobody is refused by less than
        what the log tells. UnavailableError where that was not read in time.
        """
        course = self._played(app, state, spec, generation)
        if course.way is not Way.REFUSED:
            return course
        self.seen.wait_for_all(_SEEN_WITHIN_S)
        return self._played(app, state, spec, generation)

    def _played(self, app: str, state: App, spec: AppSpec, generation: int) -> Course:
        current = state.current
        if current is not None and current.fact.revision == revision_of(spec, generation):
            return Course(way=Way.NONE)
        room = self.around.room()
        situation = self.around.situation(app, state, room)
        count = wanted(spec, situation.scale)
        return course_of(spec, count, situation.pods, room, generation=generation)

    def _planned(
        self, app: str, state: App, spec: AppSpec, generation: int, course: Course
    ) -> Planned:
        """What the cluster says to the spec."""
        situation = self.around.situation(app, state, self.around.room())
        revision = revision_of(spec, generation)
        return planned(self.cluster, situation, spec, revision, course.way)

    def _answer(self, app: str, state: App, current: Specified, room: Room | None) -> AppAnswer:
        return app_answer(current, status_of(self.around.situation(app, state, room)))
