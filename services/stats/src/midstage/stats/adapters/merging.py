"""Partial sums of hours that are over become one for each cell: less to keep, less to add up.

Each minute and each hour in a transaction of its own, so that counting never waits long; before,
between and after, whoever adds up finds the same. Late sums of an hour are merged at the next turn.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import duckdb

from midstage.stats.adapters.columns import utc
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.schema import Rollup

SENT_KEPT = timedelta(hours=1)
_STATE = "SELECT upto, version FROM merges"
_SPLIT = """
SELECT DISTINCT {time} FROM {table}
WHERE {time} < ? AND ({time} >= coalesce(?, '-infinity'::TIMESTAMP) OR version > ?) ORDER BY 1
"""
_MERGED = """
CREATE OR REPLACE TEMP TABLE merged AS
SELECT {time}, customer, app, endpoint, revision, kind, name, sum(amount)::HUGEINT AS amount,
    max(version) AS version
FROM {table} WHERE {time} = ? GROUP BY ALL
"""
_COUNTS = "SELECT (SELECT count(*) FROM {table} WHERE {time} = ?), (SELECT count(*) FROM merged)"
_SENT = "DELETE FROM outbox WHERE sent_at < ?"


class Merging:
    """Merges the partial sums of one ledger; one turn after the other."""

    def __init__(self, ledger: DuckdbLedger) -> None:
        """Write to ``ledger``, beside its commits."""
        self._ledger = ledger

    def __call__(self, *, before: datetime) -> int:
        """Merge what lies before the hour of ``before``; how many sums fewer there are."""
        upto = utc(before.astimezone(UTC).replace(minute=0, second=0, microsecond=0))
        with self._ledger.writing() as writing:
            version = writing.version
            ((last, seen),) = writing.db.execute(_STATE).fetchall()
            open_since = min(upto, last) if last is not None else None
            turns = [
                (rollup, at)
                for rollup in Rollup
                for at in _times(writing.db, rollup, (upto, open_since, seen))
            ]
            writing.db.execute(_SENT, [utc(writing.at - SENT_KEPT)])
        fewer = sum(self._merge(rollup, at) for rollup, at in turns)
        with self._ledger.writing() as writing:
            writing.db.execute("UPDATE merges SET upto = ?, version = ?", [upto, version])
        return fewer

    def _merge(self, rollup: Rollup, at: datetime) -> int:
        names = {"table": rollup.value, "time": rollup.time}
        with self._ledger.writing() as writing:
            db = writing.db
            db.execute(_MERGED.format(**names), [at])
            ((before, after),) = db.execute(_COUNTS.format(**names), [at]).fetchall()
            if after < before:
                db.execute("DELETE FROM {table} WHERE {time} = ?".format(**names), [at])
                db.execute("INSERT INTO {table} BY NAME FROM merged".format(**names))
            db.execute("DROP TABLE merged")
        return int(before) - int(after)


def _times(
    db: duckdb.DuckDBPyConnection, rollup: Rollup, asked: Sequence[datetime | int | None]
) -> list[datetime]:
    found = db.execute(_SPLIT.format(table=rollup.value, time=rollup.time), asked).fetchall()
    return [at for (at,) in found]
