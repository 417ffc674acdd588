"""The ledger in one DuckDB file: rows, sums, ranges, what leaves and positions in one transaction.

Rows of a large chunk are files of their own, and the transaction holds their names. One process
owns all of it, and whoever writes holds the one lock. A chunk must begin where the last one ended,
or nothing of it is written. What was committed survives a kill at any line; what was not, never
was.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own

from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Partition
from midstage.stats.adapters import columns
from midstage.stats.adapters.facts import FactBooks
from midstage.stats.adapters.queries import Queries
from midstage.stats.adapters.rows import beside
from midstage.stats.adapters.schema import opened, readable
from midstage.stats.adapters.segments import LEAST, Segments
from midstage.stats.adapters.usage.turns import AT_ONCE, Turns
from midstage.stats.decide import hashed
from midstage.stats.model import (
    NO_HASHES,
    Batch,
    Committed,
    Hashes,
    Outgoing,
    OutOfStepError,
    Rows,
    Source,
)

_MERGE_SOURCES = """
MERGE INTO sources AS held USING added ON held.source = added.source
WHEN MATCHED THEN UPDATE SET state = added.state
WHEN NOT MATCHED THEN INSERT VALUES (added.source, added.state)
"""
_MERGE_POSITIONS = """
MERGE INTO positions AS held USING added
    ON held.topic = added.topic AND held.number = added.number
