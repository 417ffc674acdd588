"""Sums of a period in SQL: from the roll-ups, and the same from raw rows.

Whole days and hours come from their roll-ups, what is left at both ends (zones are not whole hours
everywhere) from minutes and rows. All are partial sums, added up here.
"""

from datetime import datetime

import duckdb

from midstage.contracts.billing import Line
from midstage.stats.adapters.archive import Archive
from midstage.stats.adapters.columns import LONG_AGO, utc
from midstage.stats.adapters.rows import Bounds
from midstage.stats.adapters.usage.rolled import rolled
from midstage.stats.decide.billing import Late, Tallied, line_of, tallied
from midstage.stats.decide.periods import Period
from midstage.stats.decide.told import ceil, floor
from midstage.stats.views.usage.plan import Piece, plan
from midstage.stats.views.usage.question import Question, Wanted

TABLE = """
CREATE TABLE IF NOT EXISTS sealed (
    period VARCHAR NOT NULL,
    since TIMESTAMP NOT NULL,
    until TIMESTAMP NOT NULL,
    zone VARCHAR NOT NULL,
    part VARCHAR NOT NULL          -- JSON: what this shard has of the statement
)
"""
_SUMS = """
SELECT customer, app, kind, name, sum(amount) AS amount FROM {table}
WHERE {time} >= {since} AND {time} < {until} AND {versions} AND kind IN ('unit', 'outcome')
GROUP BY ALL
"""
_LINES_OF_SUMS = """
SELECT customer, app, kind, name, sum(amount)::HUGEINT FROM ({sums}) GROUP BY ALL ORDER BY ALL
"""
_LINES_OF_ROWS = """
WITH taken AS (
    SELECT {period} AS period, customer, app, outcome, billed, usage FROM {rows} AS held
    WHERE row > $after AND row <= $row AND time >= $since AND time < $until
)
SELECT period, customer, app, 'outcome' AS kind, outcome AS name, count(*)::HUGEINT AS amount
FROM taken WHERE outcome <> '' GROUP BY ALL
UNION ALL
SELECT period, customer, app, 'unit', entry.key, sum(entry.value)::HUGEINT
FROM (SELECT period, customer, app, unnest(map_entries(usage)) AS entry FROM taken WHERE billed)
GROUP BY ALL
ORDER BY ALL
"""
_ORIGIN = """
coalesce((SELECT min(period) FROM sealed WHERE time >= sealed.since AND time < sealed.until), '')
"""
_TALLIES = """
SELECT source, sum(rows)::BIGINT, min(first_seq), max(last_seq) FROM source_hours
WHERE hour >= $first AND hour < $last GROUP BY ALL
"""
_TALLIES_OF_ROWS = """
SELECT source, count(*), min(coalesce(seq, 0)), max(coalesce(seq, 0)) FROM {rows} AS held
WHERE row <= $row AND time >= $since AND time < $until GROUP BY ALL
"""


def lines_of_sums(db: duckdb.DuckDBPyConnection, period: Period) -> tuple[Line, ...]:
    """The period's sums, of everything that is in the ledger now."""
    whole = Question(
        wanted=Wanted(), since=period.since, until=period.until, group_by=("customer", "app")
    )
    sums = " UNION ALL ".join(_summed(piece) for piece in plan(whole, derived=rolled(db)))
    found = db.execute(_LINES_OF_SUMS.format(sums=sums)).fetchall()
    return tuple(line_of((customer, app, kind, name), n) for customer, app, kind, name, n in found)


def lines_of_rows(
    db: duckdb.DuckDBPyConnection, rows: str, period: Period, row: int
) -> tuple[Line, ...]:
    """The period's sums, of its rows up to ``row``."""
    statement = _LINES_OF_ROWS.format(period="''", rows=rows)
    asked = {"after": 0, "row": row, "since": utc(period.since), "until": utc(period.until)}
    return tuple(
        line_of((customer, app, kind, name), amount)
        for _, customer, app, kind, name, amount in db.execute(statement, asked).fetchall()
    )


def late(
    db: duckdb.DuckDBPyConnection, rows: str, *, before: datetime, after_row: int, upto_row: int
) -> tuple[Late, ...]:
    """The sums of rows above ``after_row`` whose time is before ``before``, by their period."""
    statement = _LINES_OF_ROWS.format(period=_ORIGIN, rows=rows)
    asked = {"after": after_row, "row": upto_row, "since": LONG_AGO, "until": utc(before)}
    return tuple(
        Late(period=period, line=line_of((customer, app, kind, name), amount))
        for period, customer, app, kind, name, amount in db.execute(statement, asked).fetchall()
    )


def tallies(
    db: duckdb.DuckDBPyConnection, archive: Archive, period: Period, row: int
) -> tuple[Tallied, ...]:
    """The period's rows by source, of everything that is in the ledger now."""
    first, last = ceil(period.since), floor(period.until)
    found = [
        Tallied(source=source, rows=rows, first=lowest, last=highest)
        for source, rows, lowest, highest in db.execute(
            _TALLIES, {"first": utc(first), "last": utc(last)}
        ).fetchall()
    ]
    for since, until in ((period.since, first), (last, period.until)):
        if since < until:
            bounds = Bounds(since=since, until=until, upto_row=row)
            with archive.rows(bounds) as (rows_db, rows_held):
                found += tallies_of_rows(rows_db, rows_held, since, until, row)
    return tallied(found)


def tallies_of_rows(
    db: duckdb.DuckDBPyConnection, rows: str, since: datetime, until: datetime, row: int
) -> tuple[Tallied, ...]:
    """The rows of this time up to ``row`` by source."""
    asked = {"row": row, "since": utc(since), "until": utc(until)}
    found = db.execute(_TALLIES_OF_ROWS.format(rows=rows), asked).fetchall()
    return tallied(
        Tallied(source=source, rows=count, first=lowest, last=highest)
        for source, count, lowest, highest in found
    )


def _summed(piece: Piece) -> str:
    """One piece's sums; a period's bounds are whole minutes, so none is of rows."""
    assert piece.since is not None
    assert piece.until is not None
    versions = f"version > {piece.above}"
    if piece.upto is not None:
        versions += f" AND version <= {piece.upto}"
    return _SUMS.format(
        table=piece.table.value,
        time=piece.table.time,
        since=f"TIMESTAMP '{utc(piece.since)}'",
        until=f"TIMESTAMP '{utc(piece.until)}'",
        versions=versions,
    )
