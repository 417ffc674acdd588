"""Quantities as Kubernetes writes them, by example and by property."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.cluster.kubernetes.quantities import asked_for, number, quantity, there
from midstage.contracts.cluster import Amount
from midstage.contracts.errors import UnreadableError

SUFFIXES = {
    **{"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1)},
    **{"k": Decimal(10) ** 3, "M": Decimal(10) ** 6, "G": Decimal(10) ** 9},
    **{"T": Decimal(10) ** 12, "P": Decimal(10) ** 15, "E": Decimal(10) ** 18},
    **{f"{s}i": Decimal(1024) ** n for n, s in enumerate("KMGTPE", start=1)},
    **{"e3": Decimal(1000), "E3": Decimal(1000), "e-2": Decimal("0.01"), "E+2": Decimal(100)},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("250m", "0.25"), ("1", "1"), ("0.5", "0.5"), (".5", "0.5"), ("5.", "5")),
        *(("100n", "1e-7"), ("3u", "3e-6"), ("1Ki", "1024"), ("1.5Gi", "1610612736")),
        *(("12e6", "12000000"), ("1E", "1e18"), ("1E2", "100"), ("1Ei", str(1024**6))),
        *(("-1", "-1"), ("+2k", "2000"), ("0", "0")),
    ],
)
def test_each_form_is_read(text: str, value: str) -> None:
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", "m", "1 Gi", "1gi", "1KI", "1.2.3", "one", "1e", "1e1.5", "--1", "1mm", "１", "NaN"],
)
def test_what_is_no_quantity_is_not_guessed(text: str) -> None:
    with pytest.raises(UnreadableError):
        quantity(text)
    assert number(text) == 0


@given(
    st.decimals(min_value=0, max_value=10**6, places=3),
    st.sampled_from(sorted(SUFFIXES)),
)
def test_a_quantity_is_its_number_times_its_suffix(value: Decimal, suffix: str) -> None:
    assert quantity(f"{value}{suffix}") == value * SUFFIXES[suffix]


@given(st.integers(0, 2**50))
def test_requests_are_never_less_and_room_is_never_more_than_is_so(size: int) -> None:
    amounts = {"memory": str(size)}
    assert asked_for(amounts).memory_mb * 2**20 >= size >= there(amounts).memory_mb * 2**20
    assert asked_for(amounts).memory_mb - there(amounts).memory_mb in (0, 1)


@given(st.text(max_size=12))
def test_no_text_breaks_the_reading_of_a_node(text: str) -> None:
    there({"cpu": text, "memory": text, "nvidia.com/gpu": text})


def test_amounts_of_a_node() -> None:
    told = {"cpu": "3920m", "memory": "16265692Ki", "nvidia.com/gpu": "4", "pods": "110"}
    assert there(told) == Amount(cpu=3.92, memory_mb=15884, gpus=4)
    assert there(None) == Amount()
