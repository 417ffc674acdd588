"""Each algorithm as a table: what is asked when, and what passes."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.meters.calendar import Every, calendar
from midstage.throttle.decide.meters.gcra import Gcra
from midstage.throttle.decide.meters.leaky import LeakyBucket
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.meters.sliding import MovingWindow, SlidingCounter
from midstage.throttle.decide.meters.slots import Slots
from midstage.throttle.decide.meters.window import (
    CalendarQuota,
    FirstHitWindow,
    FixedWindow,
    LifetimeQuota,
    RefilledBucket,
)
from midstage.throttle.model.account import Settlement

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
Row = tuple[float, int, bool, int]
"""At which second, how many units, whether they pass, what is left behind them."""

TABLES: dict[str, tuple[Callable[[], Meter], Sequence[Row]]] = {
    "token bucket": (
        lambda: TokenBucket(units=2_000_000, period_ns=10**15, burst=4, now_ns=0),
        [(0, 3, True, 1), (0, 2, False, 1), (0.5, 2, True, 0), (0.9, 1, False, 0), (1, 1, True, 0)],
    ),
    "gcra, a third of a second": (
        lambda: Gcra(units=3, period_ns=SECOND, burst=2, now_ns=0),
        [(0, 2, True, 0), (0.333333333, 1, False, 0), (0.333333334, 1, True, 0), (9, 2, True, 0)],
    ),
    "leaky bucket": (
        lambda: LeakyBucket(limit=10, period_ns=30 * SECOND, burst=20, now_ns=0),
        [(0, 20, True, 0), (2.9, 1, False, 0), (3, 1, True, 0), (63, 21, False, 20)],
    ),
    "fixed window": (
        lambda: FixedWindow(limit=10, period_ns=MINUTE, now_ns=0),
        [(59, 10, True, 0), (59.9, 1, False, 0), (60, 10, True, 0), (119, 0, True, 0)],
    ),
    "window from the first hit": (
        lambda: FirstHitWindow(limit=10, period_ns=MINUTE, now_ns=0),
        [(45, 0, True, 10), (50, 10, True, 0), (109, 1, False, 0), (110, 10, True, 0)],
    ),
    "bucket refilled whole": (
        lambda: RefilledBucket(limit=10, period_ns=MINUTE, now_ns=0),
        [(45, 0, True, 10), (50, 10, True, 0), (104, 1, False, 0), (105, 10, True, 0)],
    ),
    "moving window": (
        lambda: MovingWindow(limit=10, period_ns=MINUTE, now_ns=0),
        [(10, 1, True, 9), (50, 9, True, 0), (69.9, 1, False, 0), (70, 1, True, 0)],
    ),
    "sliding counter": (
        lambda: SlidingCounter(limit=100, period_ns=MINUTE, now_ns=0),
        [(10, 40, True, 60), (90, 80, True, 0), (90, 1, False, 0), (120, 21, False, 20)],
    ),
    "lifetime quota": (
        lambda: LifetimeQuota(limit=3),
        [(0, 2, True, 1), (10**9, 2, False, 1), (10**9, 1, True, 0), (2 * 10**9, 1, False, 0)],
    ),
    "slots": (
        lambda: Slots(limit=1, ttl_ns=MINUTE, now_ns=0),
        [(0, 0, True, 1), (0, 1, True, 0)],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_what_passes_and_what_is_left(name: str) -> None:
    make, rows = TABLES[name]
    meter = make()
    for at, units, passes, left in rows:
        now_ns = round(at * SECOND)
        assert meter.take(units, now_ns) is passes, (at, units)
        assert meter.remaining(now_ns) == left, (at, units)


@pytest.mark.parametrize("name", [name for name in TABLES if name != "bucket refilled whole"])
def test_who_took_nothing_leaves_no_trace(name: str) -> None:
    meter = TABLES[name][0]()
    assert meter.untouched(0)
    assert meter.take(1, 0, "a")
    meter.undo(1, "a")
    assert meter.untouched(0)


def test_a_calendar_day_is_a_day_of_its_zone() -> None:
    """Berlin puts its clocks forward on 2026-03-29: that day has 23 hours."""
    quota = CalendarQuota(limit=5, calendar=calendar(Every.DAY, "Europe/Berlin"), now_ns=0)
    assert quota.take(5, at("2026-03-28T23:30", "Europe/Berlin"))
    assert quota.take(5, at("2026-03-29T00:00", "Europe/Berlin"))
    assert not quota.take(1, at("2026-03-29T23:59", "Europe/Berlin"))
    assert quota.wait_ns(1, at("2026-03-29T00:00", "Europe/Berlin")) == MINUTE
    assert quota.take(5, at("2026-03-30T00:00", "Europe/Berlin"))


@pytest.mark.parametrize(
    ("every", "begins", "ends"),
    [
        (Every.DAY, "2026-03-29T00:00", "2026-03-30T00:00"),
        (Every.WEEK, "2026-03-23T00:00", "2026-03-30T00:00"),
        (Every.MONTH, "2026-03-01T00:00", "2026-04-01T00:00"),
        (Every.YEAR, "2026-01-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_periods_begin_and_end_at_midnight(every: Every, begins: str, ends: str) -> None:
    zone = "Europe/Berlin"
    assert calendar(every, zone)(at("2026-03-29T12:00", zone)) == (at(begins, zone), at(ends, zone))


def test_a_zone_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="Nowhere"):
        calendar(Every.DAY, "Europe/Nowhere")


def test_a_slot_belongs_to_its_request() -> None:
    slots = Slots(limit=2, ttl_ns=MINUTE, now_ns=0)
    assert slots.take(1, 0, "a")
    assert slots.take(1, 0, "a")
    assert slots.remaining(0) == 1
    slots.undo(1, "a")
    assert slots.remaining(0) == 1
    assert slots.take(1, 0, "b")
    assert not slots.take(1, 0, "c")
    assert slots.release("a")
    assert not slots.release("a")
    assert slots.take(1, 0, "c")


def test_a_retry_that_is_undone_keeps_the_slot_and_a_step_that_is_undone_whole_does_not() -> None:
    slots = Slots(limit=2, ttl_ns=MINUTE, now_ns=0)
    assert slots.take(1, 0, "a")
    assert slots.take(1, 0, "b")
    assert slots.take(1, 0, "a")
    slots.undo(1, "a")
    assert slots.remaining(0) == 0
    slots.release("b")
    assert slots.take(1, 0, "c")
    assert slots.take(1, 0, "c")
    slots.undo(1, "c")
    slots.undo(1, "c")
    assert list(slots.held) == ["a"]


def test_requests_without_an_id_share_no_slot() -> None:
    slots = Slots(limit=2, ttl_ns=MINUTE, now_ns=0)
    assert [slots.take(1, 0) for _ in range(3)] == [True, True, False]
    slots.undo(1)
    assert slots.remaining(0) == 1
    assert slots.remaining(MINUTE) == 2


def test_a_slot_whose_holder_died_comes_back() -> None:
    slots = Slots(limit=1, ttl_ns=MINUTE, now_ns=0)
    assert slots.take(1, 0, "dead")
    assert not slots.take(1, MINUTE - 1, "next")
    assert slots.wait_ns(1, MINUTE - 1) == 1
    assert slots.take(1, MINUTE, "next")
    assert not slots.release("dead")


def test_a_bucket_that_is_refilled_whole_moves_with_its_limit() -> None:
    bucket = RefilledBucket(limit=100, period_ns=9 * SECOND, now_ns=0)
    assert bucket.take(2, 0)
    bucket.follow(limit=10, period_ns=9 * SECOND, now_ns=0)
    assert bucket.remaining(0) == 8
    bucket.follow(limit=1, period_ns=9 * SECOND, now_ns=0)
    assert bucket.remaining(0) == 0
    bucket.follow(limit=1, period_ns=SECOND, now_ns=2 * SECOND)
    assert bucket.remaining(2 * SECOND) == 1


def test_debt_goes_into_the_next_windows() -> None:
    window = FixedWindow(limit=10, period_ns=MINUTE, now_ns=0)
    window.settle(Settlement(reserved=0, actual=25, taken_ns=0, now_ns=0, debt=100))
    assert window.remaining(0) == -15
    assert window.remaining(MINUTE) == -5
    assert window.wait_ns(1, MINUTE) == MINUTE
    assert window.wait_ns(6, MINUTE) == 2 * MINUTE
    assert window.remaining(2 * MINUTE) == 5


@pytest.mark.parametrize("name", [name for name in TABLES if name != "slots"])
def test_debt_has_a_bound(name: str) -> None:
    meter = TABLES[name][0]()
    meter.settle(Settlement(reserved=0, actual=10**6, taken_ns=0, now_ns=0, debt=7))
    assert meter.remaining(0) == -7
    assert not meter.take(0, 0)


def test_what_was_taken_in_a_window_that_is_over_does_not_come_back() -> None:
    for window in (
        FixedWindow(limit=10, period_ns=MINUTE, now_ns=0),
        MovingWindow(limit=10, period_ns=MINUTE, now_ns=0),
    ):
        assert window.take(8, 0)
        assert window.take(10, MINUTE)
        window.settle(Settlement(reserved=8, actual=1, taken_ns=0, now_ns=MINUTE))
        assert window.remaining(MINUTE) == 0
        window.settle(Settlement(reserved=10, actual=4, taken_ns=MINUTE, now_ns=MINUTE))
        assert window.remaining(MINUTE) == 6


def at(local: str, zone: str) -> int:
    time = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return int(time.timestamp()) * SECOND
