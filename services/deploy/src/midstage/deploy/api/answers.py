"""What deploy's API answers, and how facts and views become that."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.cluster.objects import FieldChange, Workload
from midstage.contracts.apps import (
    AppFact,
    AppRemoved,
    AppSpecified,
    RolloutPaused,
    RolloutProgressed,
    RolloutResumed,
)
from midstage.deploy.api.plans import Planned
from midstage.deploy.decide.room import Course
from midstage.deploy.model import App, Specified
from midstage.deploy.views.differences import Difference, plain
from midstage.deploy.views.status import (
    RolloutStatus,
    Status,
    is_first,
    is_restart,
    specified_at,
)
from midstage.eventlog.versions import Answer


class ProgressAnswer(TypedDict):
    """How far a rollout was when it was told last."""

    wanted: int
    ready: int
    old: int
    reason: str
    at: datetime


class RolloutAnswer(TypedDict):
    """The newest rollout; ``state``: running, paused, complete, failed or superseded."""

    revision: str
    previous: str
    how: str
    state: str
    reason: str
    started_at: datetime
    ended_at: datetime | None
    progress: ProgressAnswer | None


class StatusAnswer(TypedDict):
    """``stage``: unknown, rolling, paused, failed, pending, ready, ending or gone.

    ``drift``: what somebody else has set in the cluster, and what is done about it.
    """

    stage: str
    wanted: int
    ready: int
    starting: int
    draining: int
    old: int
    reason: str
    drift: list[str]
    rollout: RolloutAnswer | None


class AppAnswer(TypedDict):
    """An application; ``version`` is that of its spec in the log."""

    app: str
    revision: str
    version: int
    generation: int
    by: str
    why: str
    undoes: str
    at: datetime
    spec: dict[str, object]
    status: StatusAnswer


class AppsAnswer(TypedDict):
    """The applications that stand, by name."""

    apps: list[AppAnswer]


class RevisionAnswer(TypedDict):
    """One spec that held; ``current``: it holds now; ``undoes``: the revision an undo left.

    ``complete``: all replicas have once run it. ``generation`` grows with each restart.
    """

    version: int
    revision: str
    current: bool
    complete: bool
    generation: int
    by: str
    why: str
    at: datetime
    undoes: str
    spec: dict[str, object]


class HistoryAnswer(TypedDict):
    """What was specified, the newest first."""

    app: str
    revisions: list[RevisionAnswer]


class CommandAnswer(TypedDict):
    """What became of a command; ``repeated``: it had been carried out before.

    ``outcome``: created, configured, unchanged, undone, restarted, paused, resumed or removed.
    ``rollout`` is how the replicas come to it: none, first, surge, in place, unknown (the cluster
    can't be asked, or the command is a repeated one).
    """

    app: str
    outcome: str
    revision: str
    version: int
    rollout: str
    command_id: str
    repeated: bool


Change = TypedDict("Change", {"path": str, "from": object, "to": object})


class PlanAnswer(TypedDict):
    """What the cluster says to a spec; ``unknown`` is why it does not, else empty.

    ``creates``: the workload is new; then ``changes`` are told against the one that holds now.
    ``beside``: of the service and the budget, by path with the kind before it. ``conflicts``:
    fields that others have set, as ``manager: path``. ``refusals``: the cluster's own words.
    """

    workload: str
    creates: bool
    changes: list[Change]
    beside: list[Change]
    conflicts: list[str]
    refusals: list[str]
    unknown: str


class DiffAnswer(TypedDict):
    """What a spec would change; ``reason`` is the shortage where ``rollout`` is refused."""

    app: str
    exists: bool
    changes: list[Change]
    revision: str
    new_revision: bool
    rollout: str
    reason: str
    cluster: PlanAnswer


class AdoptAnswer(TypedDict):
    """A workload that was taken over as it runs; the next spec of ``app`` replaces it."""

    app: str
    workload: str
    revision: str
    replicas: int
    ready: int


def adopt_answer(workload: Workload) -> AdoptAnswer:
    """What was taken over."""
    return {
        "app": workload.app,
        "workload": workload.name,
        "revision": workload.revision,
        "replicas": workload.replicas,
        "ready": workload.ready,
    }


def app_answer(entry: Specified, status: Status) -> AppAnswer:
    """One application."""
    fact = entry.fact
    return {
        "app": fact.app,
        "revision": fact.revision,
        "version": entry.version,
        "generation": fact.generation,
        "by": fact.by,
        "why": fact.why,
        "undoes": fact.undoes,
        "at": fact.at,
        "spec": dict(plain(fact.spec)),
        "status": status_answer(status),
    }


def status_answer(status: Status) -> StatusAnswer:
    """How it stands."""
    return {
        "stage": status.stage.value,
        "wanted": status.wanted,
        "ready": status.ready,
        "starting": status.starting,
        "draining": status.draining,
        "old": status.old,
        "reason": status.reason,
        "drift": list(status.drift),
        "rollout": None if status.rollout is None else _rollout(status.rollout),
    }


def revision_answer(entry: Specified, current: Specified | None) -> RevisionAnswer:
    """One spec of the past."""
    fact = entry.fact
    return {
        "version": entry.version,
        "revision": fact.revision,
        "current": entry == current,
        "complete": entry.complete,
        "generation": fact.generation,
        "by": fact.by,
        "why": fact.why,
        "at": fact.at,
        "undoes": fact.undoes,
        "spec": dict(plain(fact.spec)),
    }


def command_answer(answer: Answer[AppFact], state: App, course: Course | None) -> CommandAnswer:
    """What became of a command; ``state`` is the application's now."""
    fact = answer.facts[0] if answer.facts else None
    standing = state.current.fact.revision if state.current else ""
    return {
        "app": answer.key,
        "outcome": _outcome(fact, answer.version, state),
        "revision": fact.revision if isinstance(fact, AppSpecified) else standing,
        "version": answer.version,
        "rollout": _way(fact, course),
        "command_id": answer.command_id,
        "repeated": answer.repeated,
    }


def changes(found: Sequence[Difference]) -> list[Change]:
    """The fields that differ."""
    return [{"path": each.path, "from": each.before, "to": each.after} for each in found]


def plan_answer(plan: Planned) -> PlanAnswer:
    """What the cluster says; values as JSON."""
    return {
        "workload": plan.workload,
        "creates": plan.creates,
        "changes": _told(plan.told.changes),
        "beside": _told(plan.told.beside),
        "conflicts": list(plan.told.conflicts),
        "refusals": list(plan.told.refusals),
        "unknown": plan.unknown,
    }


def _told(found: Sequence[FieldChange]) -> list[Change]:
    return [
        {"path": each.path, "from": _value(each.before), "to": _value(each.after)} for each in found
    ]


def _value(text: str) -> object:
    return msgspec.json.decode(text) if text else None


def _way(fact: AppFact | None, course: Course | None) -> str:
    match fact:
        case None | RolloutPaused() | RolloutResumed():
            return "none"
        case _:
            return course.way.value if course else "unknown"


def _outcome(fact: AppFact | None, version: int, state: App) -> str:
    match fact:
        case RolloutPaused():
            return "paused"
        case RolloutResumed():
            return "resumed"
        case AppSpecified():
            return _specified(fact, version, state)
        case AppRemoved():
            return "removed"
        case _:
            return "unchanged"


def _specified(fact: AppSpecified, version: int, state: App) -> str:
    entry = specified_at(state, version)
    if fact.undoes:
        return "undone"
    if entry is not None and is_first(state, entry):
        return "created"
    return "restarted" if is_restart(state, version, fact) else "configured"


def _rollout(rollout: RolloutStatus) -> RolloutAnswer:
    return {
        "revision": rollout.revision,
        "previous": rollout.previous,
        "how": rollout.how,
        "state": rollout.state,
        "reason": rollout.reason,
        "started_at": rollout.started_at,
        "ended_at": rollout.ended_at,
        "progress": None if rollout.progress is None else _progress(rollout.progress),
    }


def _progress(fact: RolloutProgressed) -> ProgressAnswer:
    return {
        "wanted": fact.wanted,
        "ready": fact.ready,
        "old": fact.old,
        "reason": fact.reason,
        "at": fact.at,
    }
