"""How a limit counts: one algorithm of a tagged union, ``{"kind": "token_bucket", …}``.

Each has the period that the limit's amount is for, but for those that need none. A reader that
meets a kind it does not know can't decide for that key until it is upgraded.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

Period = Annotated[float, msgspec.Meta(ge=0.001, le=315_576_000)]
"""Seconds: from a millisecond to ten years."""
Burst = Annotated[int, msgspec.Meta(ge=1, le=10**12)]


class Algorithm(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """The base of all of them."""


class Refill(StrEnum):
    """How a token bucket fills again."""

    CONTINUOUS = "continuous"
    WHOLE = "whole"  # all at once, a period after the first question to a full one


class Starts(StrEnum):
    """When a fixed window begins."""

    ALIGNED = "aligned"  # at multiples of the period since the epoch
    FIRST_HIT = "first_hit"


class Every(StrEnum):
    """How long a calendar quota lasts."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class TokenBucket(Algorithm, frozen=True, kw_only=True, tag="token_bucket"):
    """The amount comes in each period, and at most ``burst`` (None: the amount) are kept.

    Refilled whole there is no burst beside the amount.
    """

    period_s: Period
    burst: Burst | None = None
    refill: Refill = Refill.CONTINUOUS


class LeakyBucket(Algorithm, frozen=True, kw_only=True, tag="leaky_bucket"):
    """The amount leaks out in each period of what at most ``burst`` (None: the amount) hold."""

    period_s: Period
    burst: Burst | None = None


class Gcra(Algorithm, frozen=True, kw_only=True, tag="gcra"):
    """One each ``period_s`` / amount, and at most ``burst`` (None: the amount) at once."""

    period_s: Period
    burst: Burst | None = None


class FixedWindow(Algorithm, frozen=True, kw_only=True, tag="fixed_window"):
    """The amount in each window; across an edge of two it may be twice as much."""

    period_s: Period
    starts: Starts = Starts.ALIGNED


class MovingWindow(Algorithm, frozen=True, kw_only=True, tag="moving_window"):
    """The amount in any window of the period; costs an entry of memory for each hit."""

    period_s: Period


class SlidingCounter(Algorithm, frozen=True, kw_only=True, tag="sliding_counter"):
    """The amount in the last period, as two weighted windows estimate it."""

    period_s: Period


class CalendarQuota(Algorithm, frozen=True, kw_only=True, tag="calendar"):
    """The amount in each day, week, month or year of an IANA time zone."""

    every: Every
    zone: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "UTC"


class LifetimeQuota(Algorithm, frozen=True, kw_only=True, tag="lifetime"):
    """The amount, once."""


class Slots(Algorithm, frozen=True, kw_only=True, tag="slots"):
    """The amount of requests at once; a slot whose request never ends is free after ``ttl_s``.

    That has to be longer than the longest request. For the unit ``concurrency``, and only for it.
    """

    ttl_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 3600.0


AnyAlgorithm = (
    TokenBucket
    | LeakyBucket
    | Gcra
    | FixedWindow
    | MovingWindow
    | SlidingCounter
    | CalendarQuota
    | LifetimeQuota
    | Slots
)
