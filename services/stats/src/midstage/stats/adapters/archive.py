"""Raw rows of old hours as Parquet beside the ledger: durable there before they leave it.

A file is written under another name, flushed to the disk, renamed, and only then are its hash put
down and its rows taken out, in one transaction. So a crash at any line loses and doubles nothing.
The same rows make the same bytes. A segment of the hour is such a file already, and only its name
moves. Files are never changed and never deleted: statements rest on them.
"""

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it has no types of its own

from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.stats.adapters.columns import utc
from midstage.stats.adapters.duckdb import Writing
from midstage.stats.adapters.rows import ALL, Bounds, everything, moment
from midstage.stats.adapters.segments import flushed

HOUR = timedelta(hours=1)
ROW_GROUP = 61_440
_Asked = dict[str, datetime | int]
_DUE = """
SELECT DISTINCT date_trunc('hour', time)::TIMESTAMP FROM requests WHERE time < $1 AND row <= $2
UNION SELECT hour FROM segments WHERE hour < $1 AND last_row <= $2 ORDER BY 1
"""
_OF_HOUR = "time >= $since AND time < $until AND row <= $upto"
_ROWS = f"SELECT * FROM requests WHERE {_OF_HOUR} ORDER BY row"
_SEGMENTS_LEAVE = """
INSERT INTO archives (hour, part, file, sha256, rows, first_row, last_row)
SELECT hour, $part + row_number() OVER (ORDER BY first_row) - 1, file, sha256, rows, first_row,
    last_row
FROM segments WHERE hour = $hour AND last_row <= $upto
"""
_SEGMENTS_LEFT = """
DELETE FROM segments WHERE hour = $hour AND last_row <= $upto RETURNING rows
"""
_OF_ALL = """
SELECT file, sha256 FROM archives WHERE last_row > $1
UNION ALL SELECT file, sha256 FROM segments WHERE last_row > $1 ORDER BY 1
"""


