"""The limits of ``midstage.limits.v1``: token buckets with burst, commands, checks and verdicts."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from midstage.contracts.limits import FailureRule, LimitSet

KEY_PREFIX = "limit/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One token bucket's rule; ``rate_micros`` is millionths of a token a second, at least 1."""

    name: str
    customer: str
    app: str
    rate_micros: int
    burst: int
    on_failure: FailureRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check gets: ``remaining`` whole tokens, and when there is more.

    ``wait_ns``: admitted, the time until the next whole token (0: the bucket is full); refused,
    the time until the same request would pass.
    """

    admitted: bool
    remaining: int
    wait_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question: may ``customer`` have ``hits`` tokens for a request to ``app``?"""

    customer: str
    app: str
    hits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The answer to a check that a limit holds for."""

    limit: Limit
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The state of one key ``limit/<name>``: the limit that stands there, if one does."""

    standing: LimitSet | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLimit:
    """Asked for: this limit shall hold from now on, whatever held under its name before."""

    limit: str
    customer: str
    app: str
    rate_per_s: float
    burst: int
    on_failure: FailureRule
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveLimit:
    """Asked for: the limit of this name shall hold no longer."""

    limit: str
    by: str
    why: str
    at: datetime


Command = SetLimit | RemoveLimit


def key_of(limit: str) -> str:
    """The key of a limit in the log."""
    return f"{KEY_PREFIX}{limit}"


def limit_of(fact: LimitSet) -> Limit:
    """The rule of a fact; a rate finer than a millionth is rounded down, but never to nothing."""
    return Limit(
        name=fact.limit,
        customer=fact.customer,
        app=fact.app,
        rate_micros=max(1, micros_per_s(fact.rate_per_s)),
        burst=fact.burst,
        on_failure=fact.on_failure,
    )


def micros_per_s(rate_per_s: float) -> int:
    """Whole millionths in the number as it is written: 0.29 is 290000, not 289999."""
    return int(Decimal(repr(rate_per_s)) * 1_000_000)
