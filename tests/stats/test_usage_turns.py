"""How many questions about usage read a ledger at once; nobody waits for ever, nor for himself."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from midstage.chassis.audited import Audit
from midstage.contracts.errors import UnavailableError
from midstage.eventlog.log import Partition
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.rows import beside, between
from midstage.stats.adapters.usage.everywhere import AllShards
from midstage.stats.adapters.usage.reading import UsageBooks
from midstage.stats.adapters.usage.turns import Turns
from midstage.stats.api import usage
from midstage.stats.api.application import application
from midstage.stats.views.usage.asking import from_parameters
from midstage.stats.views.usage.parts import Part, Wished
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S, NOON, decided, request

pytestmark = pytest.mark.slow

SUMMED = from_parameters([("measures", "requests")], now=NOON).question
QUESTION = from_parameters([("measures", "requests,latency_ms.p50")], now=NOON).question
"""Only rows tell."""
TOKEN = {"authorization": "Bearer secret"}


@dataclass(kw_only=True)
class Held:
    """A ledger of one request; whoever reads it stays in it until ``leave`` is set."""

    ledger: DuckdbLedger
    directory: Path
    turns: Turns
    books: UsageBooks = field(init=False)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    leave: threading.Event = field(default_factory=threading.Event)
    most: int = 0
    _inside: int = 0
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        with self.ledger.writing() as writing:
            db = writing.db.cursor()
        self.books = UsageBooks(db, rows=self._rows, turns=self.turns)

    def _rows(
        self, db: duckdb.DuckDBPyConnection, since: datetime | None, until: datetime | None
    ) -> str:
        with self._counting:
            self._inside += 1
            self.most = max(self.most, self._inside)
        self.entered.release()
        assert self.leave.wait(DEADLINE_S)
        with self._counting:
            self._inside -= 1
        return between(self.directory)(db, since, until)

    def is_read(self) -> None:
        """Wait until one more reads it."""
        assert self.entered.acquire(timeout=DEADLINE_S)

    def usage(self, wished: Wished) -> Part:
        """What another shard is asked."""
        return self.books.part(wished.question, versions=wished.versions, now=NOON)

    def ask(self) -> int:
        """How many requests it has."""
        return requests(self.usage(Wished(question=QUESTION)))


def requests(*parts: Part) -> int:
    return sum(sum(group.outcomes.values()) for part in parts for group in part.groups)


Making = Callable[[Turns], Held]


@pytest.fixture
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Making]:
    made: list[Held] = []

    def make(turns: Turns) -> Held:
        file = tmp_path_factory.mktemp("ledger") / "usage.duckdb"
        shard = len(made)
        ledger = DuckdbLedger(file, now=lambda: NOON, shard=shard, shards=2)
        place = Partition(topic="t", number=shard)
        batch = decided(ledger, [request("edges/edge-1/a", 1)])
        ledger.commit(batch, begins={place: 0}, ends={place: 1})
        made.append(Held(ledger=ledger, directory=beside(file), turns=turns))
        return made[-1]

    yield make
    for one in made:
        one.leave.set()
        one.ledger.close()


def test_what_sums_tell_does_not_wait_for_the_names_of_all_files(held: Making) -> None:
    book = held(Turns(1, within_s=DEADLINE_S))
    assert requests(book.usage(Wished(question=SUMMED))) == 1
    assert book.most == 0


def test_no_more_than_so_many_read_it_and_the_next_has_its_turn(held: Making) -> None:
    book = held(Turns(2, within_s=DEADLINE_S))
    with ThreadPoolExecutor(5) as callers:
        answers = [callers.submit(book.ask) for _ in range(5)]
        book.is_read()
        book.is_read()
        within(DEADLINE_S, lambda: book.turns.here == 5)
        book.leave.set()
        assert [answer.result(DEADLINE_S) for answer in answers] == [1] * 5
    assert (book.turns.here, book.most) == (0, 2)


def test_who_waits_too_long_or_is_one_too_many_is_told_to_come_again(held: Making) -> None:
    book = held(Turns(1, waiting=1, within_s=0.05))
    with ThreadPoolExecutor(1) as caller:
        first = caller.submit(book.ask)
        book.is_read()
        with pytest.raises(UnavailableError, match="MIDSTAGE_STATS_QUESTIONS_AT_ONCE"):
            book.ask()
        assert book.turns.here == 1
        book.leave.set()
        assert first.result(DEADLINE_S) == 1
    crowded = held(Turns(1, waiting=1, within_s=DEADLINE_S))
    with ThreadPoolExecutor(2) as callers:
        answers = [callers.submit(crowded.ask) for _ in range(2)]
        within(DEADLINE_S, lambda: crowded.turns.here == 2)
        with pytest.raises(UnavailableError, match="ask again in a moment"):
            crowded.ask()
        crowded.leave.set()
        assert [answer.result(DEADLINE_S) for answer in answers] == [1, 1]


def test_a_question_that_fails_gives_its_turn_back(held: Making) -> None:
    book = held(Turns(1, within_s=DEADLINE_S))
    book.leave.set()
    with pytest.raises(RuntimeError), book.turns.turn():
        raise RuntimeError
    assert book.ask() == 1


def test_shards_that_are_asked_at_once_do_not_wait_for_each_other(held: Making) -> None:
    """Each has one turn, which somebody has at both of them while both ask the other one."""
    first, second = held(Turns(1, within_s=DEADLINE_S)), held(Turns(1, within_s=DEADLINE_S))
    whole = [
        AllShards(own=first.books, far=[second]),
        AllShards(own=second.books, far=[first]),
    ]

    def ask(shards: AllShards) -> int:
        return requests(*shards.parts(QUESTION, versions=None, now=NOON))

    with ThreadPoolExecutor(2) as callers:
        answers = [callers.submit(ask, shards) for shards in whole]
        first.is_read()
        second.is_read()
        within(DEADLINE_S, lambda: (first.turns.here, second.turns.here) == (2, 2))
        first.leave.set()
        within(DEADLINE_S, lambda: first.turns.here == 0)  # while the second one keeps both asking
        assert not any(answer.done() for answer in answers)
        second.leave.set()
        assert [answer.result(DEADLINE_S) for answer in answers] == [2, 2]


def test_over_http_it_is_a_503_that_says_when_to_come_again(held: Making) -> None:
    book = held(Turns(1, waiting=0))
    desk = usage.Desk(
        shards=book.books,
        own=book.books,
        customers=dict,
        files={},
        audit=Audit(service="stats", note=lambda _: None, now=lambda: NOON),
        secret=b"secret",
        now=lambda: NOON,
    )
    app = application(
        service="stats",
        version="1",
        token="secret",
        routes=[usage.router(desk)],
        registry=CollectorRegistry(),
        progress=lambda: None,
    )
    with ThreadPoolExecutor(1) as caller:
        first = caller.submit(
            TestClient(app).get, "/v1/usage?measures=latency_ms.p50", headers=TOKEN
        )
        book.is_read()
        busy = TestClient(app).get("/v1/usage?measures=latency_ms.p50", headers=TOKEN)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
        assert busy.headers["content-type"] == "application/problem+json"
        book.leave.set()
        assert first.result(DEADLINE_S).status_code == 200
