"""Closed hours as Parquet files, with the manifest in the same transaction that unstages the rows.

The file is durable under its name before its manifest is; a file that no manifest names was never
there for a reader, and goes at the next start. So a kill at any line loses and doubles no row.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import msgspec

from midstage.chassis.logs import logger
from midstage.data.adapters import files as disk
from midstage.data.adapters.files import Files
from midstage.data.adapters.rows import instant
from midstage.data.adapters.schema import NAMES, ORDER, SCHEMA, transaction
from midstage.data.decide import slices
from midstage.data.model import Offsets, Part, Span, Staged
from midstage.eventlog.failpoint import Failpoint

_log = logger(__name__)

_TOMBSTONES_KEPT = timedelta(days=1)
_STAGED = """
SELECT epoch_us(hour), count(*), epoch_us(min(kept_at)), epoch_us(max(kept_at))
FROM staged GROUP BY hour
"""
_SLICE = "FROM staged WHERE hour = $hour AND time >= $begin AND time < $end"
_WRITE = f"""
COPY (SELECT {NAMES} {_SLICE} ORDER BY {", ".join(ORDER)})
TO '{{file}}' (FORMAT parquet, COMPRESSION zstd)
"""
_SECONDS = """
SELECT epoch_us(date_trunc('second', time)), count(*) FROM staged WHERE hour = ?
GROUP BY 1 ORDER BY 1
"""
_OFFSETS = f'SELECT "partition", min("offset"), max("offset") {_SLICE} GROUP BY 1 ORDER BY 1'
_TIMES = f"SELECT count(*), epoch_us(min(time)), epoch_us(max(time)) {_SLICE}"
_NUMBER = "SELECT coalesce(max(number), 0) + 1 FROM parts WHERE hour = ?"
_PRESENT = "SELECT about FROM parts WHERE removed_at IS NULL ORDER BY hour, number"

Connection = duckdb.DuckDBPyConnection

# made before threads are: see the traps in docs/architecture.md
_part = msgspec.json.Decoder(Part).decode


class Parts:
    """The files of closed hours; closing and removing belong to one thread."""

    def __init__(
        self,
        db: Connection,
        *,
        files: Files,
        now: Callable[[], datetime],
        reached: Failpoint,
        most_rows: int,
    ) -> None:
        """Keep the manifest in the database behind ``db``; ``most_rows`` are sorted at once."""
        self._db = db
        self._files = files
        self._now = now
        self._reached = reached
        self._most_rows = most_rows

    def staged(self) -> Sequence[Staged]:
        """The hours that have rows outside of parts."""
        with self._db.cursor() as db:
            return staged(db)

    def present(self) -> Sequence[Part]:
        """Every part that is there, in the order of hours and numbers."""
        with self._db.cursor() as db:
            return present(db)

    def close_hour(self, hour: datetime) -> Sequence[Part]:
        """Move what the hour has outside of parts into further parts.

        The transaction sees the rows that were there when it began, and removes no others: what
        is kept meanwhile stays for the next time.
        """
        with self._db.cursor() as db:
            with transaction(db):
                parts = self._written(db, hour)
                for part in parts:
                    about = msgspec.json.encode(part).decode()
                    db.execute(
                        "INSERT INTO parts VALUES (?, ?, ?, NULL)", [hour, part.number, about]
                    )
                db.execute("DELETE FROM staged WHERE hour = ?", [hour])
                self._reached("part:unstaged")
            self._reached("part:committed")
        for part in parts:
            self._tell(part)
        return parts

    def remove(self, parts: Sequence[Part]) -> None:
        """Let parts go for ever; their numbers are not given again while a reader may hold them."""
        now = self._now()
        with self._db.cursor() as db, transaction(db):
            for part in parts:
                db.execute(
                    "UPDATE parts SET removed_at = ? WHERE hour = ? AND number = ?",
                    [now, part.hour, part.number],
                )
            db.execute("DELETE FROM parts WHERE removed_at < ?", [now - _TOMBSTONES_KEPT])
        self._reached("part:removed")
        self._files.remove(name for part in parts for name in (part.file, _manifest(part)))

    def tidy(self) -> None:
        """Remove what no manifest names, write what is missing beside a part, name lost parts."""
        held = self.present()
        lost = [part for part in held if not self._files.path(part.file).exists()]
        for part in lost:
            _log.error("part_missing", file=part.file, rows=part.rows)
        if lost:
            self.remove(lost)
        there = [part for part in held if part not in lost]
        known = {self._files.path(name) for part in there for name in (part.file, _manifest(part))}
        for path in self._files.directory.glob("*/part-*"):
            if path not in known:
                _log.info("unfinished_file_removed", file=str(path.name))
                path.unlink()
        for part in there:
            if not self._files.path(_manifest(part)).exists():
                self._tell(part)
        for folder in list(self._files.directory.iterdir()):
            with suppress(OSError):  # it is not empty, or not a folder
                folder.rmdir()

    def _written(self, db: Connection, hour: datetime) -> list[Part]:
        """The hour's rows as durable files under their names, and what their manifests say."""
        ((number,),) = db.execute(_NUMBER, [hour]).fetchall()
        seconds = [(instant(at), rows) for at, rows in db.execute(_SECONDS, [hour]).fetchall()]
        self._files.path(_folder(hour)).mkdir(exist_ok=True)
        disk.durable(self._files.directory)
        spans = slices(seconds, most=self._most_rows)
        return [self._slice(db, hour, span, number + n) for n, span in enumerate(spans)]

    def _slice(self, db: Connection, hour: datetime, span: Span, number: int) -> Part:
        asked = {"hour": hour, "begin": span.begin, "end": span.end}
        ((rows, first, last),) = db.execute(_TIMES, asked).fetchall()
        offsets = db.execute(_OFFSETS, asked).fetchall()
        name = f"{_folder(hour)}/part-{number}.parquet"
        path = self._files.path(name)
        draft = disk.draft_of(path)
        db.execute(_WRITE.format(file=quoted(draft)), asked).fetchall()
        self._reached("part:written")
        disk.publish(draft, path)
        self._reached("part:renamed")
        return Part(
            hour=hour,
            number=number,
            file=name,
            rows=rows,
            bytes=path.stat().st_size,
            sha256=disk.digest(path),
            first=instant(first),
            last=instant(last),
            offsets={place: Offsets(first=low, last=high) for place, low, high in offsets},
            schema=SCHEMA,
            created=self._now(),
        )

    def _tell(self, part: Part) -> None:
        """The manifest beside the file, for whoever takes the files away."""
        path = self._files.path(_manifest(part))
        disk.write(path, msgspec.json.format(msgspec.json.encode(part), indent=2) + b"\n")


def present(db: Connection) -> list[Part]:
    """The parts that are there, as the transaction of ``db`` sees them."""
    return [_part(about) for (about,) in db.execute(_PRESENT).fetchall()]


def staged(db: Connection) -> list[Staged]:
    """The hours that have rows outside of parts, as the transaction of ``db`` sees them."""
    return [
        Staged(hour=instant(hour), rows=rows, first_at=instant(first), last_at=instant(last))
        for hour, rows, first, last in db.execute(_STAGED).fetchall()
    ]


def _folder(hour: datetime) -> str:
    return f"{hour:%Y-%m-%dT%H}"


def _manifest(part: Part) -> str:
    return f"{part.file.removesuffix('.parquet')}.json"


def quoted(path: Path) -> str:
    """The path inside a statement's quotes; COPY takes no parameter there."""
    return str(path).replace("'", "''")
