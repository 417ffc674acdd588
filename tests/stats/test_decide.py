"""What counts: stories of single chunks, and the whole against an independent counter."""

from collections import Counter
from datetime import timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.requests import Outcome
from midstage.eventlog.log import Partition
from midstage.stats.decide import decide, fingerprint, minute, named
from midstage.stats.model import Arrival, Beat, Beaten, Cell, Closing, Counted, Ended, Known
from midstage.stats.stream.reading import arrival

from .conftest import NOON, MemoryLedger, request

SOURCE = "edges/edge-1/a"
NOTHING = Known(sources={}, fingerprints=frozenset())


def counted(seq: int | None, source: str = SOURCE, **said: object) -> Counted:
    found = arrival(request(source, seq, **said))  # type: ignore[arg-type]  # a test's own words
    assert isinstance(found, Counted)
    return found


def beaten(highest: int, *, second: int = 0) -> Beaten:
    at = NOON + timedelta(seconds=second)
    beat = Beat(at=at, highest=highest, complete_until=at, newest=True, gauges=())
    return Beaten(source=SOURCE, edge="edge-1", beat=beat)


def ended(highest: int, torn: int = 0) -> Ended:
    return Ended(source=SOURCE, edge="edge-1", closing=Closing(at=NOON, highest=highest, torn=torn))


def after(*chunks: list[Arrival]) -> MemoryLedger:
    """A ledger that was given these chunks."""
    ledger = MemoryLedger()
    place = Partition(topic="t", number=0)
    for number, chunk in enumerate(chunks):
        batch = decide(ledger.known(*named(chunk)), chunk)
        ledger.commit(batch, begins={place: number}, ends={place: number + 1})
    return ledger


def test_a_number_counts_once_within_a_chunk_and_across_chunks() -> None:
    ledger = after([counted(1), counted(1), counted(2)], [counted(2), counted(3)])
    assert [row.seq for row in ledger.rows] == [1, 2, 3]
    assert ledger.micros["input_tokens"] == 9_000_000


def test_the_same_number_of_another_source_is_another_request() -> None:
    ledger = after([counted(1), counted(1, source="edges/edge-1/b")])
    assert len(ledger.rows) == 2


def test_an_event_without_a_number_counts_once_by_source_and_id() -> None:
    same = counted(None, source="jobs", event_id="x")
    other = counted(None, source="jobs", event_id="y")
    elsewhere = counted(None, source="batch", event_id="x")
    ledger = after([same, same], [other, same, elsewhere])
    assert [(row.source, row.id) for row in ledger.rows] == [
        ("jobs", "x"),
        ("jobs", "y"),
        ("batch", "x"),
    ]


def test_source_and_id_are_not_run_together() -> None:
    assert fingerprint("a", "bc") != fingerprint("ab", "c")
    assert fingerprint("a\0b", "c") != fingerprint("a", "b\0c")


def test_a_request_counts_in_its_own_minute_of_utc() -> None:
    late = counted(1, time=NOON + timedelta(seconds=59.999999))
    batch = decide(NOTHING, [late, counted(2, time=NOON + timedelta(seconds=60))])
    assert sorted(cell.minute for cell in batch.sums) == [NOON, NOON + timedelta(minutes=1)]


def test_a_time_with_another_zone_counts_in_its_minute_of_utc() -> None:
    there = timezone(timedelta(hours=5, minutes=45, seconds=30))
    batch = decide(NOTHING, [counted(1, time=NOON.astimezone(there))])
    (cell,) = batch.sums
    assert (cell.minute, cell.minute.utcoffset()) == (NOON, timedelta(0))


def test_what_is_not_billed_counts_as_an_outcome_and_adds_no_units() -> None:
    failed = counted(1, outcome=Outcome.ERROR, status=500)
    batch = decide(NOTHING, [failed])
    (added,) = batch.sums.values()
    assert added.outcomes == {"error": 1}
    assert added.units == {}
    assert batch.rows[0].units == {"requests": 1_000_000, "input_tokens": 3_000_000}


def test_a_heartbeat_names_the_hole_that_nobody_saw() -> None:
    ledger = after([counted(1), counted(3)], [beaten(5)])
    source = ledger.sources[SOURCE]
    assert source.highest == 5
    assert source.holes == ((2, 2), (4, 5))
    assert source.complete_until is None


def test_a_source_is_complete_once_its_rows_are_there_in_whatever_order() -> None:
    ledger = after([beaten(2, second=7)], [counted(2)], [counted(1)])
    assert ledger.sources[SOURCE].complete_until == NOON + timedelta(seconds=7)


def test_an_older_heartbeat_that_comes_again_changes_nothing() -> None:
    ledger = after([counted(1), beaten(1, second=5)], [beaten(0, second=1)])
    assert ledger.sources[SOURCE].beat == beaten(1, second=5).beat


def test_a_closing_fact_ends_a_source_for_good() -> None:
    ledger = after([counted(1), ended(2, torn=1)], [ended(9), beaten(2, second=9)])
    source = ledger.sources[SOURCE]
    assert source.closing == ended(2, torn=1).closing
    assert source.holes == ((2, 2),)


def test_a_chunk_that_repeats_everything_changes_nothing() -> None:
    chunk: list[Arrival] = [counted(1), counted(None, source="jobs"), beaten(1), ended(1)]
    ledger = after(chunk)
    batch = decide(ledger.known(*named(chunk)), chunk)
    assert batch.rows == ()
    assert batch.sources == ()
    assert batch.fingerprints == ()
    assert batch.sums == {}
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


@given(st.lists(st.lists(st.one_of(lines, strays), max_size=20), max_size=6))
def test_any_chunks_agree_with_an_independent_counter(chunks: list[list[Arrival]]) -> None:
    ledger = after(*chunks)
    first: dict[tuple[str, object], Counted] = {}
    for chunk in chunks:
        for one in chunk:
            assert isinstance(one, Counted)
            first.setdefault((one.source, one.seq or one.id), one)
    expected: Counter[str] = Counter()
    for one in first.values():
        fact = one.fact
        if fact.customer != "unknown" and fact.outcome in (Outcome.OK, Outcome.CANCELLED):
            expected["input_tokens"] += int(fact.usage["input_tokens"] * 8) * 125_000
    assert len(ledger.rows) == len(first)
    assert +ledger.micros == +expected


@given(st.lists(lines, min_size=1, max_size=30), st.integers(min_value=1, max_value=7))
def test_how_events_are_cut_into_chunks_does_not_matter(events: list[Counted], size: int) -> None:
    whole: list[Arrival] = list(events)
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    one, many = after(whole), after(*pieces)
    assert one.micros == many.micros
    assert one.sources == many.sources
    assert {(r.source, r.seq) for r in one.rows} == {(r.source, r.seq) for r in many.rows}


def test_a_cell_is_named_by_minute_customer_and_application() -> None:
    batch = decide(NOTHING, [counted(1)])
    assert list(batch.sums) == [Cell(minute(NOON), "acme", "chat")]
