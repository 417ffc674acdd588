"""The store's tables, and how its file is opened: by one process, and only in the form we know.

No table has a primary key: it would cost about 119 bytes a row; uniqueness comes from the numbers
and the fingerprints, which move in the same transaction as the rows.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from midstage.contracts.errors import UnavailableError

SCHEMA = 1
"""Of the store's tables and of the files of records alike."""

COLUMNS: dict[str, str] = {
    "time": "TIMESTAMPTZ",
    "source": "VARCHAR",
    "seq": "BIGINT",
    "id": "VARCHAR",
    "app": "VARCHAR",
    "revision": "VARCHAR",
    "endpoint": "VARCHAR",
    "customer": "VARCHAR",
    "status": "INTEGER",
    "outcome": "VARCHAR",
    "duration_ms": "DOUBLE",
    "queue_ms": "DOUBLE",
    "ttft_ms": "DOUBLE",
    "bytes_in": "BIGINT",
    "bytes_out": "BIGINT",
    "usage": "MAP(VARCHAR, DECIMAL(19, 6))",
    "estimated": "BOOLEAN",
    "labels": "MAP(VARCHAR, VARCHAR)",
    "ref": "VARCHAR",
    "cluster": "VARCHAR",
    "pod": "VARCHAR",
    "trace_id": "VARCHAR",
    "partition": "INTEGER",
    "offset": "BIGINT",
}
"""Of a row, in a file of records and outside; ``partition`` and ``offset`` are its place in the
log. Units are decimals, so that their sums are exact."""

NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
ORDER = ("time", "source", "coalesce(seq, 0)", "id")
"""A row's place among all: no two rows share it."""

_TABLES = f"""
CREATE TABLE IF NOT EXISTS about (schema INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS staged (
    {", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())},
    hour TIMESTAMPTZ NOT NULL,
    kept_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE IF NOT EXISTS parts (
    hour TIMESTAMPTZ NOT NULL,
    number INTEGER NOT NULL,
    about VARCHAR NOT NULL,        -- the part as JSON
    removed_at TIMESTAMPTZ         -- NULL: its file is there
);
CREATE TABLE IF NOT EXISTS sources (
    source VARCHAR NOT NULL, newest TIMESTAMPTZ NOT NULL, state VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS fingerprints (
    high BIGINT NOT NULL, low BIGINT NOT NULL, time TIMESTAMPTZ NOT NULL
);
CREATE TABLE IF NOT EXISTS positions (
    topic VARCHAR NOT NULL, number INTEGER NOT NULL, next BIGINT NOT NULL
);
"""
_REMEDY = (
    "put back a copy of it and its .wal; or move its whole directory away: then what the log "
    "still holds is kept anew, and what is older is lost"
)


def opened(file: Path, *, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """The store in ``file``, made where it is missing; it stays ours until it is closed.

    Raises UnavailableError when another process has it, when it is damaged, or when it is not a
    store of this schema. What is damaged is never begun anew by itself.
    """
    _not_orphaned(file)
    with readable(file):
        db = duckdb.connect(str(file), config={"memory_limit": f"{memory_mb}MB", "threads": 1})
        db.execute("SET TimeZone = 'UTC'")
        db.execute(_TABLES)
        _same_schema(db, file)
    return db


@contextmanager
def transaction(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """What is done inside becomes durable as a whole, or not at all."""
    db.begin()
    with ExitStack() as undo:
        undo.callback(db.rollback)
        yield
        undo.pop_all()
    db.commit()


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """What DuckDB finds wrong with the file inside becomes an UnavailableError with the remedy."""
    try:
        yield
    except duckdb.Error as error:
        raise UnavailableError(_sentence(file, error)) from error


def _not_orphaned(file: Path) -> None:
    """DuckDB would begin anew beside the newest transactions of a store that is gone."""
    newest = file.with_name(f"{file.name}.wal")
    if newest.exists() and not file.exists():
        raise UnavailableError(f"store {file} is gone, but {newest.name} is there; {_REMEDY}")


def _same_schema(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    found = db.execute("SELECT schema FROM about").fetchall()  # a result left open blocks the rest
    if not found:
        db.execute("INSERT INTO about VALUES (?)", [SCHEMA])
    elif found != [(SCHEMA,)]:
        db.close()
        raise UnavailableError(
            f"store {file} has schema {found[0][0]}, this midstage knows {SCHEMA}; "
            "use the midstage that wrote it, or another directory"
        )


def _sentence(file: Path, error: duckdb.Error) -> str:
    said = str(error)
    if "Could not set lock" not in said:
        return f"store {file} can't be opened ({said}); check its path, disk and rights; {_REMEDY}"
    _, _, holder = said.partition("(PID ")
    pid = holder.partition(")")[0] or "unknown"
    return f"store {file} is held by another process (pid {pid}); stop that one first"