class Books(Protocol):
    """The ledger, for who adds tables to its file."""

    def writing(self) -> AbstractContextManager[Writing]:
        """A transaction; nobody else writes meanwhile."""
        ...

    def reading(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection beside it, for which nobody waits."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """One file: ``part`` counts the files of an hour, the first of them as 0."""

    hour: datetime
    part: int
    file: str
    sha256: str
    rows: int
    first_row: int
    last_row: int


class Archive:
    """The Parquet files of one ledger; one thread archives, any may read."""

    def __init__(self, books: Books, *, directory: Path, reached: Failpoint = nothing) -> None:
        """Keep the files in ``directory``, made where it is missing."""
        directory.mkdir(parents=True, exist_ok=True)
        self._books = books
        self._directory = directory
        self._reached = reached
        with books.writing() as writing:
            self._db = writing.db.cursor()

    def due(self, *, before: datetime, upto_row: int) -> list[datetime]:
        """The hours that ended by ``before`` and have rows in the ledger, up to ``upto_row``."""
        with self._db.cursor() as db:
            found = db.execute(
                _DUE, [utc(before.replace(minute=0, second=0, microsecond=0)), upto_row]
            )
            return [hour.replace(tzinfo=UTC) for (hour,) in found.fetchall()]

    def archive(self, hour: datetime, *, upto_row: int) -> int:
        """Move the rows of ``hour`` up to ``upto_row``; how many there were."""
        return self._named(hour, upto_row) + self._written(hour, upto_row)

    def files(self) -> list[Archived]:
        """All files, by hour and part."""
        with self._db.cursor() as db:
            found = db.execute(
                "SELECT hour, part, file, sha256, rows, first_row, last_row FROM archives "
                "ORDER BY hour, part"
            ).fetchall()
        return [
            Archived(
                hour=hour.replace(tzinfo=UTC),
                part=part,
                file=file,
                sha256=sha256,
                rows=rows,
                first_row=first,
                last_row=last,
            )
            for hour, part, file, sha256, rows, first, last in found
        ]

    def damaged(self, *, after_row: int = 0) -> list[str]:
        """The files with rows above ``after_row`` that are gone or not as they were.

        Those of segments, too.
        """
        with moment(self._db) as db:
            found = db.execute(_OF_ALL, [after_row]).fetchall()
        return [
            file
            for file, sha256 in found
            if not (self._directory / file).is_file() or _sha256(self._directory / file) != sha256
        ]

    @contextmanager
    def rows(self, bounds: Bounds = ALL) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
        """A connection that sees one moment, and the relation there of all rows, wherever they are.

        UnavailableError where a file can't be read.
        """
        with moment(self._db) as db:
            yield db, everything(db, self._directory, bounds)

    def _named(self, hour: datetime, upto_row: int) -> int:
        """Its segments are files of the archive from now on; how many rows they have."""
        asked: _Asked = {"hour": utc(hour), "upto": upto_row}
        with self._books.writing() as writing:
            part = _next_part(writing.db, hour)
            writing.db.execute(_SEGMENTS_LEAVE, {**asked, "part": part})
            left = writing.db.execute(_SEGMENTS_LEFT, asked).fetchall()
            self._reached("archive:naming")
        return sum(rows for (rows,) in left)

    def _written(self, hour: datetime, upto_row: int) -> int:
        """What the table has of it leaves for one more file; how many rows that is."""
        asked: _Asked = {"since": utc(hour), "until": utc(hour + HOUR), "upto": upto_row}
        with self._db.cursor() as db:
            part = _next_part(db, hour)
        file = self._directory / f"requests-{hour:%Y-%m-%dT%H}-{part:03d}.parquet"
        written = _Written()
        with _durable(file) as unfinished:
            self._write(unfinished, asked, written)
            self._reached("archive:written")
        self._reached("archive:renamed")
        if not written.rows:
            file.unlink()
            return 0
        archived = Archived(
            hour=hour,
            part=part,
            file=file.name,
            sha256=_sha256(file),
            rows=written.rows,
            first_row=written.first,
            last_row=written.last,
        )
        self._leave(archived, asked)
        self._reached("archive:left")
        return written.rows

    def _write(self, file: Path, asked: _Asked, written: "_Written") -> None:
        """The rows in groups of one size, whatever the memory and the threads."""
        with self._db.cursor() as db:
            reader = db.sql(_ROWS, params=asked).to_arrow_reader(ROW_GROUP)
            with pq.ParquetWriter(file, reader.schema, compression="zstd") as out:
                for group in reader:
                    out.write_batch(group, row_group_size=ROW_GROUP)
                    numbers = group.column("row")
                    written.add(group.num_rows, numbers[0].as_py(), numbers[-1].as_py())

    def _leave(self, archived: Archived, asked: _Asked) -> None:
        with self._books.writing() as writing:
            writing.db.execute(
                "INSERT INTO archives (hour, part, file, sha256, rows, first_row, last_row) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    utc(archived.hour),
                    archived.part,
                    archived.file,
                    archived.sha256,
                    archived.rows,
                    archived.first_row,
                    archived.last_row,
                ],
            )
            left = writing.delete("requests", _OF_HOUR, asked)
            if left != archived.rows:
                raise RuntimeError(
                    f"{archived.file} has {archived.rows} rows, but {left} were to leave the ledger"
                )
            self._reached("archive:leaving")


def _next_part(db: duckdb.DuckDBPyConnection, hour: datetime) -> int:
    ((part,),) = db.execute(
        "SELECT coalesce(max(part) + 1, 0) FROM archives WHERE hour = ?", [utc(hour)]
    ).fetchall()
    return int(part)


class _Written:
    """How many rows went into a file, and their first and last number."""

    def __init__(self) -> None:
        self.rows = 0
        self.first = 0
        self.last = 0

    def add(self, rows: int, first: int, last: int) -> None:
        self.first = self.first or first
        self.rows += rows
        self.last = last


@contextmanager
def _durable(file: Path) -> Iterator[Path]:
    """Gives the name to write under; afterwards ``file`` is whole and on the disk."""
    unfinished = file.with_name(f"{file.name}.unfinished")
    yield unfinished
    flushed(unfinished)
    unfinished.replace(file)
    flushed(file.parent)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
