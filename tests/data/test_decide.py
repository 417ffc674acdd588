"""What is kept, closed and removed, from values alone."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.errors import RefusedError
from midstage.contracts.requests import Outcome, RequestCompleted
from midstage.data.decide import closing, decide, fingerprint, removed, slices, welcome
from midstage.data.model import Arrived, Download, Format, Known, Numbers, Part, Staged
from midstage.testkit.clock import NOON

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
NOTHING_KNOWN = Known(sources={}, fingerprints=frozenset())


def arrived(seq: int | None, *, event_id: str = "x", time: datetime = NOON) -> Arrived:
    fact = RequestCompleted(
        app="chat", customer="acme", status=200, outcome=Outcome.OK, duration_ms=1.0
    )
    return Arrived(
        source="s", id=event_id, seq=seq, time=time, fact=fact, micros={}, partition=0, offset=0
    )


def part(hour: int, number: int = 1, *, size: int = 100) -> Part:
    begin = NOON + hour * HOUR
    return Part(
        hour=begin, number=number, file="f", rows=1, bytes=size, sha256="", first=begin,
        last=begin, offsets={}, schema=1, created=NOON,
    )  # fmt: skip


@given(st.lists(st.integers(1, 40)))
def test_numbers_are_those_that_were_added_in_whatever_order(added: list[int]) -> None:
    held = Numbers()
    for number in added:
        if number not in held:
            held = held.plus(number)
    assert {number for number in range(42) if number in held} == set(added)
    gaps = [two[0] - one[1] for one, two in zip(held.spans, held.spans[1:], strict=False)]
    assert all(gap > 1 for gap in gaps), "spans don't touch"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6)), max_size=30), st.integers(0, 30))
def test_each_identity_is_kept_once_however_the_arrivals_are_cut(
    told: list[tuple[bool, int]], cut: int
) -> None:
    arrivals = [arrived(n) if numbered else arrived(None, event_id=f"{n}") for numbered, n in told]
    first = decide(NOTHING_KNOWN, arrivals[:cut], oldest=NOON)
    known = Known(
        sources={source.name: source for source in first.sources},
        fingerprints=frozenset(first.fingerprints),
    )
    second = decide(known, arrivals[cut:], oldest=NOON)
    kept = [*first.rows, *second.rows]
    assert len(kept) == len(set(told))
    assert first.repeated + second.repeated == len(told) - len(kept)


def test_an_identity_is_its_source_and_its_id_together() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_what_is_older_than_the_oldest_is_counted_and_leaves_nothing() -> None:
    batch = decide(
        NOTHING_KNOWN, [arrived(1, time=NOON - SECOND), arrived(None, time=NOON)], oldest=NOON
    )
    assert (len(batch.rows), batch.expired, batch.sources) == (1, 1, ())


def test_several_hours_are_closed_oldest_first() -> None:
    staged = [
        Staged(hour=NOON + n * HOUR, rows=1, first_at=NOON, last_at=NOON) for n in (2, 0, 9, 1)
    ]
    due = closing(staged, now=NOON + 4 * HOUR, grace=timedelta(minutes=5))
    assert due == (NOON, NOON + HOUR, NOON + 2 * HOUR)


@given(st.dictionaries(st.integers(0, 3599), st.integers(1, 9)), st.integers(1, 20))
def test_slices_cover_every_second_once_and_are_not_too_large(
    rows: dict[int, int], most: int
) -> None:
    seconds = [(NOON + n * SECOND, rows[n]) for n in sorted(rows)]
    spans = slices(seconds, most=most)
    inside = [[at for at, _ in seconds if span.begin <= at < span.end] for span in spans]
    assert [at for some in inside for at in some] == [at for at, _ in seconds]
    counts = dict(seconds)
    assert all(len(some) == 1 or sum(counts[at] for at in some) <= most for some in inside)


def test_parts_go_by_age_and_then_by_size_oldest_first() -> None:
    parts = [part(2), part(0), part(1, 2), part(1, 1)]
    now = NOON + 3 * HOUR
    assert removed(parts, now=now, retention=2 * HOUR, most_bytes=1000) == (parts[1],)
    assert removed(parts, now=now, retention=9 * HOUR, most_bytes=200) == (parts[1], parts[3])
    assert removed(parts, now=now, retention=9 * HOUR, most_bytes=400) == ()


def test_a_download_asked_for_again_is_the_same_and_another_one_is_refused() -> None:
    held = Download(id="a", format=Format.JSONL, filters={}, created=NOON, expires=NOON)
    assert welcome([held], replace(held, created=NOON + HOUR), most=1) is held
    assert welcome([], held, most=1) is None
    with pytest.raises(RefusedError, match="another download"):
        welcome([held], replace(held, filters={"app": "ocr"}), most=9)
    with pytest.raises(RefusedError, match="1 downloads already"):
        welcome([held], replace(held, id="b"), most=1)
