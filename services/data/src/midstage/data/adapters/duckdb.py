"""The store in one DuckDB file: rows, identities and positions in one transaction per chunk.

One process owns the file, and one thread keeps chunks in it. A chunk must begin where the last one
ended, or nothing of it is written. What was committed survives a kill at any line; what was not,
never was.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import msgspec

from midstage.data.adapters import rows
from midstage.data.adapters.files import Files
from midstage.data.adapters.parts import Parts
from midstage.data.adapters.queries import Queries
from midstage.data.adapters.schema import opened, readable, transaction
from midstage.data.model import Batch, Fingerprint, Known, Source
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Partition

FILE = "store.duckdb"
_FORGET_EACH = timedelta(hours=1)

# made before threads are: see the traps in docs/architecture.md
_source = msgspec.json.Decoder(Source).decode


class OutOfStepError(RuntimeError):
    """A chunk does not begin where the store ends: a bug, or two owners; nothing was written."""


class DuckdbStore:
    """The owner of a directory of records; ``commit`` and ``known`` belong to one thread."""

    def __init__(
        self,
        directory: Path,
        *,
        now: Callable[[], datetime],
        memory_mb: int = 48,
        part_rows: int = 25_000,
        reached: Failpoint = nothing,
    ) -> None:
        """Open or make it; UnavailableError when another process has it or it is damaged.

        What a crash left of a file that was never in the manifest is removed.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / FILE
        self._db = opened(self._file, memory_mb=memory_mb)
        self._now = now
        self._reached = reached
        self._files = Files(directory / "records")
        with readable(self._file):
            self._positions = _positions(self._db)
            self._sources = _sources(self._db)
        self._forgotten: datetime | None = None
        self._part_rows = part_rows
        self.parts = Parts(
            self._db, files=self._files, now=now, reached=reached, most_rows=part_rows
        )
        self.parts.tidy()

    def positions(self) -> Mapping[Partition, int]:
        """The next offset of each partition that the store has seen."""
        return dict(self._positions)

    def known(self, sources: frozenset[str], fingerprints: frozenset[Fingerprint]) -> Known:
        """What the store holds of these."""
        held = {name: self._sources[name] for name in sources if name in self._sources}
        return Known(sources=held, fingerprints=rows.known_marks(self._db, fingerprints))

    def commit(
        self,
        batch: Batch,
        *,
        begins: Mapping[Partition, int],
        ends: Mapping[Partition, int],
        oldest: datetime,
    ) -> None:
        """Make the batch and the next positions durable together.

        Identities whose rows are all older than ``oldest`` are forgotten now and then. Raises
        OutOfStepError when a partition does not begin where it ended.
        """
        self._in_step(begins)
        with transaction(self._db):
            rows.merge_positions(self._db, ends)
            rows.merge_sources(self._db, batch.sources)
            rows.insert_marks(self._db, batch.fingerprints)
            rows.insert_rows(self._db, batch.rows, kept_at=self._now())
            self._reached("records:inserted")
        self._reached("records:committed")
        self._positions.update(ends)
        self._sources.update((source.name, source) for source in batch.sources)
        self._forget(oldest)

    def queries(self) -> Queries:
        """What the store answers, on connections of their own: they see what is committed."""
        return Queries(self._db, files=self._files, most_rows=self._part_rows)

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
                    f"the store ends at {expected}"
                )

    def _forget(self, oldest: datetime) -> None:
        if self._forgotten is not None and oldest - self._forgotten < _FORGET_EACH:
            return
        with transaction(self._db):
            self._db.execute("DELETE FROM sources WHERE newest < ?", [oldest])
            self._db.execute("DELETE FROM fingerprints WHERE time < ?", [oldest])
        gone = [name for name, source in self._sources.items() if source.newest < oldest]
        for name in gone:
            del self._sources[name]
        self._forgotten = oldest


def _positions(db: duckdb.DuckDBPyConnection) -> dict[Partition, int]:
    found = db.execute("SELECT topic, number, next FROM positions").fetchall()
    return {Partition(topic=topic, number=number): following for topic, number, following in found}


def _sources(db: duckdb.DuckDBPyConnection) -> dict[str, Source]:
    found = db.execute("SELECT source, state FROM sources").fetchall()
    return {name: _source(state) for name, state in found}
