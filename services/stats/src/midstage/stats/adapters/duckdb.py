"""The ledger in one DuckDB file: rows, ranges, roll-ups and positions in one transaction per chunk.

One process owns the file and one thread writes it. A chunk must begin where the last one ended,
or nothing of it is written. What was committed survives a kill at any line; what was not, never
was. Each look-up of fingerprints scans all that are held, 16 bytes each: good for some millions.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own

from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Partition
from midstage.stats.adapters import columns
from midstage.stats.adapters.queries import Queries
from midstage.stats.adapters.schema import opened, readable
from midstage.stats.model import Batch, Fingerprint, Known, Source

_MERGE_MINUTES = """
MERGE INTO minutes AS held USING added ON
    held.minute = added.minute AND held.customer = added.customer AND held.app = added.app
    AND held.kind = added.kind AND held.name = added.name
WHEN MATCHED THEN UPDATE SET amount = held.amount + added.amount::HUGEINT
WHEN NOT MATCHED THEN INSERT VALUES (
    added.minute, added.customer, added.app, added.kind, added.name, added.amount::HUGEINT)
"""
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
_KNOWN_FINGERPRINTS = """
SELECT DISTINCT high, low FROM fingerprints SEMI JOIN asked USING (high, low)
"""

# made before threads are: see the traps in docs/architecture.md
_source = msgspec.json.Decoder(Source).decode


class OutOfStepError(RuntimeError):
    """A chunk does not begin where the ledger ends: a bug, or two owners; nothing was written."""


class DuckdbLedger:
    """The owner of a ledger file; ``commit`` and ``known`` belong to one thread."""

    def __init__(
        self,
        file: Path,
        *,
        now: Callable[[], datetime],
        memory_mb: int = 512,
        reached: Failpoint = nothing,
    ) -> None:
        """Open or make the file; UnavailableError when another process has it or it is damaged."""
        self._db = opened(file, memory_mb=memory_mb)
        self._now = now
        self._reached = reached
        with readable(file):
            self._positions = _positions(self._db)
            self._sources = _sources(self._db)
            self._row = _last_row(self._db)

    def positions(self) -> Mapping[Partition, int]:
        """The next offset of each partition that the ledger has seen."""
        return dict(self._positions)

    def known(self, sources: frozenset[str], fingerprints: frozenset[Fingerprint]) -> Known:
        """What the ledger holds of these."""
        held = {name: self._sources[name] for name in sources if name in self._sources}
        return Known(sources=held, fingerprints=self._known_fingerprints(fingerprints))

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> datetime:
        """Make the batch and the next positions durable together; the time that its rows carry.

        Raises OutOfStepError when a partition does not begin where it ended.
        """
        self._in_step(begins)
        with _transaction(self._db):
            recorded_at = self._insert(batch, ends)
            self._reached("ledger:inserted")
        self._reached("ledger:committed")
        self._positions.update(ends)
        self._sources.update((source.name, source) for source in batch.sources)
        self._row += len(batch.rows)
        return recorded_at

    def queries(self) -> Queries:
        """What the ledger answers, on connections of their own: they see what is committed."""
        return Queries(self._db)

    def close(self) -> None:
        """Write everything into the file itself, and let go of it."""
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

    def _insert(self, batch: Batch, ends: Mapping[Partition, int]) -> datetime:
        """Write everything, the rows last, so that the time they carry is that of the commit."""
        self._run(_MERGE_POSITIONS, columns.positions(ends))
        if batch.sources:
            self._run(_MERGE_SOURCES, columns.sources(batch.sources))
        if batch.fingerprints:
            self._run(
                "INSERT INTO fingerprints FROM added", columns.fingerprints(batch.fingerprints)
            )
        if batch.sums:
            self._run(_MERGE_MINUTES, columns.minutes(batch.sums))
        recorded_at = self._now()
        if batch.rows:
            rows = columns.requests(batch.rows, first=self._row + 1, recorded_at=recorded_at)
            self._run("INSERT INTO requests BY NAME FROM added", rows)
        return recorded_at

    def _run(self, statement: str, added: pa.Table) -> None:
        self._db.register("added", added)
        self._db.execute(statement)
        self._db.unregister("added")

    def _known_fingerprints(self, asked: frozenset[Fingerprint]) -> frozenset[Fingerprint]:
        if not asked:
            return frozenset()
        self._db.register("asked", columns.fingerprints(asked))
        found = self._db.execute(_KNOWN_FINGERPRINTS).fetchall()
        self._db.unregister("asked")
        return frozenset(columns.joined(high, low) for high, low in found)


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


def _last_row(db: duckdb.DuckDBPyConnection) -> int:
    ((last,),) = db.execute("SELECT coalesce(max(row), 0) FROM requests").fetchall()
    return int(last)
