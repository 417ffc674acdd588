"""Sums and rows give the same figures, of any moment, and both are those of the calendar."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts.errors import RefusedError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.metered import METERED, Metered
from midstage.contracts.requests import Outcome
from midstage.contracts.units import micros
from midstage.eventlog.log import Partition
from midstage.stats.adapters.archive import Archive
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.rows import beside
from midstage.stats.views.usage.answer import ordered, shown
from midstage.stats.views.usage.asking import from_parameters
from midstage.stats.views.usage.parts import Part
from midstage.stats.views.usage.question import Question

from .conftest import decided, request

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PLACE = Partition(topic="t", number=0)
SOURCE = "edges/edge-1/a"
CHANGES = {
    "Europe/Berlin": datetime(2026, 10, 25, 1, tzinfo=UTC),
    "America/New_York": datetime(2026, 3, 8, 7, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 4, 4, 15, tzinfo=UTC),
    "Asia/Kathmandu": datetime(2026, 6, 30, 18, 15, tzinfo=UTC),
    "UTC": datetime(2024, 2, 29, tzinfo=UTC),
}
pytestmark = pytest.mark.slow


class Book:
    """A ledger that events are committed to, chunk by chunk."""

    def __init__(self, file: Path, memory_mb: int = 128) -> None:
        self.file = file
        self.ledger = DuckdbLedger(file, now=lambda: NOW, memory_mb=memory_mb)
        self._at = 0

    def commit(self, events: Sequence[Event[Fact]]) -> None:
        batch = decided(self.ledger, events)
        self.ledger.commit(batch, begins={PLACE: self._at}, ends={PLACE: self._at + 1})
        self._at += 1

    def following(self) -> int:
        """A number above all that were used."""
        return 100 * self._at + 1

    def part(self, question: Question, *, before: Part | None = None) -> Part:
        versions = None if before is None else before.standing.versions
        return self.ledger.queries().usage.part(question, versions=versions, now=NOW)


@pytest.fixture
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Book]]:
    made: list[Book] = []

    def book() -> Book:
        made.append(Book(tmp_path_factory.mktemp("ledger") / "usage.duckdb"))
        return made[-1]

    yield book
    for one in made:
        one.ledger.close()


@pytest.fixture
def book(books: Callable[[], Book]) -> Book:
    return books()


def asked(**more: str) -> Question:
    names = {"since": "from", "until": "to"}
    return from_parameters(
        [(names.get(name, name), value) for name, value in more.items()], now=NOW
    ).question


def rows(question: Question, part: Part) -> list[dict[str, object]]:
    return shown(question, ordered(question, part.groups))


@st.composite
def events(draw: st.DrawFn, zone: str, first: int) -> list[Event[Fact]]:
    """Requests and metered work of the days around a change of this zone's clock."""
    found: list[Event[Fact]] = []
    for number in range(draw(st.integers(1, 12))):
        seq = first + number
        time = CHANGES[zone] + timedelta(seconds=draw(st.integers(-172_800, 172_800)))
        customer = draw(st.sampled_from(["acme", "globex", "unknown"]))
        amounts: st.SearchStrategy[int | float] = st.sampled_from([0, 0.000001, 2, 10**12])
        units = draw(st.dictionaries(st.sampled_from(["a", "b"]), amounts))
        if draw(st.booleans()):
            found.append(
                request(
                    SOURCE,
                    seq,
                    time=time,
                    customer=customer,
                    app=draw(st.sampled_from(["chat", "ocr"])),
                    revision=draw(st.sampled_from(["r1", "r2"])),
                    outcome=draw(st.sampled_from([Outcome.OK, Outcome.ERROR])),
                    usage=units,
                    bytes_in=draw(st.integers(0, 2)),
                )
            )
        else:
            fact = Metered(customer=customer, units=units or {"c": 1}, app="job")
            found.append(Event(id=f"m-{seq}", source="jobs", type=METERED, time=time, data=fact))
    return found


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), zone=st.sampled_from(list(CHANGES)))
def test_rows_and_sums_say_the_same_and_the_past_does_not_change(
    book: Book, data: st.DataObject, zone: str
) -> None:
    """One ledger, to which each example adds."""
    book.commit(data.draw(events(zone, book.following())))
    around = CHANGES[zone].replace(minute=0)
    question = asked(
        since=(around - timedelta(minutes=data.draw(st.integers(0, 3000)))).isoformat(),
        until=(around + timedelta(minutes=data.draw(st.integers(0, 3000)))).isoformat(),
        window=data.draw(st.sampled_from(["none", "minute", "hour", "day", "week", "month"])),
        zone=zone,
        group_by=data.draw(st.sampled_from(["", "app", "customer,revision", "endpoint"])),
        measures="requests,outcomes,units,bytes_in,customers",
    )
    of_sums = book.part(question)
    (alone,) = book.ledger.queries().usage.parts(question, versions=None, now=NOW)
    assert rows(question, alone) == rows(question, of_sums)
    book.commit(data.draw(events(zone, book.following())))
    of_rows = book.part(question, before=of_sums)
    assert rows(question, of_rows) == rows(question, of_sums)


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), zone=st.sampled_from(list(CHANGES)))
def test_days_are_those_of_the_calendar(
    books: Callable[[], Book], data: st.DataObject, zone: str
) -> None:
    book, happened = books(), data.draw(events(zone, 1))
    book.commit(happened)
    since = CHANGES[zone] - timedelta(days=7)
    question = asked(since=since.isoformat(), window="day", zone=zone, measures="requests,units")
    requests: Counter[str] = Counter()
    billed: Counter[tuple[str, str]] = Counter()
    for event in happened:
        day = str(event.time.astimezone(ZoneInfo(zone)).date())
        fact = event.data
        if not isinstance(fact, Metered):
            requests[day] += 1
        if fact.customer == "unknown" or getattr(fact, "outcome", Outcome.OK) is not Outcome.OK:  # type: ignore[attr-defined]  # both kinds have a customer
            continue
        units = fact.units if isinstance(fact, Metered) else fact.usage  # type: ignore[attr-defined]  # it is a request
        for name, amount in units.items():
            billed[day, name] += micros(amount)
    said = rows(question, book.part(question))
    found = {str(row["window"])[:10]: row for row in said}
    assert len(found) == len(said)
    assert {day: row["requests"] for day, row in found.items() if row["requests"]} == requests
    assert {
        (day, name): amount
        for day, row in found.items()
        for name, amount in row["micros"].items()  # type: ignore[attr-defined]  # of units by name
    } == billed


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(durations=st.lists(st.floats(0, 1e7), min_size=1, max_size=200))
def test_quantiles_are_within_one_percent(
    books: Callable[[], Book], durations: list[float]
) -> None:
    book = books()
    book.commit([request(SOURCE, i + 1, duration_ms=one) for i, one in enumerate(durations)])
    names = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
    question = asked(measures=",".join(f"latency_ms.{name}" for name in names))
    (row,) = rows(question, book.part(question))
    found = row["latency_ms"]
    assert isinstance(found, dict)
    in_order = sorted(durations)
    for name, rank in names.items():
        exact = in_order[math.floor(rank * (len(in_order) - 1))]
        assert found[name] == pytest.approx(exact, rel=0.0101, abs=0.001)


