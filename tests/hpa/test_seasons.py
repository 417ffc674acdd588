"""The arithmetic of a forecast at its edges: slots, medians, what is tested, and what is lost."""

from datetime import UTC, datetime
from zlib import crc32

import numpy as np
import pytest

from midstage.contracts.forecast import Forecast, Season
from midstage.contracts.policy import Measure, Policy, Targets
from midstage.hpa.decide.forecast.backtest import Tried, Verdict, tried, verdict
from midstage.hpa.decide.forecast.floor import measure_of
from midstage.hpa.decide.forecast.foreseen import boundary, foreseen, looks
from midstage.hpa.decide.forecast.seasons import (
    DAY,
    SLOTS,
    Column,
    expected,
    maxima_of,
    packed,
    slots,
    trailing,
    unpacked,
)
from tests.hpa.engine import policy

NAN = float("nan")
TEN = 10
"""The slot of the day that the past below is of."""


def column(*values: float) -> Column:
    return np.array(values, dtype=np.float64)


def past(days: int, **of: float) -> Column:
    """Nothing is known but of slot ten of some days: ``d3=5`` is the fourth's."""
    found = np.full(days * DAY, NAN)
    for day, value in of.items():
        found[int(day[1:]) * DAY + TEN] = value
    return found


def same(found: Column, *values: float) -> bool:
    return bool(np.array_equal(found, column(*values), equal_nan=True))


@pytest.mark.parametrize(
    ("seconds", "count"), [(0, 0), (0.5, 1), (300, 1), (300.5, 2), (600, 2), (601, 3)]
)
def test_so_many_slots_hold_it(seconds: float, count: int) -> None:
    assert slots(seconds) == count


def test_a_fortnight_and_a_day_of_five_minutes_are_remembered() -> None:
    assert (DAY, SLOTS) == (288, 15 * 288)


def test_the_most_of_the_slots_before() -> None:
    values = column(1, 5, NAN, 2, NAN, NAN)
    assert same(trailing(values, 0, 0), 1, 5, NAN, 2, NAN, NAN)
    assert same(trailing(values, 0, 1), 1, 5, 5, 2, 2, NAN)
    assert same(trailing(values, 1, 2), NAN, 1, 5, 5, 2, 2)
    assert same(trailing(values, 9, 9), *[NAN] * 6)


@pytest.mark.parametrize(
    ("season", "held", "day", "value"),
    [
        (Season.DAY, past(4, d0=1, d1=5, d2=3), 3, 3),
        (Season.DAY, past(4, d1=5, d2=3), 3, 4),
        (Season.DAY, past(4, d2=3), 3, NAN),
        (Season.DAY, past(4, d1=5, d2=3, d3=100), 3, 4),
        (Season.DAY, past(5, d0=1, d1=5, d2=3, d3=9), 4, 4),
        (Season.DAY, past(9, d0=9, d1=1), 7, 5),
        (Season.DAY, past(9, d0=9, d1=1), 8, NAN),
        (Season.WEEK, past(15, d0=2, d7=6), 7, 2),
        (Season.WEEK, past(15, d0=2, d7=6), 14, 4),
        (Season.WEEK, past(15, d1=2), 14, NAN),
    ],
)
def test_expected_is_the_median_of_what_is_known_of_earlier_seasons(
    season: Season, held: Column, day: int, value: float
) -> None:
    found = expected(held, season, ahead_s=0, hold_s=0)
    assert len(found) == len(held) + 1
    assert same(found[[day * DAY + TEN]], value)


def test_it_is_ahead_and_held() -> None:
    found = expected(past(3, d0=4, d1=6), Season.DAY, ahead_s=600, hold_s=300)
    around = found[2 * DAY + TEN - 3 : 2 * DAY + TEN + 3]
    assert same(around, NAN, 5, 5, 5, 5, NAN)


def test_the_slot_that_comes_is_expected_too() -> None:
    held = np.concatenate((np.full(DAY, 4.0), np.full(DAY, 6.0)))
    assert expected(held, Season.DAY, ahead_s=0, hold_s=0)[-1] == 5


@pytest.mark.parametrize(
    ("values", "step_s", "mean_s", "found"),
    [
        (range(10), 60, 60, (4, 9)),
        (range(7), 60, 60, (4, 6)),
        ((0, 4, 0, 0, 8, 8), 60, 120, (4, 8)),
        ((3,), 60, 120, (3,)),
        ((3, 5), 60, 120, (4,)),
        ((3, 1, 2), 600, 60, (3, 1, 2)),
    ],
)
def test_slots_of_a_series(
    values: tuple[float, ...], step_s: float, mean_s: float, found: tuple[float, ...]
) -> None:
    assert same(maxima_of(column(*values), step_s=step_s, mean_s=mean_s), *found)


def test_two_bytes_hold_what_they_can_exactly_and_round_up_by_the_least() -> None:
    values = column(0, 1, 1.5, 256, NAN)
    assert same(unpacked(packed(values)), *values)
    assert packed(column(1.0))[0] + 1 == packed(column(1.0001))[0]
    assert packed(column(1.0))[0] + 1 == packed(column(1 + 2**-23))[0]
    assert packed(column(NAN))[0] == 65_535


