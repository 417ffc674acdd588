"""Sketches merge in any order and tell quantiles within one per cent."""

import itertools
import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts import packing
from midstage.contracts.exponential import error, exponential
from midstage.contracts.sketch import (
    ACCURACY,
    EMPTY,
    SMALLEST,
    Sketch,
    count,
    merged,
    packed,
    quantile,
    sketch,
    unpacked,
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


@given(samples)
def test_packed_and_spelt_out_mean_the_same(seen: list[float]) -> None:
    plain = sketch(seen)
    wire = packed(plain)
    assert unpacked(wire) == plain
    assert merged(wire, plain) == merged(plain, plain)
    assert (count(wire), quantile(wire, 0.5)) == (len(seen), quantile(plain, 0.5))
    assert msgspec.json.decode(msgspec.json.encode(wire), type=Sketch) == wire


@given(
    st.dictionaries(st.integers(-300, 1200), st.integers(1, packing.LARGEST_COUNT), max_size=40),
    st.integers(0, 10**12),
)
def test_whatever_can_be_counted_can_be_packed(tally: dict[int, int], zeros: int) -> None:
    held = sorted(tally.items())
    assert packing.read(packing.text(held, zeros=zeros)) == (zeros, held)


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
def test_ten_thousand_lognormal_values_take_at_most_400_bytes(sigma: float) -> None:
    chance = random.Random(7)
    wire = packed(sketch(chance.lognormvariate(5, sigma) for _ in range(10_000)))
    assert len(msgspec.json.encode(wire)) <= 400


def test_the_same_counts_have_the_same_bytes_however_they_came_together() -> None:
    whole = sketch([3.0, 5.0, 700.0, 0.0])
    parts = merged(sketch([700.0, 0.0]), packed(sketch([5.0])), sketch([3.0]))
    padded = Sketch(lowest=whole.lowest - 1, counts=(0, *whole.counts, 0), zeros=1)
    assert packed(parts) == packed(whole) == packed(padded) == packed(packed(whole))
    assert packed(whole).packed == "UO3WGof0"
    assert packed(EMPTY) == EMPTY


GOOD = packed(sketch([3.0, 5.0, 700.0, 0.0])).packed


@pytest.mark.parametrize(
    "said",
    [
        {"packed": "not base64"},
        {"packed": GOOD + "AAAA"},
        {"packed": GOOD[:4]},
        {"packed": "////"},
        {"packed": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
        {"packed": "A" * 100_000},
        {"packed": packing.text([(-2_000, 1)], zeros=0)},
        {"packed": packing.text([(40_000, 1)], zeros=0)},
        {"packed": packing.text([(1, 2**54)], zeros=0)},
        {"packed": packing.text([(1, 0)], zeros=0)},
        {"packed": packing.text([], zeros=2**60)},
        {"packed": GOOD, "zeros": 1},
        {"packed": GOOD, "counts": [1]},
        {"zeros": -1},
        {"lowest": 3, "counts": [1, -1]},
        {"lowest": 10**9, "counts": [1]},
    ],
)
def test_what_no_sketch_can_be_is_not_read(said: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(said), type=Sketch)


@given(st.text(alphabet="ABCDwxyz0189+/=", max_size=60))
def test_any_text_is_read_or_refused(said: str) -> None:
    try:
        held = msgspec.convert({"packed": said}, Sketch)
    except msgspec.ValidationError:
        return
    if count(held):
        assert quantile(held, 1.0) is not None
        assert packed(unpacked(held)) == held


@given(
    st.lists(st.floats(SMALLEST, 1e9), min_size=1, max_size=100), st.integers(0, 8), st.floats(0, 1)
)
def test_opentelemetrys_histogram_is_as_near_as_it_says(
    seen: list[float], scale: int, q: float
) -> None:
    found = exponential(packed(sketch([0.0, *seen])), scale=scale)
    assert (found.zero_count, sum(found.counts)) == (1, len(seen))
    rank = math.floor(q * (len(seen) - 1))
    exact = sorted(seen)[rank]
    edges = itertools.accumulate(found.counts)
    bucket = found.offset + next(i for i, upto in enumerate(edges) if rank < upto)
    base = 2.0 ** (2.0**-scale)
    told = 2 * base ** (bucket + 1) / (base + 1)
    assert abs(told - exact) <= exact * (error(scale) + 1e-9)


def test_a_scale_that_opentelemetry_does_not_know_is_an_error() -> None:
    assert error(6) < 0.016
    with pytest.raises(ValueError, match="scale 11"):
        exponential(EMPTY, scale=11)
