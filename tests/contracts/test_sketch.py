"""Sketches merge in any order and tell quantiles within one per cent."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.sketch import (
    ACCURACY,
    EMPTY,
    SMALLEST,
    Sketch,
    count,
    merged,
    quantile,
    sketch,
)

values = st.one_of(
    st.floats(SMALLEST, 1e9), st.floats(0, SMALLEST, exclude_max=True), st.floats(1, 5000)
)
samples = st.lists(values, max_size=80)


@given(st.lists(samples, max_size=5), st.data())
def test_a_merge_in_any_order_is_the_sketch_of_everything(
    parts: list[list[float]], data: st.DataObject
) -> None:
    everything = sketch(value for part in parts for value in part)
    mixed = data.draw(st.permutations(parts))
    assert merged(*(sketch(part) for part in mixed)) == everything


@given(samples, samples, samples)
def test_a_merge_of_merges_is_one_merge(a: list[float], b: list[float], c: list[float]) -> None:
    first, second, third = sketch(a), sketch(b), sketch(c)
    assert merged(merged(first, second), third) == merged(first, merged(second, third))


@given(st.lists(values, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_within_one_per_cent_of_the_exact_one(seen: list[float], q: float) -> None:
    exact = sorted(seen)[math.floor(q * (len(seen) - 1))]
    told = quantile(sketch(seen), q)
    assert told is not None
    if exact < SMALLEST:
        assert told == 0
    else:
        assert abs(told - exact) <= exact * (ACCURACY + 1e-9)


@given(samples)
def test_nothing_is_lost(seen: list[float]) -> None:
    assert count(sketch(seen)) == len(seen)


def test_an_empty_sketch_has_no_quantile() -> None:
    assert quantile(EMPTY, 0.5) is None
    assert merged() == EMPTY
    assert merged(EMPTY, sketch([3.0])) == sketch([3.0])


def test_zeros_are_counted_apart() -> None:
    assert sketch([0.0, 0.0, 5.0]).zeros == 2
    assert quantile(sketch([0.0, 0.0, 5.0]), 0.5) == 0.0


@pytest.mark.parametrize("q", [-0.01, 1.01, float("nan")])
def test_a_quantile_outside_of_0_to_1_is_an_error(q: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        quantile(sketch([1.0]), q)


def test_a_sketch_starts_and_ends_with_a_count() -> None:
    held = sketch([1.0, 1.0, 100.0])
    assert held.counts[0] == 2
    assert held.counts[-1] == 1
    assert merged(held, Sketch(lowest=held.lowest - 3, counts=(0, 0, 0))) == held
