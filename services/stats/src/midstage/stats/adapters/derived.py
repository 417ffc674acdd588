"""Hours and days of UTC from the minutes that commits write: a long time is few sums.

``rolled`` says which hours and days can be read, and of which commits. What stands in the tables
beyond that, of a later hour or of a later commit, nobody reads: it is of a move that is under way.
So a move has as many transactions as it needs, each as short as counting may wait, and is there at
once; of one that died the next turn removes what there is.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from midstage.stats.adapters.archive import Books
from midstage.stats.adapters.columns import LONG_AGO, utc
from midstage.stats.adapters.usage.rolled import rolled
from midstage.stats.views.usage.plan import Rolled

LOT = 1_500_000
"""About so many sums are added up in a transaction, while counting waits."""
CELLS = 150_000
"""To about so many, as the memory has room for: DuckDB writes those of a large transaction into the
file at once, those of many small ones twice."""
MOVED = 2_000_000
"""Of so many late sums, and at least of one commit, the next ones are read at once: a turn that
dies leaves no more."""
_CELL = "customer, app, endpoint, revision, kind, name"


class _Derived(NamedTuple):
    """A table, of which step its times are, and what it is added up from."""

    table: str
    step: str
    cell: str
    source: str
    time: str

    @property
    def length(self) -> timedelta:
        return timedelta(**{f"{self.step}s": 1})

    def said(self, statement: str) -> str:
        return statement.format(**self._asdict())


class _Lot(NamedTuple):
    """A time whose sums are added up at once, or by so many parts of its customers."""

    since: datetime
    until: datetime
    parts: int


_HOURS = _Derived("hours", "hour", _CELL, "minutes", "minute")
_DAYS = _Derived("days", "day", _CELL, "hours", "hour")
_CUSTOMER_DAYS = _Derived("customer_days", "day", "customer, kind, name", "days", "day")
_OF_THESE = "{time} >= $since AND {time} < $until AND version > $after AND version <= $upto"
_SIZES = f"""
SELECT date_trunc('{{step}}', {{time}})::TIMESTAMP, count(*), approx_count_distinct(hash({{cell}}))
FROM {{source}} WHERE {_OF_THESE} GROUP BY 1 ORDER BY 1
"""
_ADDED_UP = f"""
INSERT INTO {{table}} BY NAME
SELECT date_trunc('{{step}}', {{time}})::TIMESTAMP AS {{step}}, {{cell}},
    sum(amount)::HUGEINT AS amount, $upto AS version
FROM {{source}} WHERE {_OF_THESE}"""
_PART = " AND hash(customer) % $parts = $part"
_LATE = """
SELECT version, count(*) FROM minutes
WHERE version > $after AND version <= $upto AND minute < $until GROUP BY version ORDER BY version
"""


def roll(books: Books, *, before: datetime, upto: int) -> int:
    """Derive what ended by ``before``, of the commits up to ``upto``; the new ``version``.

    That is higher than ``upto`` where it was before.
    """
    held = _begun(books)
    for following in _moves(books, held, upto):
        _late(books, held, following)
        _said(books, "version", following)
        held = held._replace(version=following)
    hour = before.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if held.hours is None or hour > held.hours:
        _new_hours(books, held, hour)
    day = hour.replace(hour=0)
    if held.until is None or day > held.until:
        _new_days(books, held, day)
    return held.version


def _begun(books: Books) -> Rolled:
    """What is there, after all that a turn left behind that died has gone."""
    with books.writing() as writing:
        held = rolled(writing.db)
        bounds = ((_HOURS, held.hours), (_DAYS, held.until), (_CUSTOMER_DAYS, held.until))
        for one, until in bounds:
            writing.delete(one.table, "version > $version", {"version": held.version})
            writing.delete(one.table, f"{one.step} >= $until", {"until": _bound(until)})
    return held


def _moves(books: Books, held: Rolled, upto: int) -> list[int]:
    """The commits up to which late sums move, one time after the other."""
    if upto <= held.version:
        return []
    asked = {"after": held.version, "upto": upto, "until": _bound(held.hours)}
    with books.reading() as db:
        sizes = db.execute(_LATE, asked).fetchall()
    found, taken = list[int](), 0
    for version, sums in sizes:
        if taken and taken + sums > MOVED:
            found.append(int(version) - 1)
            taken = 0
        taken += sums
    return [*found, upto]


def _late(books: Books, held: Rolled, upto: int) -> None:
    """What the commits since then add to hours and days that are derived already."""
    commits = (held.version, upto)
    for one, until in ((_HOURS, held.hours), (_DAYS, held.until), (_CUSTOMER_DAYS, held.until)):
        if until is not None:
            for lot in _lots(books, one, (LONG_AGO, utc(until)), commits):
                _put(books, one, lot, commits)


def _new_hours(books: Books, held: Rolled, until: datetime) -> None:
    commits = (0, held.version)
    for lot in _lots(books, _HOURS, (_bound(held.hours), utc(until)), commits):
        _put(books, _HOURS, lot, commits)
        _said(books, "hours", lot.until)
    _said(books, "hours", utc(until))


def _new_days(books: Books, held: Rolled, until: datetime) -> None:
    """Of hours, which hold the same commits."""
    commits = (0, held.version)
    for lot in _lots(books, _DAYS, (_bound(held.until), utc(until)), commits):
        _put(books, _DAYS, lot, commits)
        for of_customers in _lots(books, _CUSTOMER_DAYS, (lot.since, lot.until), commits):
            _put(books, _CUSTOMER_DAYS, of_customers, commits)
        _said(books, "until", lot.until)
    _said(books, "until", utc(until))


def _lots(
    books: Books, one: _Derived, times: tuple[datetime, datetime], commits: tuple[int, int]
) -> Iterator[_Lot]:
    """Times one after the other, as many at once as there is room for."""
    with books.reading() as db:
        sizes = db.execute(one.said(_SIZES), _asked(times, commits)).fetchall()
    lot, held, room = None, 0, 0
    for at, sums, cells in sizes:
        if lot is not None and (held + sums > LOT or cells > room):
            yield lot
            lot = None
        if lot is None:
            lot, held, room = _Lot(at, at, -(-cells // CELLS)), 0, CELLS
        lot, held, room = lot._replace(until=at + one.length), held + sums, room - cells
    if lot is not None:
        yield lot


def _put(books: Books, one: _Derived, lot: _Lot, commits: tuple[int, int]) -> None:
    asked: dict[str, datetime | int] = _asked((lot.since, lot.until), commits)
    statement = one.said(_ADDED_UP)
    if lot.parts > 1:
        statement, asked["parts"] = statement + _PART, lot.parts
    for part in range(lot.parts):
        if lot.parts > 1:
            asked["part"] = part
        with books.writing() as writing:
            writing.db.execute(f"{statement} GROUP BY ALL", asked)


def _asked(times: tuple[datetime, datetime], commits: tuple[int, int]) -> dict[str, datetime | int]:
    (since, until), (after, upto) = times, commits
    return {"since": since, "until": until, "after": after, "upto": upto}


def _said(books: Books, column: str, value: datetime | int) -> None:
    """From now on this is read as well."""
    with books.writing() as writing:
        writing.db.execute(f"UPDATE rolled SET {column} = ?", [value])


def _bound(time: datetime | None) -> datetime:
    return LONG_AGO if time is None else utc(time)
