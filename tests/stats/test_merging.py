"""Sums of hours that are over become one for each cell, and days; nobody who asks can tell."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from midstage.eventlog.log import Partition
from midstage.stats.adapters import derived, merging
from midstage.stats.adapters.columns import utc
from midstage.stats.adapters.derived import roll
from midstage.stats.adapters.duckdb import DuckdbLedger, Writing
from midstage.stats.adapters.merging import Merging
from midstage.stats.model import Batch, Outgoing
from midstage.stats.views.usage.asking import from_parameters
from midstage.stats.views.usage.parts import Group

from .conftest import NOON, decided, request

SOURCE = "edges/edge-1/a"
PLACE = Partition(topic="t", number=0)
DAY = timedelta(days=1)
TABLES = ("minutes", "hours", "days", "customer_days", "source_hours")
KEPT = timedelta(minutes=15)
HOURS_WRITTEN = """
CREATE OR REPLACE TABLE hours AS
SELECT date_trunc('hour', minute)::TIMESTAMP AS hour, * EXCLUDE (minute) FROM minutes
"""
"""As each commit did up to schema 4."""


@dataclass(kw_only=True)
class Kept:
    """A ledger whose clock is turned by hand, and what merges its sums."""

    file: Path
    at: datetime = NOON
    ledger: DuckdbLedger = field(init=False)
    seq: int = 0

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.ledger = DuckdbLedger(self.file, now=lambda: self.at, memory_mb=128)

    def add(self, *times: datetime, customer: str = "acme") -> None:
        """One commit of a request at each of these times."""
        events = []
        for time in times:
            self.seq += 1
            events.append(request(SOURCE, self.seq, time=time, customer=customer))
        at = self.ledger.positions().get(PLACE, 0)
        self.ledger.commit(decided(self.ledger, events), begins={PLACE: at}, ends={PLACE: at + 1})

    def merge(self, *, before: datetime) -> int:
        return Merging(self.ledger)(before=before)

    def counts(self) -> dict[str, int]:
        """How many sums each table is made of."""
        return {table: self._one(f"SELECT count(*) FROM {table}") for table in TABLES}

    def said(self, *given: tuple[str, str], version: int | None = None) -> dict[str, int]:
        """Requests by customer, now or of a version."""
        asked = from_parameters([("group_by", "customer"), *given], now=NOON).question
        versions = None if version is None else {0: version}
        groups = self.ledger.queries().usage.part(asked, versions=versions, now=NOON).groups
        return {str(group.key[0]): _requests(group) for group in groups}

    def version(self) -> int:
        return self._one("SELECT version FROM heads")

    def tamper(self, statement: str) -> None:
        with self.ledger.writing() as writing:
            writing.db.execute(statement)

    def _one(self, statement: str) -> int:
        with self.ledger.writing() as writing:
            return int(writing.db.execute(statement).fetchall()[0][0])


def _requests(group: Group) -> int:
    return sum(group.outcomes.values())


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = Kept(file=tmp_path / "usage.duckdb")
    yield found
    found.ledger.close()


def minute(n: int) -> datetime:
    return NOON + timedelta(minutes=n)


def test_hours_that_are_over_have_one_sum_for_each_cell_and_so_have_their_minutes(
    kept: Kept,
) -> None:
    for n in (5, 5, 59, 60, 60):
        kept.add(minute(n))
    cell = 3  # the outcome and two units
    assert kept.counts() == {
        "minutes": 5 * cell,
        "hours": 0,
        "days": 0,
        "customer_days": 0,
        "source_hours": 5,
    }
    assert kept.merge(before=minute(75)) == cell + 2
    once = {**dict.fromkeys(TABLES, 0), "minutes": 4 * cell, "hours": cell, "source_hours": 3}
    assert kept.counts() == once
    assert kept.merge(before=minute(75)) == 0
    kept.add(minute(5))  # late, into an hour that was merged
    assert kept.said() == {"acme": 6}
    assert kept.merge(before=minute(75)) == (1 + 1) * cell + 1
    assert kept.counts() == once
    assert kept.said() == {"acme": 6}


def test_what_is_there_of_a_source_in_an_hour_is_the_same_when_merged(kept: Kept) -> None:
    kept.add(minute(1), minute(2))
    kept.add(minute(3), minute(61))
    kept.merge(before=minute(60))
    with kept.ledger.writing() as writing:
        held = writing.db.execute(
            "SELECT hour, rows, first_seq, last_seq, version FROM source_hours ORDER BY hour"
        ).fetchall()
    assert [one[1:] for one in held] == [(3, 1, 3, 2), (1, 4, 4, 2)]


def test_a_day_that_is_over_is_read_as_one_and_what_comes_late_is_added(kept: Kept) -> None:
    kept.add(NOON, NOON + timedelta(hours=5), NOON + DAY)
    kept.merge(before=NOON + DAY)
    kept.tamper("DELETE FROM requests")
    late = NOON + timedelta(hours=1)
    kept.add(late, customer="globex")
    assert kept.said() == {"acme": 3, "globex": 1}
    kept.tamper("DELETE FROM minutes WHERE version = 1 AND minute < TIMESTAMP '2026-01-02'")
    kept.tamper("DELETE FROM hours WHERE hour < TIMESTAMP '2026-01-02'")
    assert kept.said() == {"acme": 3, "globex": 1}  # of then, what was first is in the day alone
    kept.merge(before=NOON + DAY)
    kept.tamper("DELETE FROM minutes WHERE minute < TIMESTAMP '2026-01-02'")
    kept.tamper("DELETE FROM hours WHERE hour < TIMESTAMP '2026-01-02'")
    assert kept.said() == {"acme": 3, "globex": 1}


def test_an_hour_that_is_over_is_read_as_one_and_what_comes_late_is_added(kept: Kept) -> None:
    kept.add(minute(5), minute(55), minute(65))
    kept.merge(before=minute(60))
    kept.tamper("DELETE FROM requests")
    kept.tamper(f"DELETE FROM minutes WHERE minute < TIMESTAMP '{utc(minute(60))}'")
    kept.add(minute(5), customer="globex")
    assert kept.said() == {"acme": 3, "globex": 1}
    kept.merge(before=minute(60))
    kept.tamper(f"DELETE FROM minutes WHERE minute < TIMESTAMP '{utc(minute(60))}'")
    assert kept.said() == {"acme": 3, "globex": 1}


def test_hours_are_derived_once_whatever_was_committed_between(kept: Kept) -> None:
    for n in (0, 1, 2, 1, 3):  # a clock that is turned back derives nothing anew
        kept.add(minute(60 * n))
        kept.merge(before=minute(60 * n))
        kept.add(minute(0), minute(60 * n))
        kept.merge(before=minute(60 * n))
        kept.ledger.close()
        kept.open()
    assert kept.said() == {"acme": 15}
    assert kept.said(("to", f"{minute(60):%FT%TZ}")) == {"acme": 7}
    with kept.ledger.writing() as writing:
        parts = "SELECT count(*) FROM hours GROUP BY hour, name"
        assert set(writing.db.execute(parts).fetchall()) == {(1,)}


def test_days_are_rolled_up_once_whatever_was_committed_between(kept: Kept) -> None:
    for n in range(4):
        kept.add(NOON + n * DAY)
        kept.merge(before=NOON + n * DAY)
        kept.add(NOON, NOON + n * DAY)
        kept.merge(before=NOON + n * DAY)
        kept.ledger.close()
        kept.open()
    assert kept.said() == {"acme": 12}
    assert kept.said(("to", (NOON + DAY).date().isoformat() + "T00:00:00Z")) == {"acme": 6}
    with kept.ledger.writing() as writing:
        for table in ("days", "customer_days"):
            parts = f"SELECT count(*) FROM {table} GROUP BY day, name"
            assert set(writing.db.execute(parts).fetchall()) == {(1,)}


class Dying:
    """A ledger whose process dies at one of the transactions of who derives."""

    def __init__(self, ledger: DuckdbLedger, at: int) -> None:
        self._ledger = ledger
        self._left = at

    def reading(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return self._ledger.reading()

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        with self._ledger.writing() as writing:
            yield writing
            self._left -= 1
            if not self._left:
                raise KilledError


class KilledError(Exception):
    """The transaction did not happen, and nothing after it."""


@pytest.mark.parametrize(
    "most", [{}, {"LOT": 7}, {"LOT": 1}, {"CELLS": 1, "MOVED": 7}, {"MOVED": 1}]
)
def test_many_sums_move_in_many_transactions_and_all_at_once(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, most: dict[str, int]
) -> None:
    """Wherever it dies, whoever asks finds the same; the next turn goes on."""
    for name, number in most.items():
        monkeypatch.setattr(derived, name, number)
    kept.add(NOON)
    kept.merge(before=NOON + DAY)
    for n in range(5):
        kept.add(NOON + n * timedelta(hours=8), customer=f"customer-{n % 2}")
    kept.add(*(NOON + n * timedelta(hours=1) for n in range(4)))
    bounds = (("from", f"{NOON:%FT00:00:00Z}"), ("to", f"{NOON + DAY:%FT00:00:00Z}"))
    said, of_day = kept.said(), kept.said(*bounds)
    assert (said, of_day) == (
        {"acme": 5, "customer-0": 3, "customer-1": 2},
        {"acme": 5, "customer-0": 1, "customer-1": 1},
    )
    died = 0
    while True:
        died += 1
        try:
            roll(Dying(kept.ledger, died), before=NOON + 2 * DAY, upto=kept.version())
        except KilledError:
            assert (kept.said(), kept.said(*bounds)) == (said, of_day)
            kept.ledger.close()
            kept.open()
        else:
            break
    assert died > 6
    kept.tamper("DELETE FROM minutes")
    assert (kept.said(), kept.said(*bounds)) == (said, of_day)


@pytest.mark.parametrize("most", [1, 4, 20_000])
def test_times_of_too_many_sums_are_merged_by_some_of_their_customers(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(merging, "SUMS", most)
    for n in (0, 1, 2, 60):
        for customer in ("acme", "globex", "initech", "acme", "globex", "initech"):
            kept.add(minute(n), customer=customer)
    said, cell = kept.said(), 3
    assert kept.merge(before=minute(120)) >= 4 * 3 * cell
    assert kept.counts()["minutes"] == 4 * 3 * cell
    assert kept.said() == said


def test_a_turn_that_has_too_little_memory_ends_and_counting_goes_on(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(3):
        kept.add(*(minute(m) for m in range(59)), customer=f"customer-{n}")
    said = kept.said()
    with kept.ledger.reading() as db:
        held = "SELECT sum(memory_usage_bytes) // 1000 + 1 FROM duckdb_memory()"
        ((used_kb,),) = db.execute(held).fetchall()
        db.execute(f"SET memory_limit = '{used_kb}KB'")
    assert kept.merge(before=minute(75)) == 0
    assert caplog.messages == ["sums_not_merged"]
    with kept.ledger.reading() as db:
        db.execute("SET memory_limit = '128MB'")
    assert kept.said() == said
    assert kept.merge(before=minute(75)) > 0
    assert kept.said() == said


def test_later_pages_come_from_sums_while_no_newer_one_was_merged(kept: Kept) -> None:
    turn, before = Merging(kept.ledger, kept=KEPT), NOON + DAY
    kept.add(NOON)
    kept.add(NOON)
    turn(before=before)
    kept.at += KEPT
    kept.add(NOON)
    turn(before=before)  # the first two are one sum in their day, the third stands beside it
    kept.add(NOON, customer="globex")
    page = kept.version()
    kept.add(NOON, customer="initech")
    turn(before=before)
    kept.at += KEPT - timedelta(seconds=1)
    turn(before=before)
    kept.tamper("CREATE TEMP TABLE aside AS FROM requests")
    kept.tamper("DELETE FROM requests")
    assert kept.said(version=page) == {"acme": 3, "globex": 1}
    assert kept.said() == {"acme": 3, "globex": 1, "initech": 1}
    kept.tamper("INSERT INTO requests FROM aside")
    kept.at += timedelta(seconds=1)
    turn(before=before)  # now nothing but rows tells the page
    assert kept.said(version=page) == {"acme": 3, "globex": 1}
    kept.tamper("DELETE FROM requests")
    assert kept.said(version=page) == {}
    assert kept.said() == {"acme": 3, "globex": 1, "initech": 1}


def test_a_ledger_from_before_there_were_days_is_opened_and_has_them(kept: Kept) -> None:
    kept.add(NOON)
    kept.add(NOON, NOON + DAY)
    kept.merge(before=NOON + DAY)  # as the midstage of then did, to sums of any version
    kept.ledger.close()
    with duckdb.connect(str(kept.file)) as db:
        db.execute("DROP TABLE days")
        db.execute("DROP TABLE customer_days")
        db.execute("DROP TABLE rolled")
        db.execute(HOURS_WRITTEN)
        db.execute("UPDATE about SET schema = 2")
        db.execute("UPDATE merges SET version = 1")
    kept.open()
    assert kept.said() == {"acme": 3}
    kept.add(NOON)
    kept.merge(before=NOON + DAY)
    assert kept.counts()["days"] == 3
    assert kept.said() == {"acme": 4}
    kept.ledger.close()
    kept.open()
    assert kept.said() == {"acme": 4}


def test_a_ledger_whose_commits_wrote_hours_is_opened_and_derives_them_from_then_on(
    kept: Kept,
) -> None:
    kept.add(NOON)
    kept.add(NOON, NOON + DAY)
    kept.merge(before=NOON + DAY)
    kept.add(NOON, minute(60), NOON + DAY)
    kept.ledger.close()
    with duckdb.connect(str(kept.file)) as db:
        db.execute("ALTER TABLE rolled DROP COLUMN hours")
        db.execute(HOURS_WRITTEN)
        db.execute("UPDATE about SET schema = 4")
    kept.open()
    assert kept.said() == {"acme": 6}
    assert kept.said(("to", f"{minute(60):%FT%TZ}")) == {"acme": 3}
    kept.add(minute(60))
    for hours in (0, 24, 48):
        kept.merge(before=NOON + timedelta(hours=hours))
        assert kept.said() == {"acme": 7}
        assert kept.said(("from", f"{minute(60):%FT%TZ}")) == {"acme": 4}
    kept.tamper("DELETE FROM minutes")
    assert kept.said() == {"acme": 7}  # all is in hours and days


def test_what_was_sent_leaves_the_outbox_after_an_hour_and_numbers_go_on(kept: Kept) -> None:
    letter = Outgoing(topic="load", key=b"k", value=b"v")
    kept.ledger.commit(Batch(outgoing=(letter, letter)), begins={}, ends={})
    kept.ledger.sent(1)
    kept.at += timedelta(hours=2)
    kept.ledger.sent(1)  # said again, it was sent when it was
    kept.merge(before=kept.at)
    with kept.ledger.writing() as writing:
        assert writing.db.execute("SELECT n FROM outbox").fetchall() == [(2,)]
    kept.ledger.sent(2)
    kept.at += timedelta(hours=2)
    kept.merge(before=kept.at)
    kept.ledger.commit(Batch(outgoing=(letter,)), begins={}, ends={})
    assert list(kept.ledger.unsent(9)) == [(3, letter)]


def test_what_is_nearly_one_sum_for_each_cell_is_not_written_anew(kept: Kept) -> None:
    kept.add(minute(0))
    for number in range(9):
        kept.add(minute(0), customer=f"customer-{number}")
    kept.add(minute(0), customer="customer-0")
    before = kept.counts()
    kept.merge(before=minute(60))
    after = kept.counts()
    assert after["minutes"] == before["minutes"]
    assert after["source_hours"] < before["source_hours"]
    for number in range(9):
        kept.add(minute(0), customer=f"customer-{number}")
    said = kept.said()
    kept.merge(before=minute(60))
    assert kept.counts()["minutes"] < before["minutes"]
    assert kept.said() == said