def test_each_quantile_is_its_own(books: Callable[[], Book]) -> None:
    """Of a thousand values that grow by a fiftieth, so that no two of them are alike."""
    book, values = books(), [1.02**n for n in range(1000)]
    book.commit([request(SOURCE, n + 1, duration_ms=one) for n, one in enumerate(values)])
    names = {"p50": 499, "p90": 899, "p95": 949, "p99": 989, "p99.9": 998}
    question = asked(measures=",".join(f"latency_ms.{name}" for name in names))
    (row,) = rows(question, book.part(question))
    assert row["latency_ms"] == {
        name: pytest.approx(values[at], rel=0.0101) for name, at in names.items()
    }


def test_a_sum_of_more_than_64_bits_is_exact(books: Callable[[], Book]) -> None:
    book, large = books(), 10**12
    book.commit([request(SOURCE, n, usage={"a": large}) for n in range(1, 20)])
    book.commit([request(SOURCE, 20, usage={"a": 0.000001})])
    (row,) = rows(asked(measures="units"), book.part(asked(measures="units")))
    assert row["micros"] == {"a": 19 * large * 10**6 + 1}


def test_rows_are_read_wherever_they_are(books: Callable[[], Book]) -> None:
    book = books()
    noon = datetime(2026, 10, 1, 12, tzinfo=UTC)
    old = [request(SOURCE, n, time=noon, labels={"team": "a"}) for n in (1, 2)]
    book.commit([*old, request(SOURCE, 3, time=noon + timedelta(days=2), labels={"team": "a"})])
    question = asked(group_by="label.team", measures="requests,latency_ms.p50")
    before = rows(question, book.part(question))
    archive = Archive(book.ledger, directory=beside(book.file))
    assert archive.archive(noon, upto_row=book.ledger.row()) == 2
    assert rows(question, book.part(question)) == before
    assert before[0]["requests"] == 3


MANY = """
INSERT INTO minutes
SELECT TIMESTAMP '2026-10-01 12:00:00', repeat(md5(i::VARCHAR), 4), 'chat', '', '', 'outcome',
    'ok', 1, 0
FROM range(200_000) AS numbers(i)
"""


@pytest.mark.parametrize("measures", ["requests", "customers"])
def test_an_answer_that_memory_does_not_hold_is_refused_and_counting_goes_on(
    tmp_path: Path, measures: str
) -> None:
    file = tmp_path / "usage.duckdb"
    filled = DuckdbLedger(file, now=lambda: NOW)
    with filled.writing() as writing:
        writing.db.execute(MANY)
    filled.close()
    book = Book(file, memory_mb=16)
    with book.ledger.reading() as db:
        db.execute("SET max_temp_directory_size = '0KiB'")  # names of 26 MB have nowhere to go
    with pytest.raises(RefusedError, match="MIDSTAGE_STATS_LEDGER_MEMORY_MB") as refused:
        book.part(asked(group_by="customer", measures=measures))
    assert refused.value.status == 422
    assert isinstance(refused.value.__cause__, duckdb.OutOfMemoryException)
    book.commit([request(SOURCE, 1, customer="acme")])
    of_one = asked(group_by="customer", customer="acme", measures=measures)
    assert rows(of_one, book.part(of_one)) == [{"customer": "acme", measures: 1}]
    book.ledger.close()
