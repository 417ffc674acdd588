"""From a limit's terms to the meter that counts by them, and what a meter keeps when they change.

Where algorithm and unit stay what they were, what was counted stays counted; a bucket, a window, a
slot goes on under the new terms. Otherwise it begins anew: counts of another kind say nothing.
"""

from decimal import Decimal
from functools import lru_cache
from typing import assert_never

from midstage.contracts import algorithms
from midstage.contracts.algorithms import Refill, Starts
from midstage.contracts.limits import FailureRule, LimitSet, OpenTo, Terms
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.meters.calendar import Every, calendar
from midstage.throttle.decide.meters.gcra import Gcra
from midstage.throttle.decide.meters.leaky import LeakyBucket
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.meters.sliding import MovingWindow, SlidingCounter
from midstage.throttle.decide.meters.slots import Slots
from midstage.throttle.decide.meters.wall import OnWallClock, WallClock
from midstage.throttle.decide.meters.window import (
    CalendarQuota,
    FirstHitWindow,
    FixedWindow,
    LifetimeQuota,
    RefilledBucket,
)
from midstage.throttle.decide.room import Room
from midstage.throttle.model.account import CLOSED, OPEN, FailureTerms, OnFailure
from midstage.throttle.model.limits import Key, Whose

_NS_PER_S = 1_000_000_000


class LimitAccount:
    """The account of one meter of a limit, and what its failure rule lets pass meanwhile.

    There may be a million of them: what the limit says is asked of the limit.
    """

    __slots__ = ("counted", "fallback", "limit", "meter", "whose", "would_refuse")

    def __init__(self, limit: LimitSet, whose: Whose, now_ns: int, wall: WallClock) -> None:
        """Nothing counted yet; ``wall`` is for periods of the calendar.

        ``counted`` is the meter of the limit; ``meter``, which is asked, that or a room over it.
        """
        self.limit = limit
        self.whose = whose
        self.meter: Meter
        self.meter = self.counted = meter_of(limit, now_ns, wall)
        self.fallback = fallback_of(limit, now_ns)
        self.would_refuse = 0

    @property
    def key(self) -> Key:
        """Which counter it is, among all."""
        whose = self.whose
        if isinstance(whose, str):
            return (self.limit.limit, whose, "")
        return (self.limit.limit, *whose)

    @property
    def name(self) -> str:
        """The limit's."""
        return self.limit.limit

    @property
    def shadow(self) -> bool:
        """Whether it refuses nobody."""
        return self.limit.shadow

    @property
    def drain(self) -> bool:
        """Whether asking for too much takes what is left."""
        return self.limit.drain

    @property
    def debt(self) -> int:
        """How many units settling may go below nothing."""
        return self.limit.debt

    @property
    def on_failure(self) -> FailureTerms:
        """What holds for a check that can't be decided by count."""
        return failure_terms(self.limit)

    def follow(self, limit: LimitSet, now_ns: int, wall: WallClock) -> None:
        """Hold by ``limit`` from now on."""
        before = self.limit
        if not (_alike(before, limit) and _followed(self.counted, limit, now_ns)):
            self.meter = self.counted = meter_of(limit, now_ns, wall)
        elif isinstance(self.meter, Room):
            self.meter.changed()  # a strict meter takes nothing ahead
        if before.on_failure != limit.on_failure:
            self.fallback = fallback_of(limit, now_ns)
        self.limit = limit

    def untouched(self, now_ns: int) -> bool:
        """Whether a new account would answer alike for ever."""
        idle = self.fallback is None or self.fallback.untouched(now_ns)
        return idle and self.meter.untouched(now_ns)


def meter_of(  # noqa: C901, PLR0911  one case for each algorithm
    terms: Terms, now_ns: int, wall: WallClock
) -> Meter:
    """A new meter; ValueError for a time zone that nobody knows."""
    amount = terms.amount
    match terms.algorithm:
        case algorithms.TokenBucket(refill=Refill.WHOLE, period_s=period_s):
            return RefilledBucket(limit=amount, period_ns=ns(period_s), now_ns=now_ns)
        case algorithms.TokenBucket(period_s=period_s, burst=burst):
            return TokenBucket(
                units=amount, period_ns=ns(period_s), burst=burst or amount, now_ns=now_ns
            )
        case algorithms.LeakyBucket(period_s=period_s, burst=burst):
            return LeakyBucket(
                limit=amount, period_ns=ns(period_s), burst=burst or amount, now_ns=now_ns
            )
        case algorithms.Gcra(period_s=period_s, burst=burst):
            return Gcra(units=amount, period_ns=ns(period_s), burst=burst or amount, now_ns=now_ns)
        case algorithms.FixedWindow(period_s=period_s, starts=Starts.FIRST_HIT):
            return FirstHitWindow(limit=amount, period_ns=ns(period_s), now_ns=now_ns)
        case algorithms.FixedWindow(period_s=period_s):
            window = FixedWindow(
                limit=amount, period_ns=ns(period_s), now_ns=now_ns + wall.ahead_ns
            )
            return OnWallClock(window, wall)
        case algorithms.MovingWindow(period_s=period_s):
            return MovingWindow(limit=amount, period_ns=ns(period_s), now_ns=now_ns)
        case algorithms.SlidingCounter(period_s=period_s):
            return SlidingCounter(limit=amount, period_ns=ns(period_s), now_ns=now_ns)
        case algorithms.CalendarQuota(every=every, zone=zone):
            quota = CalendarQuota(
                limit=amount,
                calendar=calendar(Every(every.value), zone),
                now_ns=now_ns + wall.ahead_ns,
            )
            return OnWallClock(quota, wall)
        case algorithms.LifetimeQuota():
            return LifetimeQuota(limit=amount)
        case algorithms.Slots(ttl_s=ttl_s):
            return Slots(limit=amount, ttl_ns=ns(ttl_s), now_ns=now_ns)
        case _:
            assert_never(terms.algorithm)


