"""Which facts a command makes in ``midstage.apps.v1``, and what they fold to.

A command makes one fact or none: a spec that holds already, a rollout that was started or ended
already, appends nothing. So the version of the log is the number of its facts.
"""

from collections.abc import Callable
from typing import assert_never

from midstage.contracts.apps import (
    AppFact,
    AppRemoved,
    AppSpec,
    AppSpecified,
    RolloutEnded,
    RolloutPaused,
    RolloutProgressed,
    RolloutResumed,
    RolloutStarted,
    Verdict,
    revision_of,
)
from midstage.contracts.errors import RefusedError
from midstage.deploy.model import (
    App,
    Command,
    EndRollout,
    RemoveApp,
    Rollout,
    Specified,
    SpecifyApp,
    StartRollout,
    UndoApp,
    Wish,
)

HISTORY = 100
"""So many specs of an application are remembered, the newest."""

MayBe = Callable[[App, AppSpec], None]
"""Refuses (RefusedError) a spec that can't be carried out now; asked where the spec changes."""


def decide(app: App, command: Command, *, may_be: MayBe | None = None) -> tuple[AppFact, ...]:
    """The facts of a command: one, or none where it is so already.

    RefusedError (404) where there is no such application, (409) where there is nothing to undo to,
    and whatever ``may_be`` refuses.
    """
    match command:
        case SpecifyApp():
            return _specified(app, command, command.spec, may_be)
        case UndoApp():
            return _specified(app, command, undone(app, command.app).fact.spec, may_be)
        case RemoveApp():
            if app.current is None:
                raise _nothing(command.app)
            return (AppRemoved(app=command.app, by=command.by, why=command.why, at=command.at),)
        case StartRollout():
            return _started(app, command)
        case EndRollout():
            return _ended(app, command)
        case _:
            assert_never(command)


def undone(app: App, name: str) -> Specified:
    """The newest spec of another revision than the one that holds, of the application's own life.

    RefusedError: 404 where the application is not there, 409 where there is no such spec.
    """
    current = app.current
    if current is None:
        raise _nothing(name)
    for earlier in reversed(app.history):
        if earlier.version > app.since and earlier.fact.revision != current.fact.revision:
            return earlier
    raise RefusedError(
        f"application {name!r} has had no revision but {current.fact.revision}: nothing to undo",
        status=409,
    )


def evolve(app: App, fact: AppFact) -> App:
    """The application after a fact."""
    version = app.version + 1
    match fact:
        case AppSpecified():
            entry = Specified(version=version, fact=fact)
            history = (*app.history, entry)[-HISTORY:]
            return App(version=version, history=history, since=app.since, rollout=app.rollout)
        case AppRemoved():
            return App(version=version, history=app.history, removed=fact, since=version)
        case RolloutStarted():
            return _rolled(app, Rollout(started=fact))
        case RolloutEnded():
            ends = app.rollout is not None and app.rollout.started.revision == fact.revision
            started = app.rollout.started if app.rollout and ends else None
            return _rolled(app, Rollout(started=started, ended=fact) if started else app.rollout)
        case RolloutProgressed() | RolloutPaused() | RolloutResumed():
            return _rolled(app, app.rollout)
        case _:
            assert_never(fact)


def _rolled(app: App, rollout: Rollout | None) -> App:
    return App(
        version=app.version + 1,
        history=app.history,
        removed=app.removed,
        since=app.since,
        rollout=rollout,
    )


def _specified(app: App, command: Wish, spec: AppSpec, may_be: MayBe | None) -> tuple[AppFact, ...]:
    current = app.current
    if current is not None and current.fact.spec == spec:
        return ()
    if may_be is not None:
        may_be(app, spec)
    left = current.fact.revision if isinstance(command, UndoApp) and current else ""
    return (
        AppSpecified(
            app=command.app,
            spec=spec,
            revision=revision_of(spec),
            by=command.by,
            why=command.why,
            undoes=left,
            at=command.at,
        ),
    )


def _started(app: App, command: StartRollout) -> tuple[AppFact, ...]:
    current, rollout = app.current, app.rollout
    overtaken = current is None or current.version != command.carries
    if overtaken or (rollout is not None and rollout.started.revision == command.revision):
        return ()
    return (
        RolloutStarted(
            app=command.app,
            revision=command.revision,
            previous=command.previous,
            how=command.how,
            at=command.at,
        ),
    )


def _ended(app: App, command: EndRollout) -> tuple[AppFact, ...]:
    """A verdict is told once; only a failure may still turn out well."""
    rollout = app.rollout
    if rollout is None or rollout.started.revision != command.revision:
        return ()
    told = rollout.ended.verdict if rollout.ended else None
    if told is not None and (told, command.verdict) != (Verdict.FAILED, Verdict.COMPLETE):
        return ()
    return (
        RolloutEnded(
            app=command.app,
            revision=command.revision,
            verdict=command.verdict,
            reason=command.reason,
            at=command.at,
        ),
    )


def _nothing(name: str) -> RefusedError:
    return RefusedError(f"there is no application {name!r}", status=404)
