"""A floor from the past: what it expects, when it holds, and that it lowers nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.forecast import Forecast, ForecastInput, Season
from midstage.contracts.policy import Targets
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.forecast.backtest import Verdict, tried, verdict
from midstage.hpa.decide.forecast.seasons import (
    DAY,
    Column,
    expected,
    maxima_of,
    packed,
    trailing,
    unpacked,
)
from tests.hpa.engine import figures, inputs, load, pods, policy, why

NOWHERE = float("nan")
SAID = Forecast()


def days(count: int, *, peak: float = 100.0, at: int = 120) -> Column:
    """Each day 10, and an hour of ``peak`` that comes from one slot to the next."""
    day = np.full(DAY, 10.0)
    day[at : at + 12] = peak
    return np.tile(day, count)


def test_what_is_expected_is_there_before_the_load_is_and_stays_for_a_while() -> None:
    found = expected(days(8), Season.DAY, ahead_s=480, hold_s=1800)
    today = found[7 * DAY : 8 * DAY]
    assert (today[117], today[118], today[120]) == (10, 100, 100)
    assert (today[131 + 6], today[131 + 7]) == (100, 10)


def test_one_odd_day_is_no_forecast_and_a_gap_is_none_either() -> None:
    odd, gone = days(8), days(8)
    odd[3 * DAY : 4 * DAY] = 10_000
    gone[2 * DAY : 5 * DAY] = NOWHERE
    for past in (odd, gone):
        today = expected(past, Season.DAY, ahead_s=480, hold_s=1800)[7 * DAY :]
        assert (today[50], today[125]) == (10, 100)


def test_a_past_of_one_day_says_nothing() -> None:
    assert np.isnan(expected(days(2), Season.DAY, ahead_s=480, hold_s=0)[:-1]).all()


def test_a_week_knows_its_sundays() -> None:
    past = np.concatenate([days(6), days(1, peak=10)] * 2)
    coming = expected(past, Season.WEEK, ahead_s=300, hold_s=0)
    assert (coming[13 * DAY + 125], coming[12 * DAY + 125]) == (10, 100)


def test_it_holds_where_it_would_have_helped() -> None:
    found = verdict(tried(days(10), SAID, cold_start_s=180), 10 * DAY)
    assert found.off == ""
    assert found.lost_with == 0 < found.lost_without


@pytest.mark.parametrize(
    ("past", "off"),
    [
        (np.full(10 * DAY, 10.0), "without it nothing was lost either"),
        (np.full(10 * DAY, NOWHERE), "too little of the past is known to test it"),
        (np.zeros(10 * DAY), "nothing was carried"),
        (days(2), "too little of the past is known to test it"),
    ],
)
def test_it_is_off_and_says_why(past: Column, off: str) -> None:
    assert verdict(tried(past, SAID, cold_start_s=180), len(past)).off == off


def test_it_is_off_where_peaks_come_at_any_time() -> None:
    """Each day's peak is where no earlier one was: the floor costs and does not help."""
    past = np.concatenate([days(1, at=20 * number) for number in range(12)])
    assert verdict(tried(past, SAID, cold_start_s=180), 12 * DAY).off.startswith("with it ")


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 11 * DAY), st.integers(0, 2**32 - 1))
def test_nothing_that_comes_later_changes_what_is_expected(now: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    past = days(12) * draw.uniform(0.5, 1.5, 12 * DAY)
    other = past.copy()
    other[now:] = draw.uniform(0, 1000, len(past) - now)
    same, also = (
        expected(each, Season.DAY, ahead_s=900, hold_s=1800)[: now + 1] for each in (past, other)
    )
    assert np.array_equal(same, also, equal_nan=True)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(st.floats(0, 1e12), st.just(NOWHERE)), min_size=1, max_size=50))
def test_what_is_kept_is_never_below_what_was_and_unknown_stays_unknown(
    values: list[float],
) -> None:
    column = np.array(values)
    again = unpacked(packed(column))
    assert np.array_equal(np.isnan(column), np.isnan(again))
    known = column[~np.isnan(column)]
    back = again[~np.isnan(again)]
    assert (back >= known * (1 - 1e-7) - 1e-37).all()
    assert (back <= known * 1.005 + 1e-37).all()
    assert packed(column).nbytes == 2 * len(values)


def test_a_slot_is_its_highest_minute() -> None:
    values = np.full(40, 1.0)
    values[4:8] = 9.0
    values[30] = 5.0  # a quarter of a minute
    assert maxima_of(values, step_s=15, mean_s=60).tolist() == [9.0, 2.0]
    assert trailing(np.array([3.0, NOWHERE, 1.0]), 1, 2).tolist()[1:] == [3.0, 3.0]


def forecast(**changed: object) -> ForecastInput:
    return ForecastInput(**{"carried": 75.0, **changed})  # type: ignore[arg-type]  # any field


def test_the_floor_holds_before_the_bounds_and_says_why() -> None:
    low = inputs(policy=policy(forecast=SAID), load=load(concurrency=20), forecast=forecast())
    assert evaluate(low).replicas == 8
    assert why(evaluate(low), "forecast floor") == "75 is expected by the day, 10 each"
    wide = policy(forecast=Forecast(margin=2.0))
    bounded = figures(evaluate(inputs(policy=wide, forecast=forecast())))
    assert (bounded["forecast floor"], bounded["bounds"]) == (15, 10)


def test_the_floor_never_lowers() -> None:
    high = inputs(policy=policy(forecast=SAID), load=load(concurrency=95), forecast=forecast())
    assert figures(evaluate(high))["forecast floor"] == 10


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "the forecast is off: nothing is known of the past"),
        (forecast(off="it does not help"), "the forecast is off: it does not help"),
        (
            forecast(carried=None),
            "the forecast is off: this time of earlier seasons is not known",
        ),
        (
            forecast(carried=NOWHERE),
            "the forecast is off: this time of earlier seasons is not known",
        ),
    ],
)
def test_a_floor_that_is_off_changes_nothing_and_says_why(
    found: ForecastInput | None, reason: str
) -> None:
    seen = {"load": load(concurrency=20), "pods": pods(4)}
    off = evaluate(inputs(policy=policy(forecast=SAID), forecast=found, **seen))
    without = evaluate(inputs(**seen))
    assert off.replicas == without.replicas
    assert why(off, "forecast floor") == reason


def test_without_a_total_there_is_nothing_to_foretell() -> None:
    by_cpu = inputs(policy=policy(targets=Targets(cpu=0.6), forecast=SAID), forecast=forecast())
    assert why(evaluate(by_cpu), "forecast floor") == ""


def test_a_verdict_says_how_much_time_it_is_of() -> None:
    assert Verdict(tested=DAY).tested_s == 86_400
