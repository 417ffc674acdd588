"""What the API answers, and how facts and judgements are put into it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.contracts import algorithms
from midstage.contracts.limits import CustomerPlanned, LimitFact, LimitSet, Terms
from midstage.eventlog.versions import Answer
from midstage.throttle.model.limits import named_by

Value = str | int | float
"""Of an algorithm's or a failure rule's fields."""
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))


class LimitAnswer(TypedDict):
    """A limit that stands; ``version`` counts the changes under its name.

    ``says``: how much in which time, for people.
    """

    limit: str
    customer: str
    aggregate: bool
    key: str
    plan: str
    app: str
    match: dict[str, str]
    unit: str
    amount: int
    says: str
    algorithm: dict[str, Value]
    on_failure: str | dict[str, Value]
    drain: bool
    debt: int
    shadow: bool
    strict: bool
    overrides: list[str]
    by: str
    why: str
    at: datetime
    version: int


class LimitsAnswer(TypedDict):
    """The limits that stand, by name."""

    limits: list[LimitAnswer]


class PlanAnswer(TypedDict):
    """The plan that a customer is on, since when, by whom and why."""

    customer: str
    plan: str
    by: str
    why: str
    at: datetime
    version: int


class PlansAnswer(TypedDict):
    """Who is on which plan, by customer."""

    customers: list[PlanAnswer]


class CommandAnswer(TypedDict):
    """What became of a command; ``repeated``: it had been carried out before.

    ``kind`` says whether ``name`` is a limit's or a customer's.
    """

    kind: Literal["limit", "customer"]
    name: str
    version: int
    command_id: str
    repeated: bool


class LimitLeft(TypedDict):
    """A limit that a customer meets, what is used of it, and what is left.

    ``wait_s``: until there is more, or until the request that was asked about would pass; null: not
    ever, or there is all. ``overridden_by``: limits for whose requests it does not hold.
    """

    limit: str
    app: str
    unit: str
    says: str
    quota: int
    used: int
    remaining: int
    wait_s: float | None
    on_failure: str | dict[str, Value]
    shadow: bool
    overridden_by: list[str]
    because: str
    by: str
    why: str
    at: datetime


class LeftAnswer(TypedDict):
    """What a customer has left of each limit that its requests meet."""

    customer: str
    plan: str | None
    limits: list[LimitLeft]


class ForeseenAnswer(TypedDict):
    """What a check would say; nothing was charged. ``retry_after_s`` null: it would never pass."""

    admitted: bool
    violated: list[str]
    retry_after_s: float | None
    limits: list[LimitLeft]


class SettledAnswer(TypedDict):
    """The request whose use was taken note of; told again, it changes nothing."""

    request: str


def limit(fact: LimitSet, version: int) -> LimitAnswer:
    """A limit with all that it says."""
    return {
        "limit": fact.limit,
        "customer": fact.customer,
        "aggregate": fact.aggregate,
        "key": fact.key,
        "plan": fact.plan,
        "app": fact.app,
        "match": dict(fact.match),
        "unit": fact.unit,
        "amount": fact.amount,
        "says": says(fact),
        "algorithm": _fields(fact.algorithm),
        "on_failure": on_failure(fact),
        "drain": fact.drain,
        "debt": fact.debt,
        "shadow": fact.shadow,
        "strict": fact.strict,
        "overrides": list(fact.overrides),
        "by": fact.by,
        "why": fact.why,
        "at": fact.at,
        "version": version,
    }


def says(terms: Terms) -> str:
    """``100 tokens per 1 min, 500 at once``; whether all customers have it together."""
    return f"{_says(terms)}, over all customers" if terms.aggregate else _says(terms)


def _says(terms: Terms) -> str:
    algorithm, much = terms.algorithm, f"{terms.amount} {terms.unit}"
    match algorithm:
        case algorithms.TokenBucket() | algorithms.LeakyBucket() | algorithms.Gcra():
            burst = f", {algorithm.burst} at once" if algorithm.burst else ""
            return f"{much} per {_period(algorithm.period_s)}{burst}"
        case algorithms.CalendarQuota(every=every, zone=zone):
            return f"{much} each {every.value} of {zone}"
        case algorithms.LifetimeQuota():
            return f"{much} for ever"
        case algorithms.Slots():
            return f"{terms.amount} requests at once"
        case _:
            return f"{much} in {_period(algorithm.period_s)}"


def _period(seconds: float) -> str:
    """In the longest unit of which it is a whole number."""
    for unit, length in _UNITS:
        if seconds % length == 0:
            return f"{seconds // length:.15g} {unit}"
    return f"{seconds:.15g} s"


def plan(fact: CustomerPlanned, version: int) -> PlanAnswer:
    """A customer's plan with all that it says."""
    return {
        "customer": fact.customer,
        "plan": fact.plan,
        "by": fact.by,
        "why": fact.why,
        "at": fact.at,
        "version": version,
    }


def outcome(answer: Answer[LimitFact]) -> CommandAnswer:
    """What became of a command."""
    return {
        "kind": "limit" if answer.key.startswith("limit/") else "customer",
        "name": named_by(answer.key),
        "version": answer.version,
        "command_id": answer.command_id,
        "repeated": answer.repeated,
    }


def on_failure(fact: LimitSet) -> str | dict[str, Value]:
    """The failure rule: a word, or how many pass in which time."""
    rule = fact.on_failure
    return _fields(rule) if isinstance(rule, msgspec.Struct) else rule.value


def _fields(part: msgspec.Struct) -> dict[str, Value]:
    """With its defaults: who reads an answer need not know them."""
    tag = part.__struct_config__.tag
    kind: Mapping[str, Value] = {} if tag is None else {"kind": str(tag)}
    fields = msgspec.to_builtins(
        {name: value for name, value in msgspec.structs.asdict(part).items() if value is not None}
    )
    return {**kind, **fields}
