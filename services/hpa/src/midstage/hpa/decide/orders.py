"""Which facts an order makes in ``midstage.scaling.v1``: one, or a refusal.

An order takes the place of an earlier one of its kind. Each has an end, so that none is forgotten:
where it names none, the longest there may be.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from midstage.contracts.errors import RefusedError
from midstage.contracts.manual import (
    Direction,
    ManualFact,
    Override,
    OverrideLifted,
    OverrideSet,
    Pause,
    ScalingPaused,
    ScalingResumed,
)
from midstage.hpa.decide.scaling import ordered
from midstage.hpa.model import Asked, Scaler

LONGEST_ORDER: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOverride:
    """Ordered: at least ``least``, at most ``most`` replicas, before ``until``."""

    app: str
    least: int | None
    most: int | None
    by: str
    why: str
    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftOverride:
    """Ordered: the policy decides again."""

    app: str
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseScaling:
    """Ordered: no change that way before ``until``."""

    app: str
    direction: Direction
    by: str
    why: str
    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeScaling:
    """Ordered: scale again."""

    app: str
    by: str
    why: str
    at: datetime


Command = SetOverride | LiftOverride | PauseScaling | ResumeScaling


def decide(scaler: Scaler, asked: Asked | None, command: Command) -> tuple[ManualFact]:
    """The fact of a command; ``asked`` None: there was never such an application.

    RefusedError: 404 where there is no such application or nothing to take back, 409 where the
    application does not scale, 422 where the order contradicts itself or its time is wrong.
    """
    match command:
        case SetOverride():
            _scales(asked, command.app)
            return (_overridden(command),)
        case PauseScaling():
            _scales(asked, command.app)
            pause = Pause(
                by=command.by,
                why=command.why,
                at=command.at,
                until=_end(command.until, command.at),
                direction=command.direction,
            )
            return (ScalingPaused(app=command.app, pause=pause),)
        case LiftOverride(app=app, by=by, why=why, at=at):
            if ordered(scaler, at).override is None:
                raise RefusedError(_nothing(app, "override", scaler.manual.override), status=404)
            return (OverrideLifted(app=app, by=by, why=why, at=at),)
        case ResumeScaling(app=app, by=by, why=why, at=at):
            if ordered(scaler, at).pause is None:
                raise RefusedError(_nothing(app, "pause", scaler.manual.pause), status=404)
            return (ScalingResumed(app=app, by=by, why=why, at=at),)
        case _:
            assert_never(command)


def _overridden(command: SetOverride) -> OverrideSet:
    least, most = command.least, command.most
    if least is None and most is None:
        raise RefusedError("give replicas, or min, max or both")
    if least is not None and most is not None and least > most:
        raise RefusedError(f"min: {least} is more than max {most}")
    override = Override(
        by=command.by,
        why=command.why,
        at=command.at,
        until=_end(command.until, command.at),
        min=least,
        max=most,
    )
    return OverrideSet(app=command.app, override=override)


def _scales(asked: Asked | None, app: str) -> None:
    if asked is None or asked.removed:
        raise RefusedError(f"there is no application {app!r}", status=404)
    if asked.policy is None:
        raise RefusedError(
            f"application {app!r} has no scaling policy: its spec's replicas hold; change those",
            status=409,
        )


def _end(until: datetime | None, at: datetime) -> datetime:
    if until is None:
        return at + LONGEST_ORDER
    if until <= at:
        raise RefusedError(f"until: {until.isoformat()} is over")
    if until > at + LONGEST_ORDER:
        raise RefusedError(
            f"until: {until.isoformat()} is more than {LONGEST_ORDER.days} days ahead; "
            "what shall hold longer belongs into the policy"
        )
    return until


def _nothing(app: str, what: str, last: Override | Pause | None) -> str:
    over = "" if last is None else f"; the last one was over at {last.until.isoformat()}"
    return f"application {app!r} has no {what} in force{over}"