def known(came: float, asked: float, floor: float, *, slots: int = 200) -> Tried:
    """The second half of it as said; in the first nothing came and half was asked for."""
    half = slots // 2
    return Tried(
        came=np.repeat([0.0, came], half),
        floor=np.repeat([0.0, floor], half),
        asked=np.repeat([asked, asked], half),
    )


def test_what_is_lost_is_told_at_equal_money() -> None:
    found = verdict(known(28, 7, 14), 200)
    assert (found.tested, found.off) == (200, "")
    assert found.lost_without == pytest.approx(13 / 28)  # 10.5 everywhere carry 15
    assert found.lost_with == pytest.approx(8 / 28)  # 14 carry 20
    worse = verdict(known(28, 7, 8), 200)
    assert worse.off == "with it 59.184% of the load were lost, 61.735% without it"


@pytest.mark.parametrize(
    ("given", "off"),
    [
        (known(28, 7, 14, slots=142), "too little of the past is known to test it"),
        (known(28, 7, 14, slots=144), ""),
        (known(0, 7, 14), "nothing was carried"),
        (known(28, 0, 14), "nothing was carried"),
        (known(0.004, 0.001, 0.002), ""),
        (known(20, 3.5, 7), ""),  # 0.5 is four fifths of 0.625
        (known(7, 7, 14), "without it nothing was lost either"),
    ],
)
def test_why_it_is_off(given: Tried, off: str) -> None:
    assert verdict(given, len(given.came)).off == off


def test_a_week_is_tested_and_what_is_not_known_is_not() -> None:
    long = known(28, 7, 14, slots=8 * DAY)
    assert verdict(long, 8 * DAY).tested == 7 * DAY
    assert verdict(long, 8 * DAY - 1).tested == 7 * DAY
    long.came[-5:] = NAN
    assert verdict(long, 8 * DAY).tested == 7 * DAY - 5


def test_nothing_tested_is_nothing_said() -> None:
    assert Verdict() == Verdict(tested=0, lost_without=0, lost_with=0, off="")


@pytest.mark.parametrize(
    ("cold_start_s", "hold_s", "asked"),
    [
        (240, 0, (NAN, 0, 0, 5, 0, 0)),
        (240.5, 0, (NAN, NAN, 0, 0, 5, 0)),
        (240, 300, (NAN, 0, 0, 5, 5, 0)),
    ],
)
def test_the_load_is_answered_a_cold_start_and_a_minute_later(
    cold_start_s: float, hold_s: float, asked: tuple[float, ...]
) -> None:
    found = tried(column(0, 0, 5, 0, 0, 0), Forecast(hold_s=hold_s), cold_start_s=cold_start_s)
    assert same(found.asked, *asked)


def test_the_floor_has_its_margin_and_its_lead() -> None:
    said = Forecast(margin=2.0, lead_s=600, hold_s=300)
    found = tried(past(3, d0=4, d1=6), said, cold_start_s=300)
    alone = expected(past(3, d0=4, d1=6), Season.DAY, ahead_s=900, hold_s=300)
    assert same(found.floor, *(2 * alone))


def test_an_hour_of_an_application_begins_at_its_own_time() -> None:
    for app in ("chat", "ocr"):
        own = crc32(app.encode()) % 3600
        hour = 1_700_000_000 // 3600 * 3600 + own
        for second in (hour, hour + 3599):
            now = datetime.fromtimestamp(second, UTC)
            assert boundary(app, now) == hour // 300 - 3


def test_an_hour_and_what_may_still_change_is_foreseen() -> None:
    held = np.concatenate((np.full(DAY, 4.0), np.full(DAY, 6.0)))
    found = foreseen(held, Forecast(margin=2.0), cold_start_s=60, before=9000)
    assert len(found.expected) == 12 + 3 + 1
    assert set(found.expected) == {5.0}
    assert (found.boundary, found.end) == (9000, 9000)
    hour = datetime.fromtimestamp(9000 * 300, UTC)
    assert (found.at(hour).carried, found.at(hour).until) == (5.0, hour)
    gap = foreseen(np.append(held, NAN), Forecast(), cold_start_s=60, before=9000)
    assert gap.end == 8999
    assert foreseen(column(NAN), Forecast(), cold_start_s=60, before=9000).end is None
    assert looks(Forecast(lead_s=300), 300.5) == (3, 2)


@pytest.mark.parametrize(
    ("of", "measure"),
    [
        (policy(), None),
        (policy(targets=Targets(cpu=0.5), forecast=Forecast()), None),
        (policy(forecast=Forecast()), Measure.CONCURRENCY),
        (policy(targets=Targets(requests_per_s=5), forecast=Forecast()), Measure.RPS),
    ],
)
def test_what_a_forecast_looks_at(of: Policy, measure: Measure | None) -> None:
    assert measure_of(of) is measure
