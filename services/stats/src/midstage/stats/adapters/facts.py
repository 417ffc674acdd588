"""What facts are made of, read from the ledger: the last minute's requests, amounts by minute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own

from midstage.stats.adapters.columns import utc
from midstage.stats.adapters.rows import Bounds, held, moment
from midstage.stats.model import NO_ROWS, Amounts, Doubles, Longs, Rows, Words
from midstage.stats.views.usage_facts import Amount, Cell, Mark

_RECENT = """
SELECT app, outcome, epoch_us(time) AS time, duration_ms, ttft_ms, usage, version
FROM {rows} AS held WHERE time BETWEEN ? AND ? AND outcome <> '' ORDER BY row
"""
_CHANGED = """
SELECT minute, customer, max(version) FROM minutes
WHERE kind <> 'bytes' AND amount > 0 AND version > CASE
    WHEN minute < $until THEN greatest($version, $round_version)
    WHEN minute < $round_until THEN $round_version
    ELSE 0 END
GROUP BY ALL
"""
_AMOUNTS = """
SELECT minute, customer, app, kind, name, sum(amount)::HUGEINT FROM minutes
SEMI JOIN asked USING (minute, customer)
WHERE minute BETWEEN ? AND ? AND kind <> 'bytes' GROUP BY ALL ORDER BY ALL
"""
_CUSTOMERS = """
SELECT minute, count(DISTINCT customer) FROM minutes
WHERE minute >= ? AND minute < ? AND kind <> 'bytes' AND amount > 0 GROUP BY ALL
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recent:
    """Requests with the columns that load is made of, and the commit of each."""

    rows: Rows
    versions: Longs


class FactBooks:
    """Answers on connections of their own; may be asked from any thread."""

    def __init__(self, db: duckdb.DuckDBPyConnection, directory: Path) -> None:
        """Ask the database behind ``db``, whose files of rows are in ``directory``."""
        self._db = db
        self._directory = directory

    def version(self) -> int:
        """The last commit."""
        with self._db.cursor() as db:
            ((version,),) = db.execute("SELECT version FROM heads").fetchall()
        return int(version)

    def recent(self, *, since: datetime, until: datetime) -> Recent:
        """The requests that ended from ``since`` to ``until``, in the order of their rows."""
        with moment(self._db) as db:
            asked = _RECENT.format(rows=held(db, self._directory, Bounds(since=since, until=until)))
            table: pa.Table = db.sql(asked, params=[utc(since), utc(until)]).to_arrow_table()
        return _recent(table)

    def changed(self, mark: Mark) -> Mapping[Cell, int]:
        """What ``mark`` has not told, each with the last commit that added to it."""
        asked = {
            "version": mark.version,
            "until": utc(mark.until),
            "round_version": mark.round_version,
            "round_until": utc(mark.round_until),
        }
        with self._db.cursor() as db:
            found = db.execute(_CHANGED, asked).fetchall()
        return {(minute.replace(tzinfo=UTC), customer): last for minute, customer, last in found}

    def amounts(self, cells: Sequence[Cell]) -> Sequence[Amount]:
        """The absolute amounts of these, in order of minute, customer, application and name."""
        if not cells:
            return []
        minutes = [utc(minute) for minute, _ in cells]
        asked = pa.table(
            {
                "minute": pa.array(minutes, pa.timestamp("us")),
                "customer": pa.array([customer for _, customer in cells], pa.string()),
            }
        )
        with self._db.cursor() as db:
            db.register("asked", asked)
            found = db.execute(_AMOUNTS, [min(minutes), max(minutes)]).fetchall()
        return [
            Amount(
                minute=minute.replace(tzinfo=UTC),
                customer=customer,
                app=app,
                kind=kind,
                name=name,
                amount=int(amount),
            )
            for minute, customer, app, kind, name, amount in found
        ]

    def customers(self, minutes: Sequence[datetime]) -> Sequence[int]:
        """How many customers there are in each of these minutes, which follow one another."""
        if not minutes:
            return []
        end = minutes[-1] + timedelta(minutes=1)
        with self._db.cursor() as db:
            found = db.execute(_CUSTOMERS, [utc(minutes[0]), utc(end)]).fetchall()
        counts = {minute.replace(tzinfo=UTC): count for minute, count in found}
        return [counts.get(minute, 0) for minute in minutes]


def _recent(table: pa.Table) -> Recent:
    count = table.num_rows
    if not count:
        return Recent(rows=NO_ROWS, versions=np.zeros(0, np.int64))
    rows = replace(
        NO_ROWS,
        seq=np.ones(count, np.int64),
        app=_words(table.column("app")),
        outcome=_words(table.column("outcome")),
        time=_numbers(table.column("time")),
        duration_ms=_doubles(table.column("duration_ms")),
        ttft_ms=_doubles(table.column("ttft_ms").fill_null(float("nan"))),
        usage=_amounts(table.column("usage").combine_chunks()),
    )
    return Recent(rows=rows, versions=_numbers(table.column("version")))


def _numbers(column: pa.ChunkedArray) -> Longs:
    return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False), np.int64)


def _doubles(column: pa.ChunkedArray) -> Doubles:
    return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False), np.float64)


def _words(column: pa.ChunkedArray) -> Words:
    coded = column.combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy().astype(np.int32)
    return Words(words=tuple(coded.dictionary.to_pylist()), codes=codes)


def _amounts(maps: pa.MapArray) -> Amounts:
    offsets = maps.offsets.to_numpy()
    parts = slice(int(offsets[0]), int(offsets[-1]))
    return Amounts(
        rows=np.repeat(np.arange(len(maps), dtype=np.int64), np.diff(offsets)),
        names=_words(pa.chunked_array([maps.keys[parts]])),
        micros=maps.items[parts].to_numpy(),
    )
