"""Names of sources, numbers as text, and whose signature counts."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.edges import LARGEST_SEQ, edge_of, seq_number, seq_text, source_of
from midstage.contracts.errors import UnreadableError
from midstage.contracts.signature import genuine, sign

names = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True)
numbers = st.integers(1, LARGEST_SEQ)
KEYS = {"edge-1": b"k" * 32, "edge-2": b"q" * 32}


@given(names, names)
def test_a_source_names_its_edge(edge: str, file: str) -> None:
    assert edge_of(source_of(edge, file)) == edge


@pytest.mark.parametrize(
    "source",
    ["", "edges/", "edges/edge-1", "edges/edge-1/", "edges//file", "pods/edge-1/file", "x"],
)
def test_what_is_no_file_of_an_edge_is_unreadable(source: str) -> None:
    with pytest.raises(UnreadableError, match="edges/<edge>/<file>"):
        edge_of(source)


@given(numbers)
def test_a_number_survives_as_text(number: int) -> None:
    assert seq_number(seq_text(number)) == number
    assert len(seq_text(number)) == 20


@given(numbers, numbers)
def test_the_order_of_the_text_is_that_of_the_numbers(one: int, other: int) -> None:
    assert (seq_text(one) < seq_text(other)) == (one < other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0" * 20,
        "-0000000000000000001",
        "+0000000000000000001",
        " 0000000000000000001",
        "0000000000000000000a",
        "٠" * 19 + "١",
        seq_text(LARGEST_SEQ + 1),
        "9" * 20,
        "0" * 20 + "1",
    ],
)
def test_what_is_no_number_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableError, match="midstageseq"):
        seq_number(text)


sources = st.builds(source_of, st.just("edge-1"), names)


@given(sources, st.binary(max_size=200))
def test_what_an_edge_signed_is_genuine(source: str, value: bytes) -> None:
    mac = sign(key=KEYS["edge-1"], source=source, value=value)
    assert genuine(keys=KEYS, edge="edge-1", source=source, value=value, signature=mac)


@given(sources, st.binary(max_size=50), st.binary(max_size=50), sources)
def test_a_signature_counts_for_nothing_else(
    source: str, value: bytes, other: bytes, other_source: str
) -> None:
    mac = sign(key=KEYS["edge-1"], source=source, value=value)
    genuine_by = partial(genuine, keys=KEYS, signature=mac)
    assert not genuine_by(edge="edge-2", source=source, value=value)
    assert not genuine_by(edge="edge-3", source=source, value=value)
    assert genuine_by(edge="edge-1", source=source, value=other) == (other == value)
    assert genuine_by(edge="edge-1", source=other_source, value=value) == (other_source == source)
    assert not genuine(keys=KEYS, edge="edge-1", source=source, value=value, signature=None)
    assert not genuine(keys=KEYS, edge="edge-1", source=source, value=value, signature=b"\xff")


def test_a_byte_can_not_move_from_the_source_to_the_value() -> None:
    one = sign(key=KEYS["edge-1"], source="edges/a/b", value=b"c")
    other = sign(key=KEYS["edge-1"], source="edges/a/bc", value=b"")
    assert one != other


def test_the_signature_is_hmac_sha256_with_a_zero_byte_between() -> None:
    assert (
        sign(key=b"k" * 32, source="edges/edge-1/a", value=b"{}")
        == b"2ba151e6e9002466aa054c9d067e17627d42e280d16bb61181a0d8fd06dc3f8a"
    )
