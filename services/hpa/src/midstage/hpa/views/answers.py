"""What hpa tells people: decisions, applications with what their rules last proposed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.contracts.scaling import EvaluationMade, Proposal
from midstage.hpa.model import Alarms, Asked, Scaler
from midstage.hpa.views import orders
from midstage.hpa.views.orders import OrderAnswer

DecisionAnswer = TypedDict(
    "DecisionAnswer",
    {"at": datetime, "app": str, "from": int, "to": int, "reason": str},
)
"""One change of a count; ``from`` 0: the first one."""


class DecisionsAnswer(TypedDict):
    """Decisions, the oldest first; and the orders that hold now."""

    decisions: list[DecisionAnswer]
    orders: list[OrderAnswer]


class RuleAnswer(TypedDict):
    """What a rule proposed last; ``want`` null: it had no valid input."""

    rule: str
    carried: float | None
    target: float
    want: int | None
    reason: str


class AppAnswer(TypedDict):
    """An application that scales; ``replicas`` 0: none decided; ``reason``: of ``evaluated_at``."""

    app: str
    replicas: int
    min: int
    max: int
    spec_version: int
    scale_version: int
    evaluated_at: datetime | None
    reason: str
    rules: list[RuleAnswer]


class AppsAnswer(TypedDict):
    """Applications that scale, by name."""

    apps: list[AppAnswer]


class AlarmAnswer(TypedDict):
    """An alarm that stands: so ``since`` then, told ``at``."""

    app: str
    alarm: str
    since: datetime
    at: datetime
    reason: str


class AlarmsAnswer(TypedDict):
    """Alarms that stand, by application."""

    alarms: list[AlarmAnswer]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionsQuery:
    """Of which application (None: all), from when, before when, the newest so many."""

    app: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100


def decisions(
    scalers: Mapping[str, Scaler], query: DecisionsQuery, now: datetime
) -> DecisionsAnswer:
    """The newest decisions that the query asks for; of each application the last 500 are known."""
    found = [
        _decision(name, at=each.at, before=each.before, after=each.after, reason=each.reason)
        for name, scaler in scalers.items()
        if query.app in (None, name)
        for each in scaler.decisions
        if (query.since is None or each.at >= query.since)
        and (query.until is None or each.at < query.until)
    ]
    found.sort(key=lambda each: (each["at"], each["app"]))
    return {
        "decisions": found[-query.limit :],
        "orders": orders.standing(scalers, query.app, now),
    }


def apps(
    specs: Mapping[str, tuple[int, Asked]],
    scalers: Mapping[str, tuple[int, Scaler]],
    latest: Mapping[str, EvaluationMade],
) -> AppsAnswer:
    """The applications whose spec has a policy."""
    none = (0, Scaler())
    scaling = [
        _app(name, spec, scalers.get(name, none), latest.get(name))
        for name, spec in sorted(specs.items())
        if spec[1].policy is not None
    ]
    return {"apps": [each for each in scaling if each is not None]}


def alarms(held: Mapping[str, Alarms], app: str | None) -> AlarmsAnswer:
    """Those that stand, of one application or of all."""
    found = [
        each
        for name, alarms in sorted(held.items())
        if app in (None, name)
        for _, each in sorted(alarms.raised.items())
    ]
    return {
        "alarms": [
            {
                "app": each.app,
                "alarm": each.alarm.value,
                "since": each.since,
                "at": each.at,
                "reason": each.reason,
            }
            for each in found
        ]
    }


def _decision(app: str, *, at: datetime, before: int, after: int, reason: str) -> DecisionAnswer:
    return {"at": at, "app": app, "from": before, "to": after, "reason": reason}


def _app(
    name: str,
    spec: tuple[int, Asked],
    scaler: tuple[int, Scaler],
    made: EvaluationMade | None,
) -> AppAnswer | None:
    policy = spec[1].policy
    if policy is None:
        return None
    evaluation = None if made is None else made.evaluation
    return {
        "app": name,
        "replicas": scaler[1].count,
        "min": policy.min,
        "max": policy.max,
        "spec_version": spec[0],
        "scale_version": scaler[0],
        "evaluated_at": None if evaluation is None else evaluation.inputs.now,
        "reason": "" if evaluation is None else evaluation.reason,
        "rules": _rules(() if evaluation is None else evaluation.proposals),
    }


def _rules(proposals: Iterable[Proposal]) -> list[RuleAnswer]:
    return [
        {
            "rule": each.rule.value,
            "carried": each.carried,
            "target": each.target,
            "want": each.want,
            "reason": each.reason,
        }
        for each in proposals
    ]
