"""Since when each application is at its maximum, does not know an input, or lost its forecast.

Folded from the evaluations, of whatever process, in the order of their own times; one that comes
late changes nothing. Where nobody evaluated for some minutes nobody knows how it was, and it begins
anew.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from midstage.contracts.scaling import Evaluation

SILENCE: Final = timedelta(minutes=2)
FORGOTTEN: Final = timedelta(hours=1)
_SWEEP_EACH: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Holds ``since``; ``reason`` is of the newest evaluation."""

    since: datetime
    reason: str


class Forecasting(StrEnum):
    """Whether the floor of the past holds, as far as its test says."""

    NONE = "none"
    HOLDS = "holds"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What holds as of the evaluation made ``at``; None: it does not.

    ``forecast_off``: it held, and does no more; None where it is off as long as is known.
    """

    at: datetime
    at_maximum: Condition | None = None
    input_unknown: Condition | None = None
    forecast_off: Condition | None = None
    forecast: Forecasting = Forecasting.NONE


class Conditioned:
    """The conditions of all applications; not for two threads at once."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._held: dict[str, Conditions] = {}
        self._until_sweep = _SWEEP_EACH

    def apply(self, app: str, evaluation: Evaluation) -> None:
        """Take in an evaluation."""
        at = evaluation.inputs.now
        held = self._held.get(app)
        if held is not None and at <= held.at:
            return
        before = held if held is not None and at - held.at <= SILENCE else Conditions(at=at)
        self._held[app] = Conditions(
            at=at,
            at_maximum=_going_on(before.at_maximum, at, at_maximum(evaluation)),
            input_unknown=_going_on(before.input_unknown, at, input_unknown(evaluation)),
            forecast_off=_switched_off(held or before, evaluation),
            forecast=forecasting(evaluation),
        )
        self._sweep(at)

    def of(self, app: str) -> Conditions | None:
        """What holds; None: it was not evaluated lately."""
        return self._held.get(app)

    def _sweep(self, at: datetime) -> None:
        """Now and then forget the applications that nobody evaluates any more."""
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = _SWEEP_EACH
        for app in [app for app, held in self._held.items() if held.at < at - FORGOTTEN]:
            del self._held[app]


def at_maximum(evaluation: Evaluation) -> str:
    """Why nothing is left above the count; empty where something is.

    Without a want nobody knows whether more is needed; who has one count alone chose that.
    """
    policy, want = evaluation.inputs.policy, evaluation.want
    if policy.min == policy.max or evaluation.replicas < policy.max:
        return ""
    if want is None or want < policy.max:
        return ""
    return f"it wants {want}, the maximum is {policy.max}"


def input_unknown(evaluation: Evaluation) -> str:
    """The rules without valid input and why; empty where there is none."""
    missing = [each for each in evaluation.proposals if each.want is None]
    return "; ".join(f"{each.name or each.rule.value}: {each.reason}" for each in missing)


def forecasting(evaluation: Evaluation) -> Forecasting:
    """What the evaluation found of its policy's forecast."""
    if evaluation.inputs.policy.forecast is None:
        return Forecasting.NONE
    found = evaluation.inputs.forecast
    return Forecasting.HOLDS if found is not None and not found.off else Forecasting.OFF


def _switched_off(before: Conditions, evaluation: Evaluation) -> Condition | None:
    """What has never been known to hold was not switched off: it may be learning still."""
    if forecasting(evaluation) is not Forecasting.OFF:
        return None
    found, at = evaluation.inputs.forecast, evaluation.inputs.now
    reason = "nothing is known of the past" if found is None else found.off
    if before.forecast_off is not None:
        return Condition(since=before.forecast_off.since, reason=reason)
    held = before.forecast is Forecasting.HOLDS
    return Condition(since=at, reason=reason) if held else None


def _going_on(before: Condition | None, at: datetime, reason: str) -> Condition | None:
    if not reason:
        return None
    return Condition(since=at if before is None else before.since, reason=reason)
