"""Bounds by the clock: exact, ready at their start, whatever the clock does."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.policy import Rate, Targets
from midstage.contracts.scaling import Inputs
from midstage.contracts.timed import Timed, Weekday
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.timed import Window, bounds, instant, windows, within
from midstage.testkit.clock import NOON
from tests.hpa.engine import ago, inputs, load, pods, policy, why

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
FREE = Timed(name="day", floor=5, begin="08:00", end="18:00", zone="Europe/Berlin")


def at(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def all_of(rule: Timed, since: str, until: str) -> list[tuple[str, str]]:
    """Its windows as UTC texts, in order."""
    found = sorted(windows(rule, at(since), at(until)), key=lambda window: window.begin)
    return [(f"{each.begin:%m-%d %H:%M}", f"{each.end:%m-%d %H:%M}") for each in found]


def test_a_window_is_by_the_clock_of_its_zone() -> None:
    assert all_of(FREE, "2026-01-05", "2026-01-05 12:00") == [("01-05 07:00", "01-05 17:00")]
    assert all_of(FREE, "2026-07-06", "2026-07-06 12:00") == [("07-06 06:00", "07-06 16:00")]


def test_the_hour_that_spring_leaves_out_begins_at_the_change() -> None:
    """Clocks go from 02:00 to 03:00, 01:00 UTC, on 2026-03-29."""
    night = Timed(name="n", floor=5, begin="02:30", end="05:00", zone="Europe/Berlin")
    assert all_of(night, "2026-03-29", "2026-03-29 12:00") == [("03-29 01:00", "03-29 03:00")]
    hidden = Timed(name="n", floor=5, begin="02:10", end="02:50", zone="Europe/Berlin")
    assert all_of(hidden, "2026-03-29", "2026-03-29 12:00") == []


def test_the_hour_that_autumn_has_twice_begins_the_first_time() -> None:
    """Clocks go from 03:00 back to 02:00, 01:00 UTC, on 2026-10-25."""
    night = Timed(name="n", floor=5, begin="02:30", end="05:00", zone="Europe/Berlin")
    assert all_of(night, "2026-10-25", "2026-10-25 12:00") == [("10-25 00:30", "10-25 04:00")]


def test_a_window_over_night_is_of_the_day_that_it_begins_on() -> None:
    night = Timed(
        name="n", floor=5, begin="22:00", end="06:00", days=(Weekday.FRIDAY,), zone="Europe/Berlin"
    )
    assert all_of(night, "2026-01-09", "2026-01-12") == [("01-09 21:00", "01-10 05:00")]
    assert within(night, at("2026-01-10 04:59")) is not None
    assert within(night, at("2026-01-10 05:00")) is None


def test_a_window_over_a_change_of_the_clock_ends_by_the_clock() -> None:
    night = Timed(name="n", floor=5, begin="22:00", end="06:00", zone="Europe/Berlin")
    [(begin, end)] = all_of(night, "2026-03-28 21:00", "2026-03-28 21:00")
    assert (begin, end) == ("03-28 21:00", "03-29 04:00")


def test_days_and_single_dates_are_added_and_excluded_ones_left_out() -> None:
    rule = Timed(
        name="d",
        floor=5,
        begin="10:00",
        end="11:00",
        days=(Weekday.MONDAY,),
        dates=("2026-01-07",),
        exclude=("2026-01-12", "2026-01-18/2026-01-20"),
    )
    found = [begin for begin, _ in all_of(rule, "2026-01-01", "2026-02-01")]
    assert found == ["01-05 10:00", "01-07 10:00", "01-26 10:00"]
    only = Timed(name="d", floor=5, begin="10:00", end="11:00", dates=("2026-12-24",))
    assert all_of(only, "2026-12-01", "2027-01-01") == [("12-24 10:00", "12-24 11:00")]


def test_cron_begins_by_the_clock_of_its_zone_and_lasts_as_long_as_it_says() -> None:
    rule = Timed(
        name="c", floor=5, cron="0 9 * * 1-5", duration_s=5400, zone="Europe/Berlin",
        exclude=("2026-03-27",),
    )  # fmt: skip
    assert all_of(rule, "2026-03-26", "2026-03-31") == [
        ("03-26 08:00", "03-26 09:30"),
        ("03-30 07:00", "03-30 08:30"),
    ]


def test_cron_holds_from_its_very_second_to_its_last_whoever_asked_before() -> None:
    """Its windows are kept by the minute; within that the second counts."""
    five = Timed(name="c", floor=5, cron="*/5 * * * *", duration_s=90)
    six = Timed(name="s", floor=5, cron="30 */5 * * * *", duration_s=10)
    noon = at("2026-01-05 12:00")
    for seconds in (600, 30, 0, 29.999, 90, 89.999, 40, 299.999, 300, 39.999):
        now, into = noon + timedelta(seconds=seconds), seconds % 300
        assert (within(five, now) is not None) == (into < 90)
        assert (within(six, now) is not None) == (30 <= into < 40)


def test_cron_in_the_hour_that_is_left_out_begins_once_that_day() -> None:
    rule = Timed(name="c", floor=5, cron="30 2 * * *", duration_s=3600, zone="Europe/Berlin")
    spring = all_of(rule, "2026-03-29", "2026-03-29 20:00")
    autumn = all_of(rule, "2026-10-25", "2026-10-25 20:00")
    assert [begin for begin, _ in spring] == ["03-29 01:00"]
    assert [begin for begin, _ in autumn] == ["10-25 00:30"]


@pytest.mark.parametrize(
    ("now", "holds"),
    [
        ("00:29:59", False),
        ("00:30:00", True),
        ("00:59:58", True),
        ("00:59:59", True),
        ("01:00:00", True),
        ("01:29:59", True),
        ("01:59:59", True),
        ("02:00:00", False),
    ],
)
def test_cron_holds_on_while_the_clock_shows_an_hour_again(now: str, *, holds: bool) -> None:
    """From 02:30 on, for 90 minutes; clocks go from 03:00 back to 02:00, 01:00 UTC."""
    rule = Timed(name="c", floor=5, cron="30 2 * * *", duration_s=5400, zone="Europe/Berlin")
    assert (within(rule, at(f"2026-10-25 {now}")) is not None) is holds


def test_a_floor_is_never_late_and_cron_without_a_time_is_none() -> None:
    begins = Timed(name="b", floor=3, begin="12:00", end="13:00")
    assert bounds((begins,), NOON, lead_s=-5).floor is not None
    assert bounds((begins,), NOON - timedelta(seconds=0.5), lead_s=0).floor is None
    assert within(Timed(name="c", floor=5, cron="* * * * *"), NOON) is None


def test_cron_counts_from_its_begin_to_the_last_moment() -> None:
    noon = at("2026-01-05 12:00")
    blink = Timed(name="c", floor=5, cron="* * * * *", duration_s=1e-6)
    assert within(blink, noon) is not None
    assert within(blink, noon + timedelta(microseconds=1)) is None


def test_of_one_rules_windows_the_one_that_ends_last_is_told() -> None:
    often = Timed(name="c", floor=5, cron="*/5 * * * *", duration_s=600)
    found = within(often, at("2026-01-05 12:02"))
    assert found is not None
    assert (found.begin, found.end) == (at("2026-01-05 12:00"), at("2026-01-05 12:10"))


def test_every_minute_that_is_left_out_is_the_moment_of_the_change() -> None:
    for minute in range(60):
        left_out = datetime(2026, 3, 29, 2, minute)  # noqa: DTZ001  of the clock on the wall
        assert instant(left_out, BERLIN) == at("2026-03-29 01:00")


def test_a_window_is_over_when_it_ends_and_one_of_the_same_time_lasts_a_day() -> None:
    assert all_of(FREE, "2026-01-05 17:00", "2026-01-05 18:00") == []
    whole = Timed(name="w", floor=5, begin="08:00", end="08:00", days=(Weekday.MONDAY,))
    assert all_of(whole, "2026-01-05", "2026-01-08") == [("01-05 08:00", "01-06 08:00")]


def test_of_overlapping_windows_the_highest_floor_and_the_lowest_ceiling_count() -> None:
    rules = (
        Timed(name="a", floor=3, begin="11:00", end="13:00"),
        Timed(name="b", floor=7, ceiling=9, begin="11:30", end="12:30"),
        Timed(name="c", ceiling=8, begin="12:00", end="14:00"),
        Timed(name="d", floor=99, begin="13:00", end="14:00"),
    )
    found = bounds(rules, NOON, lead_s=0)
    assert found.floor is not None
    assert found.ceiling is not None
    assert (found.floor.replicas, found.floor.window.name) == (7, "b")
    assert (found.ceiling.replicas, found.ceiling.window.name) == (8, "c")


def test_a_rule_that_can_not_be_read_says_nothing_and_stops_no_other() -> None:
    rules = (
        Timed(name="a", floor=9, begin="11:00", end="13:00", zone="Nowhere/At_All"),
        Timed(name="b", floor=8, cron="rubbish", duration_s=60),
        Timed(name="c", floor=7),
        Timed(name="e", floor=6, begin="11:00"),
        Timed(name="f", floor=5, end="13:00"),
        Timed(name="d", floor=3, begin="11:00", end="13:00"),
    )
    found = bounds(rules, NOON, lead_s=0)
    assert found.floor is not None
    assert found.floor.replicas == 3


def timed(*rules: Timed, **changed: object) -> Inputs:
    """4 replicas that 40 in flight just fill, 1 to 60, with bounds by the clock."""
    rates = {"up": Rate(pods=1, percent=0), "down": Rate(pods=1, percent=0)}
    return inputs(
        **{
            "policy": policy(max=60, timed=rules, stabilise_down_s=300, **rates),
            "load": load(concurrency=40),
            **changed,
        }
    )


NOW = Timed(name="launch", floor=45, ceiling=45, begin="11:00", end="13:00")


def test_45_is_45() -> None:
    """From below and from above, at once, past windows, rates and tolerance."""
    assert evaluate(timed(NOW)).replicas == 45
    assert evaluate(timed(NOW, current=50, wants=(ago(9, 50),))).replicas == 45
    assert evaluate(timed(NOW, current=46)).replicas == 45
    busy = timed(NOW, current=45, load=load(concurrency=600), pods=pods(45))
    assert evaluate(busy).replicas == 45
    assert why(evaluate(busy), "timed ceiling").startswith("launch is at most 45 until 2026-01-01")


def test_a_floor_lets_load_want_more_and_a_ceiling_less() -> None:
    floor = Timed(name="f", floor=3, begin="11:00", end="13:00")
    ceiling = Timed(name="c", ceiling=6, begin="11:00", end="13:00")
    assert evaluate(timed(floor)).replicas == 4
    assert evaluate(timed(ceiling)).replicas == 4
    assert evaluate(timed(ceiling, load=load(concurrency=90), current=6)).replicas == 6


def test_a_window_is_full_at_its_start() -> None:
    """Its replicas are ordered the cold start, and 10 s for the way, before it begins."""
    soon = Timed(name="soon", floor=20, begin="12:05", end="13:00")
    assert evaluate(timed(soon, cold_start_s=289.0)).replicas == 4
    ordered = evaluate(timed(soon, cold_start_s=290.0))
    assert ordered.replicas == 20
    assert why(ordered, "timed floor") == "soon is at least 20 from 2026-01-01T12:05:00+00:00 on"
    unmeasured = Timed(name="soon", floor=20, begin="12:01", end="13:00")
    assert evaluate(timed(unmeasured)).replicas == 20


def test_a_ceiling_does_not_hold_before_its_window() -> None:
    soon = Timed(name="soon", ceiling=2, begin="12:01", end="13:00")
    assert evaluate(timed(soon, cold_start_s=600.0)).replicas == 4


def test_a_ceiling_wins_over_a_floor_and_the_maximum_over_both() -> None:
    floor = Timed(name="f", floor=9, begin="11:00", end="13:00")
    ceiling = Timed(name="c", ceiling=2, begin="11:00", end="13:00")
    assert evaluate(timed(floor, ceiling)).replicas == 2
    assert evaluate(timed(Timed(name="f", floor=900, begin="11:00", end="13:00"))).replicas == 60


def test_bounds_by_the_clock_hold_even_when_nothing_is_known() -> None:
    blind = timed(NOW, load=load(), pods=(), cluster_at=None, current=50)
    assert evaluate(blind).replicas == 45


def test_what_a_window_asked_for_is_no_want_of_the_load() -> None:
    """So that its end is no reason to stay high."""
    assert evaluate(timed(NOW)).want == 4


def test_a_policy_of_windows_alone_is_at_its_minimum_outside() -> None:
    later = Timed(name="later", floor=45, begin="13:00", end="14:00")
    alone = policy(min=2, max=60, targets=Targets(), timed=(NOW,))
    assert evaluate(inputs(policy=alone)).replicas == 45
    outside = msgspec.structs.replace(alone, timed=(later,))
    assert (evaluate(inputs(policy=outside)).replicas, evaluate(inputs(policy=outside)).want) == (
        2,
        2,
    )
    assert evaluate(inputs(policy=outside, cluster_at=None)).replicas == 4


moments = st.integers(0, 3 * 365 * 24 * 60).map(
    lambda minute: at("2025-01-01") + minute * DAY / 1440
)
clocks = st.times().map(lambda time: f"{time:%H:%M}")


@settings(max_examples=150, deadline=None)
@given(moments, clocks, clocks, st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]))
def test_a_daily_window_holds_just_when_the_clock_of_its_zone_is_within_it(
    now: datetime, begin: str, end: str, zone: str
) -> None:
    """But for the nights when the clock is turned, which have tests of their own."""
    rule = Timed(name="x", floor=1, begin=begin, end=end, zone=zone)
    local = now.astimezone(ZoneInfo(zone))
    turned = any(
        (local + hours * DAY / 24).utcoffset()
        != (now + hours * DAY / 24).astimezone(local.tzinfo).utcoffset()
        or (now + hours * DAY / 24).astimezone(local.tzinfo).utcoffset() != local.utcoffset()
        for hours in (-36, -12, 12, 36)
    )
    clock = f"{local:%H:%M}"
    inside = begin <= clock < end if begin < end else clock >= begin or clock < end
    if not turned:
        assert (within(rule, now) is not None) == inside
    found: Window | None = within(rule, now)
    assert found is None or found.begin <= now < found.end
