"""Raw rows folded anew, by other means than counting folds them, and compared cell by cell.

Rows and roll-ups are seen at one moment, so it may run while counting goes on. It changes nothing.
"""

from datetime import UTC, date, datetime, timedelta

import duckdb
import msgspec

from midstage.stats.adapters.archive import Archive
from midstage.stats.adapters.columns import utc
from midstage.stats.adapters.schema import Rollup
from midstage.stats.adapters.usage.rolled import rolled
from midstage.stats.model import Source
from midstage.stats.views.recount import (
    FIRST,
    DayRecounted,
    Difference,
    WholeRecounted,
    day_recounted,
)

DAY = timedelta(days=1)
_SUMS = """
WITH taken AS (
    SELECT date_trunc('{step}', time) AS begins, customer, app, endpoint, revision, outcome, billed,
        usage, bytes_in, bytes_out
    FROM {rows} AS held WHERE time >= $since AND time < $until
), folded AS (
    SELECT begins, customer, app, endpoint, revision, 'outcome' AS kind, outcome AS name,
        count(*)::HUGEINT AS amount
    FROM taken WHERE outcome <> '' GROUP BY ALL
    UNION ALL
    SELECT begins, customer, app, endpoint, revision, 'unit', entry.key, sum(entry.value)::HUGEINT
    FROM (
        SELECT begins, customer, app, endpoint, revision, unnest(map_entries(usage)) AS entry
        FROM taken WHERE billed
    ) GROUP BY ALL
    UNION ALL
    SELECT begins, customer, app, endpoint, revision, 'bytes', 'in', sum(bytes_in)::HUGEINT
    FROM taken WHERE bytes_in <> 0 GROUP BY ALL
    UNION ALL
    SELECT begins, customer, app, endpoint, revision, 'bytes', 'out', sum(bytes_out)::HUGEINT
    FROM taken WHERE bytes_out <> 0 GROUP BY ALL
), said AS (
    SELECT {step} AS begins, customer, app, endpoint, revision, kind, name,
        sum(amount)::HUGEINT AS amount
    FROM {sums} AS summed WHERE {step} >= $since AND {step} < $until GROUP BY ALL
)
SELECT begins, customer, app, endpoint, revision, kind, name, folded.amount, said.amount
FROM folded FULL JOIN said USING (begins, customer, app, endpoint, revision, kind, name)
"""
_DERIVED = """
(SELECT * FROM {table} WHERE version <= {version} AND {step} < TIMESTAMP '{until}'
UNION ALL BY NAME
SELECT date_trunc('{step}', minute)::TIMESTAMP AS {step}, * EXCLUDE (minute) FROM minutes
WHERE version > {version} OR minute >= TIMESTAMP '{until}')
"""
_BY_CUSTOMER = """
WITH folded AS (
    SELECT day AS begins, customer, kind, name, sum(amount)::HUGEINT AS amount
    FROM days WHERE day >= $since AND day < $until AND {there} GROUP BY ALL
), said AS (
    SELECT day AS begins, customer, kind, name, sum(amount)::HUGEINT AS amount
    FROM customer_days WHERE day >= $since AND day < $until AND {there} GROUP BY ALL
)
SELECT begins, customer, kind, name, folded.amount, said.amount
FROM folded FULL JOIN said USING (begins, customer, kind, name)
"""
_SOURCE_HOURS = """
WITH folded AS (
    SELECT date_trunc('hour', time) AS begins, source, count(*) AS rows,
        min(coalesce(seq, 0)) AS lowest, max(coalesce(seq, 0)) AS highest
    FROM {rows} AS held WHERE time >= $since AND time < $until GROUP BY ALL
), said AS (
    SELECT hour AS begins, source, sum(rows) AS rows, min(first_seq) AS lowest,
        max(last_seq) AS highest
    FROM source_hours WHERE hour >= $since AND hour < $until GROUP BY ALL
)
SELECT begins, source,
    concat_ws(' ', folded.rows, folded.lowest, folded.highest),
    concat_ws(' ', said.rows, said.lowest, said.highest)
FROM folded FULL JOIN said USING (begins, source)
"""
_CELL = "customer, app, endpoint, revision, kind, name"
_DIFFERENT = """
SELECT * FROM ({compared}) AS compared(begins, {cell}, rows_say, ledger_says)
WHERE rows_say IS DISTINCT FROM ledger_says ORDER BY ALL
"""
_NEXT = """
SELECT min(day) FROM (
    SELECT min(time)::DATE AS day FROM {rows} AS held WHERE time >= $after
    UNION ALL SELECT min(minute)::DATE FROM minutes WHERE minute >= $after
    UNION ALL SELECT min(hour)::DATE FROM hours WHERE hour >= $after
    UNION ALL SELECT min(day)::DATE FROM days WHERE day >= $after
    UNION ALL SELECT min(day)::DATE FROM customer_days WHERE day >= $after
    UNION ALL SELECT min(hour)::DATE FROM source_hours WHERE hour >= $after
)
"""
_NUMBERS = """
SELECT source, count(*), count(DISTINCT seq), coalesce(min(seq), 0), max(seq), sum(seq)::HUGEINT
FROM {rows} AS held WHERE seq IS NOT NULL GROUP BY ALL ORDER BY 1
"""

# made before threads are: see the traps in docs/architecture.md
_source = msgspec.json.Decoder(Source).decode


