"""Figures at their edges: what is a measurement, and which noise orders no replica."""

import math
from datetime import timedelta

import pytest

from midstage.hpa.decide.figures import age_s, down, known, needed, shown, up
from midstage.testkit.clock import NOON


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, None),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (-1e-9, None),
        (0.0, 0.0),
        (-0.0, 0.0),
        (0.5, 0.5),
        (1e300, 1e300),
    ],
)
def test_a_measurement_is_finite_and_not_negative(value: float | None, found: float | None) -> None:
    assert known(value) == found


@pytest.mark.parametrize(
    ("carried", "each", "replicas"),
    [
        (10, 4, 2.5),
        (0, 4, 0),
        (-3, 4, 0),
        (0, 0, 0),
        (0.5, 0, 1e6),
        (0.5, -1, 1e6),
        (0.5, 1, 0.5),
        (0.5, 0.5, 1),
        (1e12, 1, 1e6),
        (1e6 - 1, 1, 1e6 - 1),
    ],
)
def test_so_many_carry_it(carried: float, each: float, replicas: float) -> None:
    assert needed(carried, each) == replicas


@pytest.mark.parametrize(
    ("exact", "rounded_up", "rounded_down"),
    [
        (3.0, 3, 3),
        (3.0000000004, 3, 3),
        (3.0000000006, 4, 3),
        (2.9999999996, 3, 3),
        (2.9999999994, 3, 2),
        (2.5, 3, 2),
        (0.0, 0, 0),
    ],
)
def test_nine_decimals_count(exact: float, rounded_up: int, rounded_down: int) -> None:
    assert (up(exact), down(exact)) == (rounded_up, rounded_down)


def test_what_is_ahead_of_us_is_new() -> None:
    assert age_s(NOON - timedelta(seconds=2.5), NOON) == 2.5
    assert age_s(NOON - timedelta(seconds=0.5), NOON) == 0.5
    assert age_s(NOON, NOON) == 0
    assert age_s(NOON + timedelta(seconds=0.5), NOON) == 0
    assert age_s(NOON + timedelta(seconds=9), NOON) == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [(2.0, "2"), (100.0, "100"), (0.1, "0.1"), (1234.5678, "1234.568"), (0.0004, "0")],
)
def test_a_figure_is_said_with_three_digits_at_most(value: float, said: str) -> None:
    assert shown(value) == said
