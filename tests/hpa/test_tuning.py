"""A policy tuned on one half: what is chosen, by what alone, and that strange loads are served."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from midstage.contracts.errors import UnreadableError
from midstage.contracts.forecast import Forecast
from midstage.hpa.decide.forecast.seasons import Column
from midstage.hpa.simulate.halves import Halves, halves
from midstage.hpa.simulate.money import at_violation, hpa
from midstage.hpa.simulate.tuning import Measured, chosen, grid
from tests.hpa.test_simulate import DAY, figures, series

THEIRS = tuple(
    Measured(
        policy=hpa(0.7, 300),
        figures=figures(cost=cost, violation=violation),
        violations=(violation, 2 * violation, 4 * violation),
    )
    for cost, violation in ((1.0, 0.04), (2.0, 0.02), (3.0, 0.0))
)


def measured(cost: float, *violations: float, reversals: float = 0.0) -> Measured:
    return Measured(
        policy=hpa(0.5, 300),
        figures=figures(cost=cost, violation=violations[0], reversals=reversals),
        violations=violations,
    )


def test_the_best_at_equal_money_is_chosen() -> None:
    dear, good = measured(2.0, 0.01, 0.02, 0.04), measured(1.0, 0.01, 0.02, 0.04)
    assert chosen([dear, good], THEIRS) is good


def test_one_that_fails_at_a_load_a_bit_higher_is_not() -> None:
    brittle, steady = measured(1.0, 0.0, 0.0, 0.2), measured(1.0, 0.01, 0.02, 0.04)
    assert chosen([brittle, steady], THEIRS) is steady


def test_one_that_is_better_by_chance_is_left_for_hpa() -> None:
    assert chosen([measured(1.0, 0.035, 0.07, 0.14)], THEIRS) is THEIRS[1]


def test_one_that_turns_often_is_not() -> None:
    restless, calm = measured(1.0, 0, 0, 0, reversals=40), measured(1.0, 0.02, 0.04, 0.08)
    assert chosen([restless, calm], THEIRS) is calm


def test_money_is_kept_to_and_none_for_so_little_is_said() -> None:
    good, cheap = measured(2.0, 0, 0, 0), measured(1.2, 0.02, 0.04, 0.08)
    assert chosen([good, cheap], THEIRS) is good
    assert chosen([good, cheap], THEIRS, money=1.5) is cheap
    with pytest.raises(UnreadableError, match=r"the cheapest costs 1\.200"):
        chosen([good, cheap], THEIRS, money=1.1)


def test_where_hpa_violates_nothing_nothing_is_shown() -> None:
    """At 2.99 HPA's violation is too small to say anything, however good the ratio is."""
    theirs = [
        replace(each, figures=replace(each.figures, cost=each.figures.cost + 1)) for each in THEIRS
    ]
    silent, telling = measured(3.7, 0, 0, 0), measured(2.0, 0.01, 0.02, 0.04)
    theirs[1] = replace(theirs[1], figures=replace(theirs[1].figures, violation=0.0005))
    assert chosen([silent, telling], theirs) is telling


def test_the_cost_of_no_more_violation_is_between_two_settings() -> None:
    baseline = [each.figures for each in THEIRS]
    assert at_violation(baseline, 0.03) == pytest.approx(1.5)
    assert at_violation(baseline, 0.5) == 1.0
    assert at_violation(baseline[:2], 0.01) == float("inf")


def test_what_is_tried_is_in_the_unit_of_the_load() -> None:
    tried = list(grid(20.0, 50))
    assert {policy.max for policy in tried} == {50}
    assert {policy.targets.requests_per_s for policy in tried} >= {10.0, 14.0}
    assert any(policy.forecast == Forecast() for policy in tried)
    assert len({repr(policy) for policy in tried}) == len(tried)


def tuned(values: Column, *, warm_up_s: float = 86_400.0) -> Halves:
    return halves(series(values), cold_start_s=180.0, warm_up_s=warm_up_s, each=1.0)


def shape(days: int) -> Column:
    """A day's load with a steep morning, and noise of minutes."""
    hours = np.arange(days * DAY) / 240
    day = (
        25 + 20 * np.sin((hours - 9) / 24 * 2 * np.pi) + 25 * ((hours % 24 > 8) & (hours % 24 < 12))
    )
    found: Column = day * np.repeat(np.random.default_rng(7).normal(1, 0.05, days * 1440), 4)
    return found


@pytest.mark.slow
def test_the_half_that_is_told_is_not_looked_at() -> None:
    values = shape(4)
    other = values.copy()
    other[2 * DAY :] = np.random.default_rng(3).uniform(0, 300, 2 * DAY)
    one, another = tuned(values), tuned(other)
    assert one.policy == another.policy
    assert one.first == another.first
    assert one.second != another.second


def grown(values: Column) -> Column:
    return values * np.linspace(1, 2.5, len(values))


def shifted(values: Column) -> Column:
    values[7 * DAY // 2 :] *= 0.4
    return values


def holiday(values: Column) -> Column:
    """In what is told one day is quiet, one is a rush at night."""
    values[4 * DAY : 5 * DAY] = 8.0
    values[5 * DAY + 240 : 5 * DAY + 960] += 60.0
    return values


def random_peaks(values: Column) -> Column:
    """Peaks of 20 minutes that no season knows."""
    draw = np.random.default_rng(5)
    flat = np.full(len(values), 20.0)
    for at in draw.integers(0, len(values) - 80, 60):
        flat[at : at + 80] *= draw.uniform(1.2, 2.5)
    return flat


@pytest.mark.slow
@pytest.mark.parametrize("changed", [grown, shifted, holiday, random_peaks])
def test_a_strange_load_is_no_worse_served_than_by_hpa(changed: Callable[[Column], Column]) -> None:
    found = tuned(changed(shape(6)))
    mine, theirs = found.second.figures, found.second.theirs
    assert mine.violation <= max(1.1 * theirs, 0.001), found
    assert mine.reversals <= 15


@pytest.mark.slow
def test_a_load_that_comes_again_is_served_at_half_the_violation() -> None:
    """A floor is there from the third day on, so the days before it are the warm-up."""
    found = tuned(shape(8), warm_up_s=2.5 * 86_400)
    assert found.policy.forecast is not None
    assert found.second.theirs > 0.001
    assert found.second.figures.violation <= 0.5 * found.second.theirs


def test_a_short_series_is_refused_with_what_would_do() -> None:
    with pytest.raises(UnreadableError, match=r"1\.0 days is too short.*give 3\.0 days"):
        tuned(np.ones(DAY))
    with pytest.raises(UnreadableError, match="no load"):
        halves(series(np.zeros(2 * DAY)), cold_start_s=60.0, warm_up_s=0.0)
