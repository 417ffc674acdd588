"""Which facts a command makes in ``midstage.apps.v1``.

A command makes one fact or none: a spec that holds already, a rollout that was started or ended
already, appends nothing. So the version of the log is the number of its facts.
"""

from collections.abc import Callable
from typing import assert_never

import msgspec

from midstage.contracts.apps import (
    AppFact,
    AppRemoved,
    AppSpec,
    AppSpecified,
    RolloutPaused,
    RolloutResumed,
    revision_of,
)
from midstage.contracts.errors import RefusedError
from midstage.contracts.policy import Policy
from midstage.deploy.decide.by_itself import by_itself, next_generation
from midstage.deploy.decide.references import known_of
from midstage.deploy.decide.specs import check
from midstage.deploy.decide.told import told
from midstage.deploy.model import (
    App,
    Command,
    EndRollout,
    PauseApp,
    ProgressRollout,
    RemoveApp,
    RestartApp,
    ResumeApp,
    ScaleApp,
    Specified,
    SpecifyApp,
    StartRollout,
    TakeReferences,
    UndoApp,
    UndoFailed,
    Wish,
)

_REVISION_DIGITS = 10

MayBe = Callable[[App, AppSpec, int], None]
"""Refuses (RefusedError) a spec of a generation that can't be carried out now."""


def decide(app: App, command: Command, *, may_be: MayBe | None = None) -> tuple[AppFact, ...]:
    """The facts of a command: one, or none where it is so already.

    RefusedError (404) where there is no such application, (409) where there is nothing to undo to,
    to pause or to resume, and whatever ``may_be`` refuses of a wish.
    """
    match command:
        case SpecifyApp() | ScaleApp() | UndoApp() | RestartApp():
            return _wished(app, command, may_be)
        case RemoveApp():
            _standing(app, command.app)
            return (AppRemoved(app=command.app, by=command.by, why=command.why, at=command.at),)
        case PauseApp():
            return _paused(app, command)
        case ResumeApp():
            return _resumed(app, command)
        case UndoFailed() | TakeReferences():
            return by_itself(app, command)
        case StartRollout() | EndRollout() | ProgressRollout():
            return told(app, command)
        case _:
            assert_never(command)


def generation_of(app: App) -> int:
    """The generation that a changed spec goes on with."""
    return app.current.fact.generation if app.current else 0


def scaled(spec: AppSpec, policy: Policy) -> AppSpec:
    """The spec with this policy; RefusedError where it contradicts itself or the spec.

    ``replicas``, where scaling begins, follow into its bounds.
    """
    begin = max(policy.min, min(policy.max, spec.replicas))
    changed = msgspec.structs.replace(spec, scaling=policy, replicas=begin)
    check(changed)
    return changed


def undone(app: App, name: str, to: str = "") -> Specified:
    """The spec that an undo goes back to: the newest one of revision ``to``, or that of version
    ``to``; with nothing named the newest of another revision than the one that holds.

    RefusedError: 404 where the application is not there, 409 where there is no such spec in the
    application's own life.
    """
    current = _standing(app, name)
    for earlier in reversed(app.history):
        if earlier.version > app.since and _is_meant(earlier, current, to):
            return earlier
    if to:
        raise RefusedError(
            f"application {name!r} remembers no revision or version {to}", status=409
        )
    raise RefusedError(
        f"application {name!r} has had no revision but {current.fact.revision}: nothing to undo",
        status=409,
    )


def _is_meant(entry: Specified, current: Specified, to: str) -> bool:
    if not to:
        return entry.fact.revision != current.fact.revision
    if to.isdigit() and len(to) < _REVISION_DIGITS:
        return entry.version == int(to)
    return entry.fact.revision == to


def _wished(app: App, command: Wish, may_be: MayBe | None) -> tuple[AppFact, ...]:
    match command:
        case SpecifyApp():
            return _specified(app, command, command.spec, generation_of(app), may_be)
        case ScaleApp():
            spec = scaled(_standing(app, command.app).fact.spec, command.policy)
            return _specified(app, command, spec, generation_of(app), may_be)
        case UndoApp():
            back = undone(app, command.app, command.to).fact
            return _specified(app, command, back.spec, back.generation, may_be)
        case RestartApp():
            current = _standing(app, command.app)
            return _specified(app, command, current.fact.spec, next_generation(app), may_be)
        case _:
            assert_never(command)


def _specified(
    app: App, command: Wish, spec: AppSpec, generation: int, may_be: MayBe | None
) -> tuple[AppFact, ...]:
    fact = app.current.fact if app.current else None
    if fact is not None and (fact.spec, fact.generation) == (spec, generation):
        return ()
    if may_be is not None:
        may_be(app, spec, generation)
    return (
        AppSpecified(
            app=command.app,
            spec=spec,
            revision=revision_of(spec, generation),
            generation=generation,
            references=known_of(spec, fact.references if fact else {}),
            by=command.by,
            why=command.why,
            undoes=fact.revision if isinstance(command, UndoApp) and fact else "",
            at=command.at,
        ),
    )


def _paused(app: App, command: PauseApp) -> tuple[AppFact, ...]:
    current = _standing(app, command.app)
    revision = current.fact.revision
    if app.is_paused:
        return ()
    if not app.rolls:
        raise RefusedError(
            f"nothing is rolling in application {command.app!r}: revision {revision} has come to "
            "its end; there is nothing to pause",
            status=409,
        )
    return (
        RolloutPaused(
            app=command.app, revision=revision, by=command.by, why=command.why, at=command.at
        ),
    )


def _resumed(app: App, command: ResumeApp) -> tuple[AppFact, ...]:
    current = _standing(app, command.app)
    if not app.is_paused:
        raise RefusedError(
            f"application {command.app!r} is not paused; there is nothing to resume", status=409
        )
    return (
        RolloutResumed(
            app=command.app,
            revision=current.fact.revision,
            by=command.by,
            why=command.why,
            at=command.at,
        ),
    )


def _standing(app: App, name: str) -> Specified:
    """The spec that holds; RefusedError (404) where there is none."""
    if app.current is None:
        raise RefusedError(f"there is no application {name!r}", status=404)
    return app.current
