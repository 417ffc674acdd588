"""Partial sums of hours that are over become one for each cell: less to keep, less to add up.

Some minutes, hours or days in a transaction, as many as counting may wait for; before, between and
after, whoever adds up finds the same. Late sums are merged at a later turn, and where hardly any
would be fewer, all stay. What was committed lately stays as it is for a while, so that an answer of
then can be given again.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from midstage.stats.adapters.columns import LONG_AGO, utc
from midstage.stats.adapters.derived import roll
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.schema import Rollup

SENT_KEPT = timedelta(hours=1)
SUMS = 20_000
"""So many are merged in a transaction, for which counting waits some tens of milliseconds."""
_SUM = "customer, app, endpoint, revision, kind, name, sum(amount)::HUGEINT AS amount"
_SUM_BY_CUSTOMER = "customer, kind, name, sum(amount)::HUGEINT AS amount"
_TALLY = "source, sum(rows)::BIGINT AS rows, min(first_seq) AS first_seq, max(last_seq) AS last_seq"
_STATE = "SELECT upto, version FROM merges"
_SPLIT = """
SELECT {time}, count(*) FROM {table} WHERE version <= $version AND {time} IN (
    SELECT {time} FROM {table} WHERE {time} >= $since AND {time} < $upto
    UNION SELECT {time} FROM {table} WHERE version > $seen AND {time} < $upto
) GROUP BY {time} HAVING min(version) < max(version) ORDER BY 1
"""
_OF_THESE = (
    "{time} BETWEEN $first AND $last AND list_contains($times, {time}) AND version <= $version"
)
_MERGED = f"""
CREATE OR REPLACE TEMP TABLE merged AS
SELECT {{time}}, {{summed}}, max(version) AS version
FROM {{table}} WHERE {_OF_THESE} GROUP BY ALL
"""
_COUNTS = f"""
SELECT (SELECT count(*) FROM {{table}} WHERE {_OF_THESE}), (SELECT count(*) FROM merged)
"""
_PARTS = f"DELETE FROM {{table}} WHERE {_OF_THESE}"
_SENT = "DELETE FROM outbox WHERE sent_at < ?"


class _Partial(NamedTuple):
    """A table of partial sums: which column says when, and what one for each cell is."""

    table: str
    time: str
    summed: str

    def said(self, statement: str) -> str:
        return statement.format(table=self.table, time=self.time, summed=self.summed)


_PARTIALS = (
    *(_Partial(rollup.value, rollup.time, _SUM) for rollup in Rollup),
    _Partial("customer_days", "day", _SUM_BY_CUSTOMER),
    _Partial("source_hours", "hour", _TALLY),
)


class Merging:
    """Merges the partial sums of one ledger; one turn after the other."""

    def __init__(self, ledger: DuckdbLedger, *, kept: timedelta = timedelta()) -> None:
        """Write to ``ledger``, beside its commits; leave those alone that are not ``kept`` old."""
        self._ledger = ledger
        self._kept = kept
        self._heads: list[tuple[datetime, int]] = []

    def __call__(self, *, before: datetime) -> int:
        """Merge what lies before the hour of ``before``; how many sums fewer there are."""
        upto = utc(before.astimezone(UTC).replace(minute=0, second=0, microsecond=0))
        with self._ledger.writing() as writing:
            old = self._old(writing.at, writing.version)
            writing.db.execute(_SENT, [utc(writing.at - SENT_KEPT)])
        version = roll(self._ledger, before=before, upto=old)
        turns = [(one, lot) for one in _PARTIALS for lot in _lots(self._split(one, upto, version))]
        fewer = sum(self._merge(one, lot, version) for one, lot in turns)
        with self._ledger.writing() as writing:
            writing.db.execute("UPDATE merges SET upto = ?, version = ?", [upto, version])
        return fewer

    def _old(self, now: datetime, version: int) -> int:
        """The last commit that a turn saw and that is old enough by now; 0: none that we know."""
        self._heads.append((now, version))
        old = [head for head in self._heads if head[0] <= now - self._kept]
        self._heads = self._heads[max(len(old) - 1, 0) :]
        return old[-1][1] if old else 0

    def _split(self, one: _Partial, upto: datetime, version: int) -> list[tuple[datetime, int]]:
        """The times that have sums of several commits, and how many."""
        with self._ledger.writing() as writing:
            ((last, seen),) = writing.db.execute(_STATE).fetchall()
            asked = {
                "upto": upto,
                "since": LONG_AGO if last is None else min(upto, last),
                "seen": seen,
                "version": version,
            }
            return writing.db.execute(one.said(_SPLIT), asked).fetchall()

    def _merge(self, one: _Partial, times: Sequence[datetime], version: int) -> int:
        asked = {"times": times, "first": times[0], "last": times[-1], "version": version}
        with self._ledger.writing() as writing:
            db = writing.db
            db.execute(one.said(_MERGED), asked)
            ((before, after),) = db.execute(one.said(_COUNTS), asked).fetchall()
            if _pays(before, after):
                db.execute(one.said(_PARTS), asked)
                db.execute(one.said("INSERT INTO {table} BY NAME FROM merged"))
            db.execute("DROP TABLE merged")
        return int(before) - int(after) if _pays(before, after) else 0


def _pays(before: int, after: int) -> bool:
    """Whether rewriting so many sums as so few is worth it: a quarter of them goes."""
    return 4 * after <= 3 * before


def _lots(split: Iterable[tuple[datetime, int]]) -> Iterator[list[datetime]]:
    """Times whose sums are merged at once, each alone where it has too many."""
    lot, held = list[datetime](), 0
    for at, sums in split:
        if lot and held + sums > SUMS:
            yield lot
            lot, held = [], 0
        lot.append(at)
        held += sums
    if lot:
        yield lot