class Recount:
    """Counts a ledger's rows again; any thread may ask."""

    def __init__(self, archive: Archive) -> None:
        """Of the ledger and the files of ``archive``."""
        self._archive = archive

    def day(self, after: date) -> DayRecounted:
        """The first day from ``after`` on that has anything, compared."""
        with self._archive.rows() as (db, rows):
            day = _next(db, rows, after)
            if day is None:
                return DayRecounted(day=None, rows=0, cells=0, differences=0, first=(), next=None)
            since = datetime(day.year, day.month, day.day, tzinfo=UTC)
            asked = {"since": utc(since), "until": utc(since + DAY)}
            counted = f"SELECT count(*) FROM {rows} AS held WHERE time >= $since AND time < $until"
            ((total,),) = db.execute(counted, asked).fetchall()
            cells, found = 0, list[Difference]()
            for table, sums in _tables(db, since):
                more, differ = _sums(db, rows, (table, sums), asked)
                cells += more
                found += differ
            # by customer beside the days themselves, which were compared with the rows
            beside = _BY_CUSTOMER.format(there=_there(db))
            found += _differing(db, "customer_days", beside, asked, cell="customer, kind, name")
            of_sources = _SOURCE_HOURS.format(rows=rows)
            found += _differing(db, "source_hours", of_sources, asked, cell="source")
            following = _next(db, rows, day + DAY)
        return day_recounted(day=day, rows=total, cells=cells, found=found, following=following)

    def whole(self) -> WholeRecounted:
        """Each number once and as the sources say, rows without a gap, files as they were."""
        damaged = self._archive.damaged()
        with self._archive.rows() as (db, rows):
            found = [*_rows(db, rows), *_numbers(db, rows)]
            ((total,),) = db.execute(f"SELECT count(*) FROM {rows} AS held").fetchall()
        found += [
            Difference(table="archives", at=None, cell=(file,), rows_say="damaged", ledger_says="")
            for file in damaged
        ]
        return WholeRecounted(rows=total, differences=len(found), first=tuple(found[:FIRST]))


def _next(db: duckdb.DuckDBPyConnection, rows: str, after: date) -> date | None:
    begin = datetime(after.year, after.month, after.day, tzinfo=UTC)
    ((day,),) = db.execute(_NEXT.format(rows=rows), {"after": utc(begin)}).fetchall()
    return day if isinstance(day, date) else None


def _tables(db: duckdb.DuckDBPyConnection, day: datetime) -> list[tuple[Rollup, str]]:
    """The roll-ups that have this day, and what is to be added up of each."""
    derived = rolled(db)
    found = [(Rollup.MINUTES, Rollup.MINUTES.value)]
    for one, until in ((Rollup.HOURS, derived.hours), (Rollup.DAYS, derived.until)):
        if until is not None and day < until:
            said = _DERIVED.format(
                table=one, step=one.time, version=derived.version, until=utc(until)
            )
            found.append((one, said))
    return found


def _there(db: duckdb.DuckDBPyConnection) -> str:
    """Which sums of days are read: others are of a move under way."""
    derived = rolled(db)
    if derived.until is None:
        return "FALSE"
    return f"version <= {derived.version} AND day < TIMESTAMP '{utc(derived.until)}'"


def _sums(
    db: duckdb.DuckDBPyConnection,
    rows: str,
    of: tuple[Rollup, str],
    asked: dict[str, datetime],
) -> tuple[int, list[Difference]]:
    table, sums = of
    compared = _SUMS.format(step=table.time, sums=sums, rows=rows)
    ((cells,),) = db.execute(f"SELECT count(*) FROM ({compared}) AS c", asked).fetchall()
    return int(cells), _differing(db, table.value, compared, asked, cell=_CELL)


def _differing(
    db: duckdb.DuckDBPyConnection,
    table: str,
    compared: str,
    asked: dict[str, datetime],
    *,
    cell: str,
) -> list[Difference]:
    """Of what ``compared`` gives (time, ``cell``, an amount twice) that in which they differ."""
    different = _DIFFERENT.format(compared=compared, cell=cell)
    return [
        Difference(
            table=table,
            at=at.replace(tzinfo=UTC),
            cell=tuple(of),
            rows_say=_said(counted),
            ledger_says=_said(held),
        )
        for at, *of, counted, held in db.execute(different, asked).fetchall()
    ]


def _rows(db: duckdb.DuckDBPyConnection, rows: str) -> list[Difference]:
    asked = f"SELECT count(*), count(DISTINCT row), coalesce(max(row), 0) FROM {rows} AS held"
    ((total, distinct, highest),) = db.execute(asked).fetchall()
    ((head,),) = db.execute("SELECT row FROM heads").fetchall()
    if total == distinct == highest == head:
        return []
    said = f"{total} rows, {distinct} numbers, highest {highest}"
    return [Difference(table="heads", at=None, cell=(), rows_say=said, ledger_says=str(head))]


def _numbers(db: duckdb.DuckDBPyConnection, rows: str) -> list[Difference]:
    """Each number of a source is in one row, and they are those that the source's state has.

    By how many there are, the lowest, the highest and what they add up to.
    """
    states = [_source(state) for (state,) in db.execute("SELECT state FROM sources").fetchall()]
    said = {
        state.name: (
            state.seen.count,
            state.seen.count,
            _lowest(state),
            state.seen.most,
            sum((first + last) * (last - first + 1) // 2 for first, last in state.seen.spans),
        )
        for state in states
        if state.seen.spans
    }
    held = {
        source: tuple(figures)
        for source, *figures in db.execute(_NUMBERS.format(rows=rows)).fetchall()
    }
    return [
        Difference(
            table="sources",
            at=None,
            cell=(source,),
            rows_say=_said(held.get(source)),
            ledger_says=_said(said.get(source)),
        )
        for source in sorted(said.keys() | held.keys())
        if said.get(source) != held.get(source)
    ]


def _lowest(state: Source) -> int:
    return state.seen.spans[0][0]


def _said(amount: object) -> str:
    return "nothing" if amount is None else str(amount)