WHEN MATCHED THEN UPDATE SET next = added.next
WHEN NOT MATCHED THEN INSERT VALUES (added.topic, added.number, added.next)
"""
_ADDED = "SELECT added.* FROM added POSITIONAL JOIN (SELECT 1 AS one) AS uncut"
"""What was added, from a source that can't be read in parts: parts are inserted by themselves and
put together afterwards, for twice the time. There must be a first row."""
_UNNUMBERED = "SELECT source, id FROM requests WHERE row > ? AND seq IS NULL ORDER BY row"
_UNSENT = """
SELECT n, topic, key, value, headers FROM outbox WHERE sent_at IS NULL ORDER BY n LIMIT ?
"""
PINNED = 8_000_000
"""So much memory, in bytes, may deleting take before a checkpoint gives it back."""
_VECTOR, _PINNED_BYTES = 2048, 8
"""DuckDB keeps, up to the next checkpoint, so much for each row of a vector that has a deleted one,
and never lets go of it for others: whoever deletes here and there soon has all of the memory."""
_SENT = "UPDATE outbox SET sent_at = ? WHERE n <= ? AND sent_at IS NULL"

# made before threads are: see the traps in docs/architecture.md
_source = msgspec.json.Decoder(Source).decode
_headers = msgspec.json.Decoder(tuple[tuple[str, bytes], ...]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """How far the ledger has come: last commit, last row, last message of the outbox."""

    version: int
    row: int
    n: int


@dataclass(slots=True, kw_only=True)
class Writing:
    """An open transaction: nobody else writes; ``version`` and ``row`` are those before it.

    ``pinned`` is the memory that its deleting takes, in bytes.
    """

    db: duckdb.DuckDBPyConnection
    version: int
    row: int
    positions: Mapping[Partition, int]
    at: datetime
    pinned: int = 0

    def pinning(self, table: str, where: str, asked: Mapping[str, object]) -> int:
        """How much memory it takes to delete these rows."""
        vectors = f"SELECT count(DISTINCT rowid // {_VECTOR}) FROM {table} WHERE {where}"
        ((found,),) = self.db.execute(vectors, asked).fetchall()
        return int(found) * _VECTOR * _PINNED_BYTES

    def delete(
        self, table: str, where: str, asked: Mapping[str, object], *, pinning: int | None = None
    ) -> int:
        """Take these rows out; how many there were. ``pinning``: the memory, where it is known."""
        self.pinned += self.pinning(table, where, asked) if pinning is None else pinning
        ((rows,),) = self.db.execute(f"DELETE FROM {table} WHERE {where}", asked).fetchall()
        return int(rows)


class DuckdbLedger:
    """The owner of a ledger file; may be used from any thread."""

    def __init__(
        self,
        file: Path,
        *,
        now: Callable[[], datetime],
        memory_mb: int = 512,
        shard: int = 0,
        shards: int = 1,
        segment_rows: int = LEAST,
        reached: Failpoint = nothing,
    ) -> None:
        """Open or make the file; UnavailableError when another process has it or it is damaged.

        Rows of an hour are a file where a chunk has ``segment_rows`` of them.
        """
        self._db = opened(file, memory_mb=memory_mb, shard=shard, shards=shards)
        self._now = now
        self._reached = reached
        self._writer = threading.RLock()
        with readable(file):
            self._positions = _positions(self._db)
            self._sources = _sources(self._db)
            self._heads = _heads(self._db)
        self._pinned = 0
        self._directory = beside(file)
        self._segments = Segments(self._directory, least=segment_rows, reached=reached)
        self._segments.swept(self._db)

    def positions(self) -> Mapping[Partition, int]:
        """See ``counting.Ledger.positions``."""
        return dict(self._positions)

    def row(self) -> int:
        """See ``counting.Ledger.row``."""
        return self._heads.row

    def sources(self, names: frozenset[str]) -> Mapping[str, Source]:
        """See ``counting.Ledger.sources``."""
        return {name: self._sources[name] for name in names if name in self._sources}

    def name(self) -> str:
        """What no other ledger is called, but a copy of this one."""
        with self._db.cursor() as db:
            ((name,),) = db.execute("SELECT ledger FROM about").fetchall()
        return str(name)

    def archived_upto(self) -> int:
        """The highest row that has left for the archive, 0 where none has."""
        with self._db.cursor() as db:
            ((last,),) = db.execute("SELECT coalesce(max(last_row), 0) FROM archives").fetchall()
        return int(last)

    def unnumbered(self, after_row: int) -> Hashes:
        """See ``counting.Ledger.unnumbered``; a scan of ``requests``, for segments have none."""
        with self._db.cursor() as db:
            found = db.execute(_UNNUMBERED, [after_row]).fetchall()
        return hashed(found) if found else NO_HASHES

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        """See ``counting.Ledger.commit``; the rows carry a time shortly before it is durable."""
        with self._writer:
            self._in_step(begins)
            heads = Heads(
                version=self._heads.version + 1,
                row=self._heads.row + len(batch.rows),
                n=self._heads.n + len(batch.outgoing),
            )
            with _transaction(self._db):
                at = self._insert(batch, ends, heads)
                self._reached("ledger:inserted")
            self._reached("ledger:committed")
            self._heads = heads
            self._positions.update(ends)
            self._sources.update((source.name, source) for source in batch.sources)
        return Committed(version=heads.version, row=heads.row, at=at)

    def unsent(self, most: int) -> Sequence[tuple[int, Outgoing]]:
        """See ``counting.Ledger.unsent``."""
        with self._db.cursor() as db:
            found = db.execute(_UNSENT, [most]).fetchall()
        return [
            (n, Outgoing(topic=topic, key=key, value=value, headers=_headers(headers)))
            for n, topic, key, value, headers in found
        ]

    def sent(self, upto: int) -> None:
        """See ``counting.Ledger.sent``."""
        with self.writing() as writing:
            writing.db.execute(_SENT, [columns.utc(writing.at), upto])

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """A transaction beside the commits, of who adds tables to this file: a seal, an archive."""
        with self._writer:
            writing = Writing(
                db=self._db,
                version=self._heads.version,
                row=self._heads.row,
                positions=dict(self._positions),
                at=self._now(),
            )
            with _transaction(self._db):
                yield writing
            self._pinned += writing.pinned
            if self._pinned > PINNED:
                self._db.execute("CHECKPOINT")
                self._pinned = 0

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own, on which one may look for long; nobody waits for it."""
        with self._db.cursor() as db:
            yield db

    def queries(self, *, at_once: int = AT_ONCE) -> Queries:
        """What the ledger answers, on connections of their own: they see what is committed.

        About usage it answers so many ``at_once``.
        """
        return Queries(self._db, self._directory, turns=Turns(at_once))

    def facts(self) -> FactBooks:
        """What facts are made of, on connections of their own."""
        return FactBooks(self._db, self._directory)

    def close(self) -> None:
        """Write everything into the file itself, and let go of it."""
        with self._writer:
            self._db.execute("CHECKPOINT")
            self._db.close()

    def _in_step(self, begins: Mapping[Partition, int]) -> None:
        for partition, begin in begins.items():
            expected = self._positions.get(partition, begin)
            if begin != expected:
                raise OutOfStepError(
                    f"a chunk of {partition.topic}/{partition.number} begins at {begin}, "
                    f"the ledger ends at {expected}"
                )

    def _insert(self, batch: Batch, ends: Mapping[Partition, int], heads: Heads) -> datetime:
        """Write everything, the rows last, so that the time they carry is that of the commit."""
        version = heads.version
        self._db.execute(
            "UPDATE heads SET version = ?, row = ?, n = ?", [version, heads.row, heads.n]
        )
        if ends:
            self._run(_MERGE_POSITIONS, columns.positions(ends))
        if batch.sources:
            self._run(_MERGE_SOURCES, columns.sources(batch.sources))
        if batch.outgoing:
            leaving = columns.outbox(batch.outgoing, first=heads.n + 1 - len(batch.outgoing))
            self._run("INSERT INTO outbox BY NAME FROM added", leaving)
        if len(batch.sums):
            minutes = columns.minutes(batch.sums, version=version)
            self._run(f"INSERT INTO minutes BY NAME {_ADDED}", minutes)
        if len(batch.hours):
            hours = columns.source_hours(batch.hours, version=version)
            self._run("INSERT INTO source_hours BY NAME FROM added", hours)
        at = self._now()
        if len(batch.rows):
            self._insert_rows(batch.rows, at, heads)
        return at

    def _insert_rows(self, rows: Rows, at: datetime, heads: Heads) -> None:
        first = heads.row + 1 - len(rows)
        table = columns.requests(rows, first=first, recorded_at=at, version=heads.version)
        segments, left = self._segments.written(rows, table)
        self._segments.put(self._db, segments, at)
        if left.num_rows:
            self._run(f"INSERT INTO requests BY NAME {_ADDED}", left)

    def _run(self, statement: str, added: pa.Table) -> None:
        self._db.register("added", added)
        self._db.execute(statement)
        self._db.unregister("added")


@contextmanager
def _transaction(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    db.begin()
    with ExitStack() as undo:
        undo.callback(db.rollback)
        yield
        undo.pop_all()
    db.commit()


def _positions(db: duckdb.DuckDBPyConnection) -> dict[Partition, int]:
    rows = db.execute("SELECT topic, number, next FROM positions").fetchall()
    return {Partition(topic=topic, number=number): following for topic, number, following in rows}


def _sources(db: duckdb.DuckDBPyConnection) -> dict[str, Source]:
    rows = db.execute("SELECT source, state FROM sources").fetchall()
    return {name: _source(state) for name, state in rows}


def _heads(db: duckdb.DuckDBPyConnection) -> Heads:
    ((version, row, n),) = db.execute("SELECT version, row, n FROM heads").fetchall()
    return Heads(version=version, row=row, n=n)
