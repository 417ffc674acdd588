"""What counts: stories of single chunks, and the whole against an independent counter."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.fact import Event
from midstage.contracts.requests import Outcome, RequestCompleted
from midstage.eventlog.log import Partition
from midstage.stats.decide import hashed
from midstage.stats.model import Batch, Beat, Beaten, Closing, Ended, Sums

from .conftest import NOON, decided, request
from .memory import MemoryLedger

SOURCE = "edges/edge-1/a"
EventRead = Event[RequestCompleted]
Told = EventRead | Beaten | Ended


def counted(seq: int | None, source: str = SOURCE, **said: object) -> EventRead:
    return request(source, seq, **said)  # type: ignore[arg-type]  # a test's own words


def beaten(highest: int, *, second: int = 0) -> Beaten:
    at = NOON + timedelta(seconds=second)
    beat = Beat(at=at, highest=highest, complete_until=at, newest=True, gauges=())
    return Beaten(source=SOURCE, edge="edge-1", beat=beat)


def ended(highest: int, torn: int = 0) -> Ended:
    return Ended(source=SOURCE, edge="edge-1", closing=Closing(at=NOON, highest=highest, torn=torn))


def batch_of(ledger: MemoryLedger, chunk: Sequence[Told]) -> Batch:
    events = [each for each in chunk if isinstance(each, Event)]
    return decided(ledger, events, tuple(each for each in chunk if not isinstance(each, Event)))


def after(*chunks: Sequence[Told]) -> MemoryLedger:
    """A ledger that was given these chunks."""
    ledger = MemoryLedger()
    place = Partition(topic="t", number=0)
    for number, chunk in enumerate(chunks):
        batch = batch_of(ledger, chunk)
        ledger.commit(batch, begins={place: number}, ends={place: number + 1})
    return ledger


def amounts(sums: Sums, kind: str) -> dict[str, int]:
    """Of one cell by name."""
    return {
        name: amount
        for of, name, amount in zip(sums.kind, sums.name, sums.amount.tolist(), strict=True)
        if of == kind
    }


def test_a_number_counts_once_within_a_chunk_and_across_chunks() -> None:
    ledger = after([counted(1), counted(1), counted(2)], [counted(2), counted(3)])
    assert ledger.rows.seq.tolist() == [1, 2, 3]
    assert ledger.micros["input_tokens"] == 9_000_000


def test_the_same_number_of_another_source_is_another_request() -> None:
    ledger = after([counted(1), counted(1, source="edges/edge-1/b")])
    assert len(ledger.rows) == 2


def test_an_event_without_a_number_counts_once_by_source_and_id() -> None:
    same = counted(None, source="jobs", event_id="x")
    other = counted(None, source="jobs", event_id="y")
    elsewhere = counted(None, source="batch", event_id="x")
    ledger = after([same, same], [other, same, elsewhere])
    assert list(zip(ledger.rows.source, ledger.rows.id, strict=True)) == [
        ("jobs", "x"),
        ("jobs", "y"),
        ("batch", "x"),
    ]


def test_source_and_id_are_not_run_together() -> None:
    names = [("a", "bc"), ("ab", "c"), ("a\0b", "c"), ("a", "b\0c")]
    assert len({tuple(mark) for mark in hashed(names).tolist()}) == 4


def test_a_request_counts_in_its_own_minute_of_utc() -> None:
    late = counted(1, time=NOON + timedelta(seconds=59.999999))
    batch = batch_of(MemoryLedger(), [late, counted(2, time=NOON + timedelta(seconds=60))])
    assert minutes(batch) == [NOON, NOON + timedelta(minutes=1)]


def test_a_request_before_1970_counts_in_its_own_minute_too() -> None:
    old = NOON.replace(year=1969) + timedelta(seconds=59.5)
    assert minutes(batch_of(MemoryLedger(), [counted(1, time=old)])) == [NOON.replace(year=1969)]


def test_a_time_with_another_zone_counts_in_its_minute_of_utc() -> None:
    there = timezone(timedelta(hours=5, minutes=45, seconds=30))
    assert minutes(batch_of(MemoryLedger(), [counted(1, time=NOON.astimezone(there))])) == [NOON]


def test_what_is_not_billed_counts_as_an_outcome_and_adds_no_units() -> None:
    failed = counted(1, outcome=Outcome.ERROR, status=500)
    batch = batch_of(MemoryLedger(), [failed])
    assert amounts(batch.sums, "outcome") == {"error": 1}
    assert amounts(batch.sums, "unit") == {}
    assert batch.rows.usage.of(0) == {"requests": 1_000_000, "input_tokens": 3_000_000}


def test_bytes_are_added_up_whether_billed_or_not() -> None:
    lines = [counted(n, outcome=Outcome.ERROR, bytes_in=2**62, bytes_out=n) for n in (1, 2, 3)]
    sums = batch_of(MemoryLedger(), lines).sums
    assert amounts(sums, "bytes") == {"in": 3 * 2**62, "out": 6}


def test_a_unit_that_is_zero_is_said_to_be_zero() -> None:
    sums = batch_of(MemoryLedger(), [counted(1, usage={"input_tokens": 0})]).sums
    assert amounts(sums, "unit") == {"input_tokens": 0}


def test_what_each_source_added_to_each_hour_is_told() -> None:
    lines = [counted(seq, time=NOON + timedelta(hours=seq // 3)) for seq in (1, 2, 3, 5)]
    hours = batch_of(MemoryLedger(), [*lines, counted(None, source="jobs")]).hours
    columns = (hours.hour, hours.rows, hours.first_seq, hours.last_seq)
    told = zip(hours.source, *(column.tolist() for column in columns), strict=True)
    noon = round(NOON.timestamp() * 1e6)
    assert sorted(tuple(each) for each in told) == [
        (SOURCE, noon, 2, 1, 2),
        (SOURCE, noon + 3_600_000_000, 2, 3, 5),
        ("jobs", noon, 1, 0, 0),
    ]


def test_a_heartbeat_names_the_hole_that_nobody_saw() -> None:
    ledger = after([counted(1), counted(3)], [beaten(5)])
    source = ledger.held[SOURCE]
    assert source.highest == 5
    assert source.holes == ((2, 2), (4, 5))
    assert source.complete_until is None


def test_a_source_is_complete_once_its_rows_are_there_in_whatever_order() -> None:
    ledger = after([beaten(2, second=7)], [counted(2)], [counted(1)])
    assert ledger.held[SOURCE].complete_until == NOON + timedelta(seconds=7)


def test_an_older_heartbeat_that_comes_again_changes_nothing() -> None:
    ledger = after([counted(1), beaten(1, second=5)], [beaten(0, second=1)])
    assert ledger.held[SOURCE].beat == beaten(1, second=5).beat


def test_an_edge_whose_clock_was_set_back_is_believed_as_soon_as_it_writes_on() -> None:
    """Or the time up to which all is there would stand ahead, and holes of now have no name."""
    ledger = after([counted(1), beaten(1, second=50)], [beaten(3, second=7)])
    source = ledger.held[SOURCE]
    assert source.beat == beaten(3, second=7).beat
    assert source.holes == ((2, 3),)
    assert source.complete_until == NOON + timedelta(seconds=7)
    ledger = after([counted(1), beaten(1, second=50)], [beaten(3, second=7)], [beaten(3, second=8)])
    assert ledger.held[SOURCE].complete_until == NOON + timedelta(seconds=7)


def test_a_closing_fact_ends_a_source_for_good() -> None:
    ledger = after([counted(1), ended(2, torn=1)], [ended(9), beaten(2, second=9)])
    source = ledger.held[SOURCE]
    assert source.closing == ended(2, torn=1).closing
    assert source.holes == ((2, 2),)


def test_a_chunk_that_repeats_everything_changes_nothing() -> None:
    chunk: list[Told] = [counted(1), counted(None, source="jobs"), beaten(1), ended(1)]
    ledger = after(chunk)
    batch = batch_of(ledger, chunk)
    assert (len(batch.rows), len(batch.sums), len(batch.hours), len(batch.hashes)) == (0, 0, 0, 0)
    assert batch.sources == ()
    assert batch.repeated == 2


customers = st.sampled_from(["acme", "globex", "unknown"])
outcomes = st.sampled_from(list(Outcome))
lines = st.builds(
    lambda seq, file, customer, outcome, tokens, second: counted(
        seq,
        source=f"edges/edge-1/{file}",
        customer=customer,
        outcome=outcome,
        usage={"input_tokens": tokens},
        time=NOON + timedelta(seconds=second),
    ),
    st.integers(min_value=1, max_value=12),
    st.sampled_from("ab"),
    customers,
    outcomes,
    st.integers(min_value=0, max_value=10**12),
    st.integers(min_value=-90, max_value=90),
)
strays = st.builds(
    lambda name, tokens: counted(
        None, source="jobs", event_id=name, usage={"input_tokens": tokens / 8}
    ),
    st.sampled_from("xyz"),
    st.integers(min_value=0, max_value=8),
)


@settings(deadline=None)
@given(st.lists(st.lists(st.one_of(lines, strays), max_size=20), max_size=6))
def test_any_chunks_agree_with_an_independent_counter(chunks: list[list[EventRead]]) -> None:
    ledger = after(*chunks)
    first: dict[tuple[str, object], EventRead] = {}
    for chunk in chunks:
        for one in chunk:
            first.setdefault((one.source, one.seq or one.id), one)
    expected: Counter[str] = Counter()
    for one in first.values():
        fact = one.data
        if fact.customer != "unknown" and fact.outcome in (Outcome.OK, Outcome.CANCELLED):
            expected["input_tokens"] += int(fact.usage["input_tokens"] * 8) * 125_000
    assert ledger.row() == len(first)
    assert ledger.outcomes == Counter(one.data.outcome.value for one in first.values())
    assert +ledger.micros == +expected


@settings(deadline=None)
@given(st.lists(lines, min_size=1, max_size=30), st.integers(min_value=1, max_value=7))
def test_how_events_are_cut_into_chunks_does_not_matter(events: list[EventRead], size: int) -> None:
    pieces = [events[at : at + size] for at in range(0, len(events), size)]
    one, many = after(events), after(*pieces)
    assert one.micros == many.micros
    assert one.held == many.held
    assert list(one.rows.id) == list(many.rows.id)


def test_a_cell_is_named_by_minute_customer_application_endpoint_and_revision() -> None:
    said = [counted(1), counted(2, revision="r2"), counted(3, endpoint="/v2"), counted(4)]
    sums = batch_of(MemoryLedger(), said).sums
    columns = (sums.customer, sums.app, sums.endpoint, sums.revision, sums.kind, sums.amount)
    found = zip(*columns, strict=True)
    assert sorted((*cell, amount) for *cell, kind, amount in found if kind == "outcome") == [
        ("acme", "chat", "", "", 2),
        ("acme", "chat", "", "r2", 1),
        ("acme", "chat", "/v2", "", 1),
    ]


def minutes(batch: Batch) -> list[datetime]:
    found = np.unique(batch.sums.minute).astype("datetime64[us]").tolist()
    return [time.replace(tzinfo=UTC) for time in found]