def fallback_of(terms: Terms, now_ns: int) -> Meter | None:
    """What counts where the limit itself can't be counted by; None where its rule needs none."""
    match terms.on_failure:
        case OpenTo(amount=amount, period_s=period_s):
            return FirstHitWindow(limit=amount, period_ns=ns(period_s), now_ns=now_ns)
        case FailureRule():
            return None
        case _:
            assert_never(terms.on_failure)


def failure_terms(terms: Terms) -> FailureTerms:
    """What holds for a check that can't be decided by count."""
    match terms.on_failure:
        case OpenTo(amount=amount):
            return FailureTerms(rule=OnFailure.OPEN_TO, most=amount)
        case FailureRule.OPEN:
            return OPEN
        case FailureRule.CLOSED:
            return CLOSED
        case _:
            assert_never(terms.on_failure)


@lru_cache(maxsize=4096)
def ns(seconds: float) -> int:
    """Whole nanoseconds in the number as it is written; one object for all meters of a limit."""
    return int(Decimal(repr(seconds)) * _NS_PER_S)


def _alike(before: Terms, terms: Terms) -> bool:
    counted = (before.unit, before.aggregate, type(before.algorithm))
    return counted == (terms.unit, terms.aggregate, type(terms.algorithm))


def _followed(meter: Meter, terms: Terms, now_ns: int) -> bool:
    """Whether ``meter`` holds by ``terms`` now; False where they are for one of another kind."""
    amount = terms.amount
    match terms.algorithm, meter:
        case algorithms.TokenBucket(refill=Refill.WHOLE, period_s=period_s), RefilledBucket():
            meter.follow(limit=amount, period_ns=ns(period_s), now_ns=now_ns)
        case (
            algorithms.TokenBucket(refill=Refill.CONTINUOUS, period_s=period_s, burst=burst),
            TokenBucket(),
        ):
            full = burst or amount
            meter.follow(units=amount, period_ns=ns(period_s), burst=full, now_ns=now_ns)
        case algorithms.LeakyBucket(period_s=period_s, burst=burst), LeakyBucket():
            full = burst or amount
            meter.follow(limit=amount, period_ns=ns(period_s), burst=full, now_ns=now_ns)
        case algorithms.Gcra(period_s=period_s, burst=burst), Gcra():
            full = burst or amount
            meter.follow(units=amount, period_ns=ns(period_s), burst=full, now_ns=now_ns)
        case _:
            return _window_followed(meter, terms, now_ns)
    return True


def _window_followed(meter: Meter, terms: Terms, now_ns: int) -> bool:
    amount = terms.amount
    match terms.algorithm, meter:
        case algorithms.FixedWindow(starts=Starts.FIRST_HIT, period_s=period_s), FirstHitWindow():
            meter.follow(limit=amount, period_ns=ns(period_s), now_ns=now_ns)
        case (
            algorithms.FixedWindow(starts=Starts.ALIGNED, period_s=period_s),
            OnWallClock(meter=FixedWindow() as window),
        ):
            now_ns += meter.ahead_ns
            window.follow(limit=amount, period_ns=ns(period_s), now_ns=now_ns)
        case algorithms.MovingWindow(period_s=period_s), MovingWindow():
            meter.follow(limit=amount, period_ns=ns(period_s), now_ns=now_ns)
        case algorithms.SlidingCounter(period_s=period_s), SlidingCounter():
            meter.follow(limit=amount, period_ns=ns(period_s), now_ns=now_ns)
        case (
            algorithms.CalendarQuota(every=every, zone=zone),
            OnWallClock(meter=CalendarQuota() as quota),
        ):
            periods = calendar(Every(every.value), zone)
            quota.follow(limit=amount, calendar=periods, now_ns=now_ns + meter.ahead_ns)
        case algorithms.LifetimeQuota(), LifetimeQuota():
            meter.follow(limit=amount)
        case algorithms.Slots(ttl_s=ttl_s), Slots():
            meter.follow(limit=amount, ttl_ns=ns(ttl_s))
        case _:
            return False
    return True
