"""What each algorithm promises, held in every window, with clocks that go back and at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.meters.calendar import Every, calendar
from midstage.throttle.decide.meters.gcra import Gcra
from midstage.throttle.decide.meters.leaky import LeakyBucket
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.meters.sliding import MovingWindow, SlidingCounter
from midstage.throttle.decide.meters.window import (
    CalendarQuota,
    FirstHitWindow,
    FixedWindow,
    LifetimeQuota,
    RefilledBucket,
)

LIMIT, PERIOD = 7, 1_000
DAY = 86_400 * 10**9

Passed = Sequence[tuple[int, int]]
"""When (as far as any clock has come) how many units passed; 0 of what was refused."""


def bucketwise(passed: Passed) -> bool:
    """At most the burst and what came in, between any two calls."""
    return all(
        sum(units for _, units in passed[first : last + 1]) * PERIOD
        <= LIMIT * PERIOD + LIMIT * (passed[last][0] - passed[first][0])
        for first in range(len(passed))
        for last in range(first, len(passed))
    )


def in_any_period(passed: Passed) -> bool:
    return all(
        sum(units for at, units in passed if begin <= at < begin + PERIOD) <= LIMIT
        for begin, _ in passed
    )


def in_aligned(period: int) -> Callable[[Passed], bool]:
    def holds(passed: Passed) -> bool:
        windows = {at // period for at, _ in passed}
        return all(
            sum(units for at, units in passed if at // period == window) <= LIMIT
            for window in windows
        )

    return holds


def from_first_hits(passed: Passed) -> bool:
    return from_first_questions([(at, units) for at, units in passed if units])


def from_first_questions(asked: Passed) -> bool:
    begin, used = -PERIOD, 0
    for at, units in asked:
        if at >= begin + PERIOD:
            begin, used = at, 0
        used += units
        if used > LIMIT:
            return False
    return True


def weighted(passed: Passed) -> bool:
    """The estimate holds at each call that passed."""
    for number, (at, _) in enumerate(passed):
        window, elapsed = divmod(at, PERIOD)
        before = passed[: number + 1]
        current = sum(units for then, units in before if then // PERIOD == window)
        previous = sum(units for then, units in before if then // PERIOD == window - 1)
        if previous * (PERIOD - elapsed) // PERIOD + current > LIMIT:
            return False
    return True


def ever(passed: Passed) -> bool:
    return sum(units for _, units in passed) <= LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    make: Callable[[], Meter]
    holds: Callable[[Passed], bool]
    scale: int = 1


def days() -> Meter:
    return CalendarQuota(limit=LIMIT, calendar=calendar(Every.DAY, "UTC"), now_ns=0)


TIMES = {"limit": LIMIT, "period_ns": PERIOD, "now_ns": 0}
PROMISES = {
    "token bucket": Promise(
        make=lambda: TokenBucket(units=LIMIT * 10**12, period_ns=10**15, burst=LIMIT, now_ns=0),
        holds=bucketwise,
    ),
    "gcra": Promise(
        make=lambda: Gcra(units=LIMIT, period_ns=PERIOD, burst=LIMIT, now_ns=0), holds=bucketwise
    ),
    "leaky bucket": Promise(make=lambda: LeakyBucket(burst=LIMIT, **TIMES), holds=bucketwise),
    "fixed window": Promise(make=lambda: FixedWindow(**TIMES), holds=in_aligned(PERIOD)),
    "first hit": Promise(make=lambda: FirstHitWindow(**TIMES), holds=from_first_hits),
    "refilled whole": Promise(make=lambda: RefilledBucket(**TIMES), holds=from_first_questions),
    "moving window": Promise(make=lambda: MovingWindow(**TIMES), holds=in_any_period),
    "sliding counter": Promise(make=lambda: SlidingCounter(**TIMES), holds=weighted),
    "calendar": Promise(make=days, holds=in_aligned(DAY), scale=DAY // PERIOD),
    "lifetime": Promise(make=lambda: LifetimeQuota(limit=LIMIT), holds=ever),
}
EACH = pytest.mark.parametrize("name", PROMISES)
pytestmark = pytest.mark.slow
calls = st.lists(
    st.tuples(
        st.one_of(st.just(0), st.integers(-300, 400), st.integers(0, 2500)), st.integers(0, 9)
    ),
    max_size=30,
)


@EACH
@settings(deadline=None, max_examples=40)
@given(asked=calls)
def test_no_window_passes_more_than_was_promised(name: str, asked: list[tuple[int, int]]) -> None:
    promise = PROMISES[name]
    meter, now, latest = promise.make(), 5_000 * promise.scale, 0
    passed: list[tuple[int, int]] = []
    for gap, units in asked:
        now = max(0, now + gap * promise.scale)
        latest = max(latest, now)
        passed.append((latest, units if meter.take(units, now) else 0))
    assert promise.holds(passed)


@EACH
@settings(deadline=None, max_examples=40)
@given(asked=calls)
def test_a_refused_call_and_one_undone_change_nothing(
    name: str, asked: list[tuple[int, int]]
) -> None:
    """A meter that hears only of what passed answers the same."""
    promise = PROMISES[name]
    troubled, calm, now = promise.make(), promise.make(), 5_000 * promise.scale
    for gap, units in asked:
        now += abs(gap) * promise.scale
        if not troubled.take(units, now):
            assert not calm.take(units, now)
            continue
        if units % 3 == 0:
            troubled.undo(units)
        else:
            assert calm.take(units, now)
        assert troubled.remaining(now) == calm.remaining(now)


@EACH
@settings(deadline=None, max_examples=40)
@given(asked=calls, wanted=st.integers(1, LIMIT))
def test_who_waits_as_told_passes_and_a_moment_earlier_does_not(
    name: str, asked: list[tuple[int, int]], wanted: int
) -> None:
    promise, begin = PROMISES[name], 5_000

    def after(wait: int) -> Meter:
        meter, now = promise.make(), begin * promise.scale
        for gap, units in asked:
            now += abs(gap) * promise.scale
            meter.take(units, now)
        assert meter.remaining(now + wait) is not None
        return meter

    end = (begin + sum(abs(gap) for gap, _ in asked)) * promise.scale
    wait = after(0).wait_ns(wanted, end)
    if wait is None:
        assert name == "lifetime"
        return
    assert after(0).take(wanted, end + wait)
    assert not wait or not after(0).take(wanted, end + wait - 1)


@EACH
@settings(deadline=None, max_examples=40)
@given(asked=calls)
def test_what_may_be_forgotten_is_as_a_new_one(name: str, asked: list[tuple[int, int]]) -> None:
    promise = PROMISES[name]
    meter, now = promise.make(), 5_000 * promise.scale
    for number, (gap, units) in enumerate(asked):
        now += abs(gap) * promise.scale
        meter.take(units, now)
        if not meter.untouched(now):
            continue
        new, later = promise.make(), now
        for next_gap, next_units in asked[number + 1 :]:
            later += abs(next_gap) * promise.scale
            assert new.take(next_units, later) == meter.take(next_units, later)
        return


@settings(deadline=None, max_examples=40)
@given(asked=calls)
def test_gcra_and_the_bucket_of_its_rate_admit_alike(asked: list[tuple[int, int]]) -> None:
    gcra, bucket, now = PROMISES["gcra"].make(), PROMISES["token bucket"].make(), 0
    for gap, units in asked:
        now += gap
        assert gcra.take(units, now) == bucket.take(units, now)
        assert gcra.remaining(now) == bucket.remaining(now)
