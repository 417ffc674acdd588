"""The ledger's tables, and how a file is opened: by one process, and only in the form we know.

No table has a primary key: it would cost about 119 bytes a row; uniqueness comes from the ranges
and the hashes, which move with the rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

import duckdb

from midstage.contracts.errors import UnavailableError

SCHEMA = 5
_BEFORE_DAYS = 2
_BEFORE_SEGMENTS = 3
_BEFORE_DERIVED_HOURS = 4
_KNOWN = (_BEFORE_DAYS, _BEFORE_SEGMENTS, _BEFORE_DERIVED_HOURS, SCHEMA)
CHECKPOINT = "32MB"
"""Of the WAL, before it goes into the file: each time what is not yet a whole row group of a table
is written anew, and an opening reads the WAL again."""
_GIVEN_BACK = {
    "allocator_background_threads": "true",
    "allocator_flush_threshold": "8MB",
    "allocator_bulk_deallocation_flush_threshold": "16MB",
}
"""Its own heap keeps what is free for each thread, outside of the limit, until it is told."""


class Rollup(StrEnum):
    """The tables of partial sums."""

    MINUTES = "minutes"
    HOURS = "hours"
    DAYS = "days"

    @property
    def time(self) -> str:
        """The column that says when."""
        return self.removesuffix("s")


_REMEDY = (
    "put back a copy of it and its .wal; or move both away: then what the log still holds is "
    "counted anew, and what is older is lost"
)

TABLES = """
CREATE TABLE IF NOT EXISTS about (
    schema INTEGER NOT NULL, shard INTEGER NOT NULL, shards INTEGER NOT NULL
    -- and ledger VARCHAR: a name that no other ledger has, for what is kept beside it
);
CREATE TABLE IF NOT EXISTS heads (
    version BIGINT NOT NULL,       -- of the last commit
    row BIGINT NOT NULL,           -- its last row
    n BIGINT NOT NULL              -- the last message that it put into the outbox
);
CREATE TABLE IF NOT EXISTS requests (
    row BIGINT NOT NULL,           -- in the order of commits, from 1 on
    kind VARCHAR NOT NULL,         -- 'request' or 'metered'
    source VARCHAR NOT NULL,
    seq BIGINT,                    -- NULL: not numbered
    id VARCHAR NOT NULL,
    time TIMESTAMP NOT NULL,       -- UTC, as all times here
    customer VARCHAR NOT NULL,
    app VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    revision VARCHAR NOT NULL,
    status INTEGER NOT NULL,
    outcome VARCHAR NOT NULL,      -- '' for metered
    duration_ms DOUBLE NOT NULL,
    queue_ms DOUBLE,
    ttft_ms DOUBLE,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    usage MAP(VARCHAR, BIGINT) NOT NULL,   -- micro-units as observed
    billed BOOLEAN NOT NULL,               -- whether usage counts in the roll-ups
    estimated BOOLEAN NOT NULL,
    labels MAP(VARCHAR, VARCHAR) NOT NULL,
    ref VARCHAR NOT NULL,
    cluster VARCHAR NOT NULL,
    pod VARCHAR NOT NULL,
    trace_id VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    version BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS segments (  -- files with rows that are not in requests
    hour TIMESTAMP NOT NULL,
    file VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    rows BIGINT NOT NULL,
    first_row BIGINT NOT NULL,
    last_row BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
CREATE TABLE IF NOT EXISTS merges (
    upto TIMESTAMP,                -- sums of hours before it were merged
    version BIGINT NOT NULL        -- of what was committed up to this one
);
CREATE TABLE IF NOT EXISTS rolled (
    hours TIMESTAMP,               -- the hours before it are in hours (NULL: none is)
    until TIMESTAMP,               -- the days before it are in days (NULL: none is)
    version BIGINT NOT NULL        -- both with the commits up to this one; no later sum was merged
);
CREATE TABLE IF NOT EXISTS customer_days (   -- what days hold, of all applications together
    day TIMESTAMP NOT NULL,
    customer VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    amount HUGEINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS sources (source VARCHAR NOT NULL, state VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS source_hours (
    source VARCHAR NOT NULL,
    hour TIMESTAMP NOT NULL,       -- of event time
    rows BIGINT NOT NULL,
    first_seq BIGINT NOT NULL,     -- 0: not numbered
    last_seq BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS positions (
    topic VARCHAR NOT NULL, number INTEGER NOT NULL, next BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox (
    n BIGINT NOT NULL,             -- in the order in which they leave, from 1 on
    topic VARCHAR NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    headers BLOB NOT NULL,         -- JSON: pairs of name and base64
    sent_at TIMESTAMP              -- NULL: it has still to be sent
);
CREATE TABLE IF NOT EXISTS seals (
    period VARCHAR NOT NULL,
    row BIGINT NOT NULL,           -- the last one when it was sealed
    version BIGINT NOT NULL,
    positions JSON NOT NULL,
    sealed_at TIMESTAMP NOT NULL
);
CREATE TABLE IF NOT EXISTS archives (
    hour TIMESTAMP NOT NULL,
    part INTEGER NOT NULL,
    file VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    rows BIGINT NOT NULL,
    first_row BIGINT NOT NULL,
    last_row BIGINT NOT NULL
);
"""
# partial sums, to be added up by whoever reads: a commit writes minutes, the others are derived
_ROLLUP = """
CREATE TABLE IF NOT EXISTS {table} (
    {time} TIMESTAMP NOT NULL,
    customer VARCHAR NOT NULL,
    app VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    revision VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,         -- 'outcome', 'unit' or 'bytes'
    name VARCHAR NOT NULL,         -- the outcome (of requests), the unit (billed), 'in' or 'out'
    amount HUGEINT NOT NULL,       -- requests, micro-units, bytes
    version BIGINT NOT NULL
);
"""

_GAINED = """
ALTER TABLE rolled ADD COLUMN IF NOT EXISTS hours TIMESTAMP;
ALTER TABLE about ADD COLUMN IF NOT EXISTS ledger VARCHAR;
"""
_NAMED = "UPDATE about SET ledger = ? WHERE ledger IS NULL"
_HOURS_WRITTEN = """
UPDATE rolled SET hours = greatest(until, (SELECT max(hour) + INTERVAL 1 HOUR FROM hours))
"""
"""All hours that there are, and every day's: a ledger of before wrote them with each commit."""


class HeldError(UnavailableError):
    """Another process has the ledger file; ``pid`` None: the system did not say which."""

    def __init__(self, said: str, *, pid: int | None) -> None:
        """Say who holds it."""
        super().__init__(said)
        self.pid = pid


def opened(
    file: Path, *, memory_mb: int, shard: int = 0, shards: int = 1
) -> duckdb.DuckDBPyConnection:
    """The ledger in ``file``, made where it is missing; it stays ours until it is closed.

    Raises UnavailableError when another process has it, when it is damaged, or when it is not a
    ledger of this schema and shard. What is damaged is never begun anew by itself.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    _not_orphaned(file)
    with readable(file):
        db = duckdb.connect(
            str(file),
            config={
                "memory_limit": f"{memory_mb}MB",
                "threads": 2,
                "checkpoint_threshold": CHECKPOINT,
                **_GIVEN_BACK,
            },
        )
        db.execute("SET TimeZone = 'UTC'")
        _same_schema(db, file)
        db.begin()  # a file is a whole ledger or none
        db.execute(TABLES)
        db.execute(_GAINED)
        for rollup in Rollup:
            db.execute(_ROLLUP.format(table=rollup.value, time=rollup.time))
        _same_shard(db, file, shard=shard, shards=shards)
        db.execute(_NAMED, [uuid4().hex])
        _grown(db)
        db.commit()
    return db


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """What DuckDB finds wrong with the file inside becomes an UnavailableError with the remedy."""
    try:
        yield
    except duckdb.Error as error:
        raise _meant(file, error) from error


def _not_orphaned(file: Path) -> None:
    """DuckDB would begin anew beside the newest transactions of a ledger that is gone."""
    newest = file.with_name(f"{file.name}.wal")
    if newest.exists() and not file.exists():
        raise UnavailableError(f"ledger {file} is gone, but {newest.name} is there; {_REMEDY}")


def _same_schema(db: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Before any table is made, because those of another schema have other columns."""
    tables = db.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    if ("about",) not in tables:
        return
    found = db.execute("SELECT schema FROM about").fetchall()  # a result left open blocks the rest
    if found and found[0][0] not in _KNOWN:
        db.close()
        raise UnavailableError(
            f"ledger {file} has schema {found[0][0]}, this midstage knows {SCHEMA}; "
            "use the midstage that wrote it, or another file"
        )


def _same_shard(db: duckdb.DuckDBPyConnection, file: Path, *, shard: int, shards: int) -> None:
    found = db.execute("SELECT shard, shards FROM about").fetchall()
    if not found:
        made = "INSERT INTO about (schema, shard, shards) VALUES (?, ?, ?)"
        db.execute(made, [SCHEMA, shard, shards])
        db.execute("INSERT INTO heads VALUES (0, 0, 0)")
        db.execute("INSERT INTO merges VALUES (NULL, 0)")
        db.execute("INSERT INTO rolled BY NAME SELECT 0 AS version")
    elif found != [(shard, shards)]:
        db.close()
        raise UnavailableError(
            f"ledger {file} is shard {found[0][0]} of {found[0][1]}, not {shard} of {shards}; "
            "give this process its own file"
        )


def _grown(db: duckdb.DuckDBPyConnection) -> None:
    """Of a ledger from before there were days any of its sums may be a merged one.

    Up to schema 4 each commit wrote hours; those above ``rolled.version`` come from minutes now.
    """
    ((schema,),) = db.execute("SELECT schema FROM about").fetchall()
    if schema == SCHEMA:
        return
    if schema == _BEFORE_DAYS:
        db.execute("INSERT INTO rolled BY NAME SELECT version FROM heads")
    db.execute("DELETE FROM hours WHERE version > (SELECT version FROM rolled)")
    db.execute(_HOURS_WRITTEN)
    db.execute("UPDATE about SET schema = ?", [SCHEMA])


def _meant(file: Path, error: duckdb.Error) -> UnavailableError:
    said = str(error)
    if "Could not set lock" not in said:
        return UnavailableError(
            f"ledger {file} can't be opened ({said}); check its path, disk and rights; {_REMEDY}"
        )
    _, _, holder = said.partition("(PID ")
    pid = holder.partition(")")[0]
    return HeldError(
        f"ledger {file} is held by another process (pid {pid or 'unknown'}); stop that one first",
        pid=int(pid) if pid.isdecimal() else None,
    )
