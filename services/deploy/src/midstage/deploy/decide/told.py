"""Which facts make what was seen of a rollout: begun, gone on, ended; each is told once."""

from typing import assert_never

from midstage.contracts.apps import (
    AppFact,
    RolloutEnded,
    RolloutProgressed,
    RolloutStarted,
    Verdict,
)
from midstage.deploy.model import App, EndRollout, ProgressRollout, StartRollout


def told(app: App, seen: StartRollout | EndRollout | ProgressRollout) -> tuple[AppFact, ...]:
    """One fact, or none where it was told already or is overtaken."""
    match seen:
        case StartRollout():
            return _started(app, seen)
        case EndRollout():
            return _ended(app, seen)
        case ProgressRollout():
            return _progressed(app, seen)
        case _:
            assert_never(seen)


def _started(app: App, seen: StartRollout) -> tuple[AppFact, ...]:
    current, rollout = app.current, app.rollout
    overtaken = current is None or current.version != seen.carries
    if overtaken or (rollout is not None and rollout.started.revision == seen.revision):
        return ()
    return (
        RolloutStarted(
            app=seen.app,
            revision=seen.revision,
            previous=seen.previous,
            how=seen.how,
            at=seen.at,
        ),
    )


def _ended(app: App, seen: EndRollout) -> tuple[AppFact, ...]:
    """A verdict is told once; only a failure may still turn out well."""
    rollout = app.rollout
    if rollout is None or rollout.started.revision != seen.revision:
        return ()
    before = rollout.ended.verdict if rollout.ended else None
    if before is not None and (before, seen.verdict) != (Verdict.FAILED, Verdict.COMPLETE):
        return ()
    return (
        RolloutEnded(
            app=seen.app,
            revision=seen.revision,
            verdict=seen.verdict,
            reason=seen.reason,
            at=seen.at,
        ),
    )


def _progressed(app: App, seen: ProgressRollout) -> tuple[AppFact, ...]:
    rollout = app.rollout
    if rollout is None or rollout.started.revision != seen.revision or rollout.ended is not None:
        return ()
    fact = RolloutProgressed(
        app=seen.app,
        revision=seen.revision,
        wanted=seen.wanted,
        ready=seen.ready,
        old=seen.old,
        reason=seen.reason,
        at=seen.at,
    )
    last = rollout.progress
    is_same = last is not None and says(last) == says(fact)
    return () if is_same else (fact,)


def says(progress: RolloutProgressed | ProgressRollout) -> tuple[int, int, int, str]:
    """What a reader learns from it; told again only where this has changed."""
    return progress.wanted, progress.ready, progress.old, progress.reason
