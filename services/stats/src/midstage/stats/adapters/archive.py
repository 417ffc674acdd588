"""Raw rows of old hours as Parquet beside the ledger: durable there before they leave it.

A file is written under another name, flushed to the disk, renamed, and only then are its hash put
down and its rows taken out, in one transaction. So a crash at any line loses and doubles nothing.
The same rows make the same bytes. Files are never changed and never deleted: statements rest on
them.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it has no types of its own

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.stats.adapters.columns import utc
from midstage.stats.adapters.duckdb import Writing

HOUR = timedelta(hours=1)
ROW_GROUP = 61_440
_Asked = dict[str, datetime | int]
_DUE = """
SELECT DISTINCT date_trunc('hour', time) FROM requests WHERE time < ? AND row <= ? ORDER BY 1
"""
_ROWS = (
    "SELECT * FROM requests WHERE time >= $since AND time < $until AND row <= $upto ORDER BY row"
)
_LEAVE = "DELETE FROM requests WHERE time >= $since AND time < $until AND row <= $upto"
_FILES = """
SELECT file FROM archives WHERE last_row > $after AND first_row <= $upto
    AND hour >= date_trunc('hour', $since::TIMESTAMP) AND hour < $until ORDER BY hour, part
"""
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 31, tzinfo=UTC)
_LAST_ROW = 2**63 - 1


def beside(ledger_file: Path) -> Path:
    """The folder of a ledger's archive."""
    return ledger_file.with_name(f"{ledger_file.name}.archive")


class Books(Protocol):
    """The ledger, for who adds tables to its file."""

    def writing(self) -> AbstractContextManager[Writing]:
        """A transaction; nobody else writes meanwhile."""
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

    def archive(self, hour: datetime, *, upto_row: int) -> Archived | None:
        """Move the rows of ``hour`` up to ``upto_row`` into one more file; None where none are."""
        asked: _Asked = {"since": utc(hour), "until": utc(hour + HOUR), "upto": upto_row}
        part = self._next_part(hour)
        file = self._directory / f"requests-{hour:%Y-%m-%dT%H}-{part:03d}.parquet"
        written = _Written()
        with _durable(file) as unfinished:
            self._write(unfinished, asked, written)
            self._reached("archive:written")
        self._reached("archive:renamed")
        if not written.rows:
            file.unlink()
            return None
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
        return archived

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
        """The files with rows above ``after_row`` that are gone or not as they were."""
        return [
            one.file
            for one in self.files()
            if one.last_row > after_row
            and (
                not (self._directory / one.file).is_file()
                or _sha256(self._directory / one.file) != one.sha256
            )
        ]

    @contextmanager
    def rows(
        self,
        *,
        since: datetime = _EARLIEST,
        until: datetime = _LATEST,
        after_row: int = 0,
        upto_row: int = _LAST_ROW,
    ) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
        """A connection that sees one moment, and the relation there of all rows, wherever they are.

        The bounds only leave out files that hold none of the rows; the question has to name them
        again. UnavailableError where a file can't be read.
        """
        with self._db.cursor() as db:
            db.begin()
            try:
                yield (
                    db,
                    relation(
                        db,
                        self._directory,
                        since=since,
                        until=until,
                        after_row=after_row,
                        upto_row=upto_row,
                    ),
                )
            except duckdb.IOException as error:
                raise UnavailableError(
                    f"an archive of the ledger can't be read, put it back: {error}"
                ) from error
            finally:
                db.rollback()

    def _next_part(self, hour: datetime) -> int:
        with self._db.cursor() as db:
            ((part,),) = db.execute(
                "SELECT coalesce(max(part) + 1, 0) FROM archives WHERE hour = ?", [utc(hour)]
            ).fetchall()
        return int(part)

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
            ((left,),) = writing.db.execute(_LEAVE, asked).fetchall()
            if left != archived.rows:
                raise RuntimeError(
                    f"{archived.file} has {archived.rows} rows, but {left} were to leave the ledger"
                )
            self._reached("archive:leaving")


def relation(
    db: duckdb.DuckDBPyConnection,
    directory: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    after_row: int = 0,
    upto_row: int = _LAST_ROW,
) -> str:
    """The relation of all rows as SQL, as this transaction of ``db`` sees them."""
    asked: _Asked = {
        "since": utc(since or _EARLIEST),
        "until": utc(until or _LATEST),
        "after": after_row,
        "upto": upto_row,
    }
    files = [str(directory / file) for (file,) in db.execute(_FILES, asked).fetchall()]
    if not files:
        return "requests"
    quoted = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    return f"(FROM requests UNION ALL BY NAME FROM read_parquet([{quoted}], union_by_name = true))"


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
    _flushed(unfinished)
    unfinished.replace(file)
    _flushed(file.parent)


def _flushed(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
