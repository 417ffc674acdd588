"""Questions to the ledger, each on a connection of its own: none waits for the writer.

A question sees what was committed when it began, as a whole, and nothing that comes in meanwhile.
One that needs more memory than the ledger has is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import msgspec

from midstage.contracts import sketch
from midstage.contracts.units import units
from midstage.stats.adapters.columns import bucket, utc
from midstage.stats.adapters.rows import Bounds, between, held, moment
from midstage.stats.adapters.usage.reading import UsageBooks
from midstage.stats.adapters.usage.turns import Turns
from midstage.stats.model import Source
from midstage.stats.views import availability
from midstage.stats.views.availability import MOST_TALLIES, AvailabilityQuery, Tally
from midstage.stats.views.rows import Row, RowsPage, RowsQuery
from midstage.stats.views.status import Recorded

_ROWS = """
SELECT (SELECT shard FROM about) AS shard, row, ref, id, customer, app, status, outcome, usage,
    billed, estimated, source, seq, time, duration_ms, queue_ms, ttft_ms, bytes_in, bytes_out,
    endpoint, revision, labels, cluster, pod, trace_id,
    epoch_us(recorded_at - time) / 1000.0 AS recorded_ms_after
FROM {rows} AS held
WHERE row > $after AND row <= $upto AND starts_with(ref, $prefix)
    AND customer = coalesce($customer, customer)
ORDER BY row LIMIT $limit
"""
AT_ONCE = 100_000
"""Rows that are looked at first for a page; the more there must be looked at, the more at once."""
_COUNT = """
SELECT (SELECT count(*) FROM requests) + (SELECT coalesce(sum(rows), 0) FROM segments)
"""
_AGES = f"""
SELECT {bucket("age")}, count(*)
FROM (
    SELECT epoch_us(recorded_at - time) / 1000.0 AS age FROM {{rows}} AS held WHERE recorded_at >= ?
)
GROUP BY ALL
"""
_TALLIES = """
SELECT app, {at} AS at,
    coalesce(sum(amount) FILTER (name = 'ok'), 0),
    coalesce(sum(amount) FILTER (name = 'error'), 0)
FROM minutes WHERE kind = 'outcome' AND {where} GROUP BY ALL ORDER BY 1, 2 LIMIT {limit}
"""
_TIMES = {availability.By.MINUTE: "minute", availability.By.HOUR: "date_trunc('hour', minute)"}

# made before threads are: see the traps in docs/architecture.md
_source = msgspec.json.Decoder(Source).decode


class Queries:
    """Answers from the ledger; may be asked from any thread."""

    def __init__(self, db: duckdb.DuckDBPyConnection, directory: Path, *, turns: Turns) -> None:
        """Ask the database behind ``db``, whose files of rows are in ``directory``."""
        self._db = db
        self._directory = directory
        self.usage = UsageBooks(db, rows=between(directory), turns=turns)

    def tallies(self, query: AvailabilityQuery) -> list[Tally]:
        """Good requests and errors by application and time; one more than ``MOST_TALLIES`` at most.

        An application with other outcomes alone has both at zero.
        """
        statement, parameters = _tallies(query)
        with moment(self._db) as db:
            found = db.execute(statement, parameters).fetchall()
        return [
            Tally(
                app=app, at=None if at is None else at.replace(tzinfo=UTC), good=good, errors=errors
            )
            for app, at, good, errors in found
        ]

    def rows(self, query: RowsQuery) -> RowsPage:
        """A page of rows in the order of their commit; pages stay as they are while rows come."""
        found, columns = list[tuple[object, ...]](), list[str]()
        with moment(self._db) as db:
            for bounds in _windows(db, query.after):
                asked = {
                    "after": bounds.after_row,
                    "upto": bounds.upto_row,
                    "prefix": query.ref_prefix,
                    "customer": query.customer,
                    "limit": query.limit + 1 - len(found),
                }
                rows = held(db, self._directory, bounds)
                found += db.execute(_ROWS.format(rows=rows), asked).fetchall()
                columns = [column[0] for column in db.description or ()]
                if len(found) > query.limit:
                    break
        page = tuple(_row(columns, values) for values in found[: query.limit])
        return RowsPage(requests=page, next=page[-1].row if len(found) > query.limit else None)

    def sources(self) -> list[Source]:
        """Every source's state."""
        with moment(self._db) as db:
            found = db.execute("SELECT state FROM sources").fetchall()
        return [_source(state) for (state,) in found]

    def recorded(self, *, since: datetime) -> Recorded:
        """How many rows there are, and the freshness of those committed from ``since`` on."""
        with moment(self._db) as db:
            ((rows,),) = db.execute(_COUNT).fetchall()
            late = held(db, self._directory, recorded_since=since)
            tally = dict(db.execute(_AGES.format(rows=late), [utc(since)]).fetchall())
        zeros = tally.pop(None, 0)
        return Recorded(rows=int(rows), ages=sketch.tallied(tally, zeros=zeros))


def _windows(db: duckdb.DuckDBPyConnection, after: int) -> Iterator[Bounds]:
    """The rows behind ``after`` in ever larger pieces, of which each lies in few files."""
    ((last,),) = db.execute("SELECT row FROM heads").fetchall()
    at_once = AT_ONCE
    while after < last:
        yield Bounds(after_row=after, upto_row=after + at_once)
        after, at_once = after + at_once, at_once * 4


def _tallies(query: AvailabilityQuery) -> tuple[str, list[str | datetime]]:
    at = next((_TIMES[key] for key in query.by if key in _TIMES), "NULL::TIMESTAMP")
    where, parameters = _where({"app = ?": query.app}, query.since, query.until)
    return _TALLIES.format(at=at, where=where, limit=MOST_TALLIES + 1), parameters


def _where(
    names: Mapping[str, str | None], since: datetime | None, until: datetime | None
) -> tuple[str, list[str | datetime]]:
    wanted: dict[str, str | datetime | None] = {
        **names,
        "minute >= ?": None if since is None else utc(since),
        "minute < ?": None if until is None else utc(until),
    }
    filters = {condition: value for condition, value in wanted.items() if value is not None}
    return " AND ".join(filters) or "TRUE", list(filters.values())


def _row(columns: list[str], values: tuple[object, ...]) -> Row:
    row = msgspec.convert(dict(zip(columns, values, strict=True)), Row)
    shown = {name: units(int(micros)) for name, micros in row.usage.items()}
    return replace(row, usage=shown, time=row.time.replace(tzinfo=UTC))
