"""Rows of large chunks as files: immutable Parquet, part of the ledger once a commit names them.

A file is whole and on the disk before the transaction that names it; one that none names is
nothing, and goes when the ledger is opened. Each holds numbered rows of one hour: so it becomes a
part of the archive by its name alone, and what is unnumbered is in the table, where the hashes of
what was seen are made from.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
import pyarrow.compute as pc  # type: ignore[import-untyped]  # nor has this
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # nor this

from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.stats.adapters.columns import utc
from midstage.stats.decide.sums import HOUR_US
from midstage.stats.model import Flags, Rows

LEAST = 8_000
"""Rows of an hour in one chunk, as those have them who are behind, or count tens of thousands of
events a second: less is many small files, more is a table that each checkpoint writes anew."""
_PREFIX = "segment-"
_REPEATED = [
    "kind",
    "source",
    "customer",
    "app",
    "endpoint",
    "revision",
    "status",
    "outcome",
    "usage.key_value.key",
    "labels.key_value.key",
    "labels.key_value.value",
    "cluster",
    "pod",
    "recorded_at",
    "version",
]
"""The columns in which it is worth looking for what was there before."""
_CLOSE = dict.fromkeys(["row", "seq", "time", "bytes_in", "bytes_out"], "DELTA_BINARY_PACKED")
"""Whole numbers near those before them: as differences a seventh less to write, and to read."""
_PRUNED = ["row", "time", "recorded_at", "version"]
"""The columns of which a reader asks where a file has them."""
_PUT = """
INSERT INTO segments (hour, file, sha256, rows, first_row, last_row, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One file: rows of ``hour`` from ``first_row`` to ``last_row``, not all of them."""

    hour: datetime
    file: str
    sha256: str
    rows: int
    first_row: int
    last_row: int


class Segments:
    """The files of one ledger that have not left for its archive; whoever commits writes them."""

    def __init__(self, directory: Path, *, least: int, reached: Failpoint = nothing) -> None:
        """Keep the files in ``directory``, made where it is missing."""
        self._directory = directory
        self._least = least
        self._reached = reached
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            flushed(directory.parent)

    def swept(self, db: duckdb.DuckDBPyConnection) -> None:
        """Remove the files that no commit named; nobody else may have the ledger."""
        named = {
            file
            for (file,) in db.execute(
                "SELECT file FROM segments UNION ALL SELECT file FROM archives"
            ).fetchall()
        }
        for file in self._directory.glob(f"{_PREFIX}*.parquet"):
            if file.name not in named:
                file.unlink()

    def written(self, rows: Rows, table: pa.Table) -> tuple[list[Segment], pa.Table]:
        """Files of those hours that have enough rows, on the disk, and the rows that are left."""
        left = np.ones(len(rows), np.bool_)
        found = list[Segment]()
        for hour, flags in self._hours(rows):
            found.append(self._file(hour, _taken(table, flags)))
            left &= ~flags
        if found:
            flushed(self._directory)
            self._reached("segments:durable")
        return found, _taken(table, left)

    def put(
        self, db: duckdb.DuckDBPyConnection, segments: list[Segment], recorded_at: datetime
    ) -> None:
        """Name them, in the transaction of their commit."""
        for one in segments:
            db.execute(
                _PUT,
                [
                    utc(one.hour),
                    one.file,
                    one.sha256,
                    one.rows,
                    one.first_row,
                    one.last_row,
                    utc(recorded_at),
                ],
            )

    def _hours(self, rows: Rows) -> Iterator[tuple[datetime, Flags]]:
        if len(rows) < self._least:
            return
        numbered = rows.seq > 0
        hours = rows.time - rows.time % HOUR_US
        found, counts = np.unique(hours[numbered], return_counts=True)
        for hour in found[counts >= self._least].tolist():
            yield datetime.fromtimestamp(hour // 1_000_000, UTC), numbered & (hours == hour)

    def _file(self, hour: datetime, table: pa.Table) -> Segment:
        numbers = pc.min_max(table.column("row"))
        first, last = numbers["min"].as_py(), numbers["max"].as_py()
        file = self._directory / f"{_PREFIX}{hour:%Y-%m-%dT%H}-{first:020d}.parquet"
        content = _parquet(table)
        with file.open("wb") as out:
            out.write(content)
            self._reached("segments:written")
            out.flush()
            os.fsync(out.fileno())
        return Segment(
            hour=hour,
            file=file.name,
            sha256=hashlib.sha256(content).hexdigest(),
            rows=table.num_rows,
            first_row=first,
            last_row=last,
        )


def flushed(path: Path) -> None:
    """What was written to a file or changed in a folder is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _taken(table: pa.Table, flags: Flags) -> pa.Table:
    return table if flags.all() else table.filter(pa.array(flags))


def _parquet(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=_REPEATED,
        column_encoding=_CLOSE,
        write_statistics=_PRUNED,
        store_schema=False,
    )
    return sink.getvalue()
