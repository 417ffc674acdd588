"""What the facts of an application's log fold to; none is ever refused.

A pause belongs to a revision: another spec of the same revision keeps it, another revision does
not. A spec counts as complete once a rollout of its revision was, in the same life of the
application.
"""

from dataclasses import replace
from typing import assert_never

from midstage.contracts.apps import (
    AppFact,
    AppRemoved,
    AppSpecified,
    RolloutEnded,
    RolloutPaused,
    RolloutProgressed,
    RolloutResumed,
    RolloutStarted,
    Verdict,
)
from midstage.deploy.model import App, Rollout, Specified

HISTORY = 100
"""So many specs of an application are remembered, the newest."""


def evolve(app: App, fact: AppFact) -> App:
    """The application after a fact."""
    app = replace(app, version=app.version + 1)
    match fact:
        case AppSpecified():
            return _specified(app, fact)
        case AppRemoved():
            return replace(app, removed=fact, since=app.version, rollout=None, paused=None)
        case RolloutStarted():
            return replace(app, rollout=Rollout(started=fact))
        case RolloutPaused():
            return replace(app, paused=fact)
        case RolloutResumed() | RolloutProgressed() | RolloutEnded():
            return _told(app, fact)
        case _:
            assert_never(fact)


def _specified(app: App, fact: AppSpecified) -> App:
    rollout, paused = app.rollout, app.paused
    entry = Specified(
        version=app.version,
        fact=fact,
        complete=rollout is not None
        and rollout.started.revision == fact.revision
        and rollout.ended is not None
        and rollout.ended.verdict is Verdict.COMPLETE,
    )
    return replace(
        app,
        history=(*app.history, entry)[-HISTORY:],
        removed=None,
        paused=paused if paused is not None and paused.revision == fact.revision else None,
    )


def _told(app: App, fact: RolloutResumed | RolloutProgressed | RolloutEnded) -> App:
    """What was told of a rollout; of an older one than the newest it changes nothing."""
    rollout = app.rollout
    if rollout is None or rollout.started.revision != fact.revision:
        return replace(app, paused=None) if isinstance(fact, RolloutResumed) else app
    match fact:
        case RolloutResumed(at=at):
            return replace(app, paused=None, rollout=replace(rollout, resumed_at=at))
        case RolloutProgressed():
            return replace(app, rollout=replace(rollout, progress=fact))
        case RolloutEnded():
            ended = replace(app, paused=None, rollout=replace(rollout, ended=fact))
            return _completed(ended, fact) if fact.verdict is Verdict.COMPLETE else ended
        case _:
            assert_never(fact)


def _completed(app: App, fact: RolloutEnded) -> App:
    """All specs of the revision count as complete."""
    return replace(
        app,
        history=tuple(
            replace(entry, complete=True)
            if entry.fact.revision == fact.revision and entry.version > app.since
            else entry
            for entry in app.history
        ),
    )
