"""Units are exact: what was written with six decimals is counted to the micro-unit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.errors import UnreadableError
from midstage.contracts.units import LARGEST, Micros, micros, total, units

amounts = st.integers(0, 10**15)
"""Micro-units up to a billion units, where a float still tells six decimals apart."""


@given(amounts)
def test_six_decimals_are_exact(amount: int) -> None:
    assert micros(float(Decimal(amount) / 1_000_000)) == amount


@given(st.integers(0, LARGEST))
def test_whole_units_are_exact_whatever_their_size(whole: int) -> None:
    assert micros(whole) == whole * 1_000_000


@given(st.integers(0, LARGEST))
def test_a_float_that_is_whole_is_exact_too(whole: int) -> None:
    assert micros(float(whole)) == whole * 1_000_000


@given(st.integers(10**14, 10**15 - 1), st.integers(3, 6))
def test_fifteen_digits_are_exact_also_where_a_float_blurs_the_sixth_decimal(
    digits: int, places: int
) -> None:
    written = Decimal(digits).scaleb(-places)
    assert micros(float(written)) == written * 1_000_000


@pytest.mark.parametrize("written", ["999999999999.1", "87654321098.7", "999999999999.875"])
def test_an_amount_near_the_largest_is_what_was_written(written: str) -> None:
    assert micros(float(written)) == Decimal(written) * 1_000_000


@given(amounts)
def test_what_is_written_is_read_back(amount: int) -> None:
    assert micros(units(amount)) == amount


@given(st.integers(0, 10**12).filter(lambda n: n % 10))
def test_seven_decimals_are_refused(ten_millionths: int) -> None:
    with pytest.raises(UnreadableError, match="six decimals"):
        micros(float(Decimal(ten_millionths) / 10_000_000))


@pytest.mark.parametrize("value", [1e-7, 1e-10, 5e-324, 0.1234567, 123456789.1234567, 1.0000001])
def test_however_small_the_rest_is_it_is_refused(value: float) -> None:
    with pytest.raises(UnreadableError, match="six decimals"):
        micros(value)


@pytest.mark.parametrize(
    "value", [-1, -0.000001, float("nan"), float("inf"), float("-inf"), LARGEST + 1, 1e300]
)
def test_no_amount_is_refused(value: float) -> None:
    with pytest.raises(UnreadableError, match="not between"):
        micros(value)


def test_a_sum_that_a_float_blurs_is_taken_as_meant() -> None:
    assert micros(0.1 + 0.2) == 300_000


def test_whole_amounts_are_written_whole() -> None:
    assert units(3_000_000) == 3
    assert isinstance(units(3_000_000), int)
    assert units(3_500_000) == 3.5


parts = st.dictionaries(st.sampled_from(["requests", "tokens", "images"]), amounts.map(Micros))


@given(st.data(), st.lists(parts, max_size=6))
def test_a_sum_does_not_depend_on_the_order(
    data: st.DataObject, given_parts: list[dict[str, Micros]]
) -> None:
    mixed = data.draw(st.permutations(given_parts))
    assert total(given_parts) == total(mixed)
    for name in {name for part in given_parts for name in part}:
        assert total(mixed)[name] == sum(part.get(name, 0) for part in given_parts)
