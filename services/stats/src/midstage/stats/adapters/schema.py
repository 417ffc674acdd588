"""The ledger's tables, and how a file is opened: by one process, and only in the form we know.

No table has a primary key: it would cost about 119 bytes a row; uniqueness comes from the ranges
and the fingerprints, which move in the same transaction as the rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from midstage.contracts.errors import UnavailableError

SCHEMA = 1
_REMEDY = (
    "put back a copy of it and its .wal; or move both away: then what the log still holds is "
    "counted anew, and what is older is lost"
)

TABLES = """
CREATE TABLE IF NOT EXISTS about (schema INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS requests (
    row BIGINT NOT NULL,           -- in the order of commits, from 1 on
    source VARCHAR NOT NULL,
    seq BIGINT,                    -- NULL: not numbered
    id VARCHAR NOT NULL,
    time TIMESTAMP NOT NULL,       -- UTC, as all times here
    customer VARCHAR NOT NULL,
    app VARCHAR NOT NULL,
    status INTEGER NOT NULL,
    outcome VARCHAR NOT NULL,
    duration_ms DOUBLE NOT NULL,
    queue_ms DOUBLE,
    ttft_ms DOUBLE,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    usage MAP(VARCHAR, BIGINT) NOT NULL,   -- micro-units as observed
    billed BOOLEAN NOT NULL,               -- whether usage counts in the roll-up
    estimated BOOLEAN NOT NULL,
    ref VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    revision VARCHAR NOT NULL,
    labels MAP(VARCHAR, VARCHAR) NOT NULL,
    cluster VARCHAR NOT NULL,
    pod VARCHAR NOT NULL,
    trace_id VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
CREATE TABLE IF NOT EXISTS minutes (
    minute TIMESTAMP NOT NULL,
    customer VARCHAR NOT NULL,
    app VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,         -- 'outcome': requests; 'unit': billed micro-units
    name VARCHAR NOT NULL,
    amount HUGEINT NOT NULL
);
CREATE TABLE IF NOT EXISTS sources (source VARCHAR NOT NULL, state VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS fingerprints (high BIGINT NOT NULL, low BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS positions (
    topic VARCHAR NOT NULL, number INTEGER NOT NULL, next BIGINT NOT NULL
);
"""


def opened(file: Path, *, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """The ledger in ``file``, made where it is missing; it stays ours until it is closed.

    Raises UnavailableError when another process has it, when it is damaged, or when it is not a
    ledger of this schema. What is damaged is never begun anew by itself.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    _not_orphaned(file)
    with readable(file):
        db = duckdb.connect(str(file), config={"memory_limit": f"{memory_mb}MB", "threads": 2})
        db.execute("SET TimeZone = 'UTC'")
        db.execute(TABLES)
        _same_schema(db, file)
    return db


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """What DuckDB finds wrong with the file inside becomes an UnavailableError with the remedy."""
    try:
        yield
    except duckdb.Error as error:
        raise UnavailableError(_sentence(file, error)) from error


def _not_orphaned(file: Path) -> None:
    """DuckDB would begin anew beside the newest transactions of a ledger that is gone."""
    newest = file.with_name(f"{file.name}.wal")
    if newest.exists() and not file.exists():
        raise UnavailableError(f"ledger {file} is gone, but {newest.name} is there; {_REMEDY}")


def _same_schema(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    found = db.execute("SELECT schema FROM about").fetchall()  # a result left open blocks the rest
    if not found:
        db.execute("INSERT INTO about VALUES (?)", [SCHEMA])
    elif found != [(SCHEMA,)]:
        db.close()
        raise UnavailableError(
            f"ledger {file} has schema {found[0][0]}, this midstage knows {SCHEMA}; "
            "use the midstage that wrote it, or another file"
        )


def _sentence(file: Path, error: duckdb.Error) -> str:
    said = str(error)
    if "Could not set lock" not in said:
        return f"ledger {file} can't be opened ({said}); check its path, disk and rights; {_REMEDY}"
    _, _, holder = said.partition("(PID ")
    pid = holder.partition(")")[0] or "unknown"
    return f"ledger {file} is held by another process (pid {pid}); stop that one first"
