"""Any ledger, any question: rows, minutes, hours and days give the same sums."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts.fact import Event, Fact
from midstage.contracts.metered import METERED, Metered
from midstage.contracts.requests import Outcome
from midstage.eventlog.log import Partition
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.merging import Merging
from midstage.stats.adapters.usage.rolled import rolled
from midstage.stats.adapters.usage.statements import Statements
from midstage.stats.views.usage.measuring import wanted
from midstage.stats.views.usage.plan import Piece, Table, plan
from midstage.stats.views.usage.question import Question, Window
from midstage.stats.views.usage.windows import Stretch, stretches

from .conftest import decided, request

PLACE = Partition(topic="t", number=0)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CHANGES = {
    "UTC": datetime(2024, 2, 29, tzinfo=UTC),
    "Europe/London": datetime(2026, 10, 25, 1, tzinfo=UTC),
    "Europe/Berlin": datetime(2026, 11, 1, tzinfo=UTC),
    "Asia/Kathmandu": datetime(2026, 6, 30, 18, 15, tzinfo=UTC),
    "Atlantic/Azores": datetime(2026, 10, 25, 1, tzinfo=UTC),
    "America/Havana": datetime(2026, 11, 1, 5, tzinfo=UTC),
    "Pacific/Apia": datetime(2011, 12, 30, 10, tzinfo=UTC),
}
BYTES = {"in", "out"}
pytestmark = pytest.mark.slow


class Book:
    """A ledger that requests are committed to, and whose sums are merged now and then."""

    def __init__(self, file: Path) -> None:
        self.ledger = DuckdbLedger(file, now=lambda: datetime(2027, 1, 1, tzinfo=UTC))
        self.number = 0

    def commit(self, events: Sequence[Event[Fact]]) -> None:
        at = self.ledger.positions().get(PLACE, 0)
        batch = decided(self.ledger, events)
        self.ledger.commit(batch, begins={PLACE: at}, ends={PLACE: at + 1})

    def planned(self, question: Question) -> tuple[Piece, ...]:
        with self.ledger.writing() as writing:
            return plan(question, _stretches(question), rolled(writing.db))

    def sums(self, question: Question, *pieces: Piece) -> dict[tuple[object, ...], object]:
        """Sums and customers by key; a sum of no bytes is none."""
        with self.ledger.writing() as writing:
            asking = Statements(
                question=question,
                stretches=_stretches(question),
                pieces=pieces,
                version=writing.version,
            )
            found = writing.db.execute(asking.sums(), asking.bound).fetchall()
            asking.bound = {}
            named = writing.db.execute(asking.told_apart(), asking.bound).fetchall()
        amounts = {
            (*key, kind, name): int(n)
            for kind, name, n, *key in found
            if int(n) or name not in BYTES
        }
        return {**amounts, **{(*key, who): 1 for who, *key in named}}


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    found = Book(tmp_path / "usage.duckdb")
    yield found
    found.ledger.close()


def _stretches(question: Question) -> tuple[Stretch, ...]:
    assert question.since is not None
    assert question.until is not None
    if question.window is None:
        return ()
    return stretches(question.zone, since=question.since, until=question.until)


@st.composite
def happened(draw: st.DrawFn, zone: str, number: int) -> list[Event[Fact]]:
    """Requests and metered work, often at the very beginning or end of a day or an hour."""
    found: list[Event[Fact]] = []
    edges = st.builds(
        lambda step, n, off: n * step + off * timedelta(microseconds=1),
        st.sampled_from([DAY, HOUR]),
        st.integers(-8, 8),
        st.integers(-1, 0),
    )
    seconds = st.builds(lambda s: timedelta(seconds=s), st.integers(-600_000, 600_000))
    for n in range(draw(st.integers(1, 10))):
        time = CHANGES[zone].replace(hour=0, minute=0) + draw(edges | seconds)
        customer = draw(st.sampled_from(["acme", "globex", "unknown"]))
        app = draw(st.sampled_from(["chat", "ocr"]))
        if draw(st.integers(0, 3)):
            found.append(
                request(
                    "edges/edge-1/a",
                    number + n,
                    time=time,
                    outcome=draw(st.sampled_from([Outcome.OK, Outcome.ERROR])),
                    usage=draw(st.dictionaries(st.sampled_from("ab"), st.sampled_from([0, 2]))),
                    bytes_in=draw(st.integers(0, 2)),
                    customer=customer,
                    app=app,
                )
            )
        else:
            work = Metered(
                customer=customer, app=app, units={"c": draw(st.sampled_from([0, 10**12]))}
            )
            name = f"m-{number + n}"
            found.append(Event(id=name, source="jobs", type=METERED, time=time, data=work))
    return found


@st.composite
def questions(draw: st.DrawFn, zone: str) -> Question:
    begin = CHANGES[zone].replace(hour=0, minute=0)
    rims = st.sampled_from([timedelta(), timedelta(), HOUR, timedelta(minutes=7)])
    times = [begin + draw(st.integers(-8, 8)) * DAY + draw(rims) for _ in range(2)]
    since, until = sorted(times)
    return Question(
        wanted=wanted(("requests", "units", "bytes_in", "customers")),
        since=since,
        until=until,
        window=draw(st.sampled_from([None, *(w for w in Window if w is not Window.SECOND)])),
        zone=zone,
        group_by=draw(st.sampled_from([(), ("customer",), ("app",), ("customer", "revision")])),
    )


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), zone=st.sampled_from(list(CHANGES)))
def test_any_sums_of_any_ledger_say_what_its_rows_say(
    book: Book, data: st.DataObject, zone: str
) -> None:
    """One ledger, to which each example adds, and which is merged up to any day of it."""
    for _ in range(data.draw(st.integers(1, 3))):
        book.commit(data.draw(happened(zone, book.number + 1)))
        book.number += 10
        if data.draw(st.booleans()):
            before = CHANGES[zone] + data.draw(st.integers(-200, 200)) * HOUR
            Merging(book.ledger)(before=before)
    question = data.draw(questions(zone))
    bounds = (question.since, question.until)
    of_rows = book.sums(question, Piece(Table.ROWS, *bounds))
    assert book.sums(question, Piece(Table.MINUTES, *bounds)) == of_rows
    assert book.sums(question, *plan(question, _stretches(question))) == of_rows
    assert book.sums(question, *book.planned(question)) == of_rows
