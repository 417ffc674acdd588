"""Raw rows wherever they are: in the ledger's table, in its segments, in its archive.

A relation is SQL that holds for the transaction that asked for it: which files there are is read
from where a commit put it down, so a question sees table and files of one moment.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.stats.adapters.columns import utc

_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 31, tzinfo=UTC)
_LAST_ROW = 2**63 - 1
_TOO_LARGE = (
    "the answer needs more memory than the ledger has (MIDSTAGE_STATS_LEDGER_MEMORY_MB), of which "
    "all that is asked at once takes a part; ask for less (a shorter time, one customer or "
    "application, fewer groups or rows, no customers or quantiles), ask again when less is asked, "
    "or give it more"
)
_FILES = """
SELECT file FROM {table} WHERE last_row > $after AND first_row <= $upto
    AND hour >= date_trunc('hour', $since::TIMESTAMP) AND hour < $until {more}
    ORDER BY hour, first_row
"""

Relation = Callable[[duckdb.DuckDBPyConnection, datetime | None, datetime | None], str]
"""The relation of all rows that may lie between two times, as this transaction sees them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Which rows are asked for: they only leave out files that hold none of them.

    The question has to name them again.
    """

    since: datetime = _EARLIEST
    until: datetime = _LATEST
    after_row: int = 0
    upto_row: int = _LAST_ROW


ALL = Bounds()


def beside(ledger_file: Path) -> Path:
    """The folder of a ledger's segments and archive."""
    return ledger_file.with_name(f"{ledger_file.name}.archive")


def held(
    db: duckdb.DuckDBPyConnection,
    directory: Path,
    bounds: Bounds = ALL,
    *,
    recorded_since: datetime = _EARLIEST,
) -> str:
    """All rows that have not left for the archive."""
    more = f"AND recorded_at >= TIMESTAMP '{utc(recorded_since)}'"
    return _relation(directory, _names(db, "segments", bounds, more=more))


def everything(db: duckdb.DuckDBPyConnection, directory: Path, bounds: Bounds = ALL) -> str:
    """All rows."""
    names = [*_names(db, "archives", bounds), *_names(db, "segments", bounds)]
    return _relation(directory, names)


def between(directory: Path) -> Relation:
    """All rows of a ledger with its files in ``directory``, for who asks by time."""

    def relation(
        db: duckdb.DuckDBPyConnection, since: datetime | None, until: datetime | None
    ) -> str:
        return everything(db, directory, Bounds(since=since or _EARLIEST, until=until or _LATEST))

    return relation


@contextmanager
def moment(db: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of its own that sees what is committed now, and nothing that follows.

    UnavailableError where a file can't be read, RefusedError as of ``enough_memory``.
    """
    with enough_memory(), db.cursor() as own:
        own.begin()
        try:
            yield own
        except duckdb.IOException as error:
            raise UnavailableError(
                f"a file of the ledger's rows can't be read, put it back: {error}"
            ) from error
        finally:
            own.rollback()


@contextmanager
def enough_memory() -> Iterator[None]:
    """RefusedError (422) where what is asked here needs more memory than the ledger has.

    Not unavailable: whoever tries again at once would take the memory again.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise RefusedError(_TOO_LARGE, status=422) from error


def _names(
    db: duckdb.DuckDBPyConnection, table: str, bounds: Bounds, *, more: str = ""
) -> list[str]:
    asked = {
        "since": utc(bounds.since),
        "until": utc(bounds.until),
        "after": bounds.after_row,
        "upto": bounds.upto_row,
    }
    return [file for (file,) in db.execute(_FILES.format(table=table, more=more), asked).fetchall()]


def _relation(directory: Path, names: list[str]) -> str:
    if not names:
        return "requests"
    quoted = ", ".join("'" + str(directory / name).replace("'", "''") + "'" for name in names)
    return f"(FROM requests UNION ALL BY NAME FROM read_parquet([{quoted}], union_by_name = true))"
