"""Partial sums of hours that are over become one for each cell: less to keep, less to add up.

Some minutes, hours or days in a transaction, as many as counting may wait for; before, between and
after, whoever adds up finds the same. Late sums are merged at a later turn, and all stay where
hardly any would be fewer, or where they lie too far apart in their table. What was committed lately
stays as it is for a while, so that an answer of then can be given again. Nothing rests on merging:
a turn that has too little memory ends, and is logged.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

import duckdb

from midstage.chassis.logs import logger
from midstage.stats.adapters.columns import LONG_AGO, utc
from midstage.stats.adapters.derived import roll
from midstage.stats.adapters.duckdb import PINNED, DuckdbLedger
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
_OF_PART = f"{_OF_THESE} AND hash({{who}}) % $parts = $part"
_MERGED = """
CREATE OR REPLACE TEMP TABLE merged AS
SELECT {time}, {summed}, max(version) AS version FROM {table} WHERE {these} GROUP BY ALL
"""
_COUNTS = """
SELECT (SELECT count(*) FROM {table} WHERE {these}), (SELECT count(*) FROM merged)
"""
_SENT = "DELETE FROM outbox WHERE sent_at < ?"
_log = logger(__name__)


class _Partial(NamedTuple):
    """A table of partial sums: which column says when, and whose they are, and what one is."""

    table: str
    time: str
    who: str
    summed: str

    def said(self, statement: str, *, these: str = "") -> str:
        return statement.format(**self._asdict(), these=these)


class _Lot(NamedTuple):
    """Times whose sums are merged at once, or by so many parts."""

    times: Sequence[datetime]
    parts: int


_PARTIALS = (
    *(_Partial(rollup.value, rollup.time, "customer", _SUM) for rollup in Rollup),
    _Partial("customer_days", "day", "customer", _SUM_BY_CUSTOMER),
    _Partial("source_hours", "hour", "source", _TALLY),
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
        try:
            return self._turn(before, upto, old)
        except duckdb.OutOfMemoryException as error:
            _log.warning("sums_not_merged", remedy="raise ledger_memory_mb", raised=error)
            return 0

    def _turn(self, before: datetime, upto: datetime, old: int) -> int:
        version = roll(self._ledger, before=before, upto=old)
        fewer = 0
        for one in _PARTIALS:
            for alike in _alike(one, self._split(one, upto, version)):
                gone = (self._merge(one, lot, version) for lot in _lots(alike))
                fewer += sum(_while_it_pays(gone))
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
        with self._ledger.reading() as db:
            ((last, seen),) = db.execute(_STATE).fetchall()
            asked = {
                "upto": upto,
                "since": LONG_AGO if last is None else min(upto, last),
                "seen": seen,
                "version": version,
            }
            return db.execute(one.said(_SPLIT), asked).fetchall()

    def _merge(self, one: _Partial, lot: _Lot, version: int) -> int | None:
        """How many sums fewer there are; None: it doesn't pay, and they stay."""
        asked = {"times": lot.times, "first": lot.times[0], "last": lot.times[-1]}
        asked["version"] = version
        if lot.parts == 1:
            return self._merge_part(one, asked)
        parts = ({**asked, "parts": lot.parts, "part": part} for part in range(lot.parts))
        gone = list(_while_it_pays(self._merge_part(one, part) for part in parts))
        return sum(gone) if gone else None

    def _merge_part(self, one: _Partial, asked: Mapping[str, object]) -> int | None:
        these = one.said(_OF_PART if "part" in asked else _OF_THESE)
        with self._ledger.writing() as writing:
            db = writing.db
            db.execute(one.said(_MERGED, these=these), asked)
            ((before, after),) = db.execute(one.said(_COUNTS, these=these), asked).fetchall()
            pinning = writing.pinning(one.table, these, asked) if _pays(before, after) else None
            pays = pinning is not None and pinning <= PINNED
            if pays:
                writing.delete(one.table, these, asked, pinning=pinning)
                db.execute(one.said("INSERT INTO {table} BY NAME FROM merged"))
            db.execute("DROP TABLE merged")
        return int(before) - int(after) if pays else None


def _pays(before: int, after: int) -> bool:
    """Whether rewriting so many sums as so few is worth it: a quarter of them goes."""
    return 4 * after <= 3 * before


def _while_it_pays(gone: Iterable[int | None]) -> Iterator[int]:
    """Where merging some doesn't pay, that of others which are like them doesn't either."""
    for one in gone:
        if one is None:
            return
        yield one


def _alike(
    one: _Partial, split: Sequence[tuple[datetime, int]]
) -> Iterator[Sequence[tuple[datetime, int]]]:
    """The minutes of an hour are spread as thinly as each other; of others each has its own way."""
    if one.table == Rollup.MINUTES:
        hours = groupby(split, key=lambda sums: sums[0].replace(minute=0))
        yield from (list(minutes) for _, minutes in hours)
    else:
        yield from ([sums] for sums in split)


def _lots(split: Iterable[tuple[datetime, int]]) -> Iterator[_Lot]:
    """Times whose sums are merged at once, in parts where one has too many."""
    lot, held = list[datetime](), 0
    for at, sums in split:
        if lot and held + sums > SUMS:
            yield _Lot(lot, -(-held // SUMS))
            lot, held = [], 0
        lot.append(at)
        held += sums
    if lot:
        yield _Lot(lot, -(-held // SUMS))
