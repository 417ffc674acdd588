"""Questions to the records, in parts and outside, each on a connection of its own.

A question sees what was committed when it began, as a whole, and nothing that comes in meanwhile.
Hours don't overlap, so a page opens the files of as many hours as it takes to fill it. What a
caller asks for reaches a statement as a bound parameter only.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import msgspec

from midstage.data.adapters.files import Files
from midstage.data.adapters.parts import present, quoted, staged
from midstage.data.adapters.rows import instant
from midstage.data.adapters.schema import COLUMNS, NAMES, ORDER
from midstage.data.decide import slices
from midstage.data.model import HOUR, Offsets, Part, Span, Staged, hour_of
from midstage.data.views.records import Filters, Order, Place, Record, RecordsQuery

Bound = str | int | datetime | list[str]
Connection = duckdb.DuckDBPyConnection

_FIRST_HOURS = 2
"""Looked into at once; then twice as many each time, so a rare record is found in few steps."""
_ROW_GROUP = 20_480
_SHOWN = ", ".join("epoch_us(time)" if name == "time" else f'"{name}"' for name in COLUMNS)
_PLACE = f"({', '.join(ORDER)})"
_AFTER = f"{_PLACE} {{}} ($after_time, $after_source, $after_number, $after_id)"
_POSITIONS = "SELECT number, next FROM positions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The records of some neighbouring hours: a relation, and the parameters in it."""

    relation: str
    parameters: dict[str, Bound]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How many records there are, and the first and last offset by partition."""

    rows: int
    offsets: dict[int, Offsets]


class Snapshot:
    """Records as they stood at one moment."""

    def __init__(self, db: Connection, *, files: Files, most_rows: int) -> None:
        """What the transaction of ``db`` sees; about ``most_rows`` are sorted at once."""
        self._db = db
        self._most_rows = most_rows
        self._files = files
        self._parts = present(db)
        outside = db.execute("SELECT DISTINCT epoch_us(hour) FROM staged").fetchall()
        self._hours = {instant(hour) for (hour,) in outside} | {part.hour for part in self._parts}

    def hours(self, filters: Filters) -> list[datetime]:
        """The hours that can have such records, oldest first."""
        return sorted(
            hour
            for hour in self._hours
            if (filters.since is None or hour + HOUR > filters.since)
            and (filters.until is None or hour < filters.until)
        )

    def scope(self, hours: Sequence[datetime], filters: Filters) -> Scope:
        """The records of these hours, neighbours in the order of ``hours``, that match."""
        if not hours:
            return Scope(relation=f"(SELECT {NAMES} FROM staged WHERE FALSE)", parameters={})
        conditions, parameters = _conditions(filters)
        wanted = set(hours)
        files = [str(self._files.path(p.file)) for p in self._parts if p.hour in wanted]
        bounds: dict[str, Bound] = {"first_hour": min(hours), "last_hour": max(hours)}
        where = " AND ".join(conditions)
        among = f"hour >= $first_hour AND hour <= $last_hour AND {where}"
        relation = f"SELECT {NAMES} FROM staged WHERE {among}"
        if files:
            bounds["files"] = files
            relation += (
                f" UNION ALL SELECT {NAMES} FROM read_parquet($files, union_by_name = true)"
                f" WHERE {where}"
            )
        return Scope(relation=f"({relation})", parameters={**parameters, **bounds})

    def slices(self, filters: Filters) -> Iterator[Scope]:
        """All records that match in neighbouring scopes, oldest first, each sorted with ease."""
        for hour in self.hours(filters):
            scope = self.scope([hour], filters)
            statement = (
                f"SELECT epoch_us(date_trunc('second', time)), count(*) FROM {scope.relation} "
                "GROUP BY 1 ORDER BY 1"
            )
            found = self._db.execute(statement, scope.parameters).fetchall()
            seconds = [(instant(second), rows) for second, rows in found]
            for span in slices(seconds, most=self._most_rows):
                yield self.scope([hour], _within(filters, span))

    def page(self, query: RecordsQuery) -> list[Record]:
        """The records of one page, and one more where there is one."""
        hours = [hour for hour in self.hours(query.filters) if _reachable(hour, query)]
        if query.order is Order.NEWEST:
            hours.reverse()
        found: list[Record] = []
        for some in _growing(hours):
            found += self._some(some, query, query.limit + 1 - len(found))
            if len(found) > query.limit:
                break
        return found

    def interrupt(self) -> None:
        """End the question that is being answered; from any thread."""
        self._db.interrupt()

    def positions(self) -> dict[int, int]:
        """The offset of each partition up to which everything is in."""
        return dict(self._db.execute(_POSITIONS).fetchall())

    def extent(self, scope: Scope) -> Extent:
        """How many records, and from where in the log."""
        statement = (
            'SELECT "partition", count(*), min("offset"), max("offset") '
            f"FROM {scope.relation} GROUP BY 1 ORDER BY 1"
        )
        found = self._db.execute(statement, scope.parameters).fetchall()
        return Extent(
            rows=sum(rows for _, rows, _, _ in found),
            offsets={place: Offsets(first=low, last=high) for place, _, low, high in found},
        )

    def records(self, scope: Scope, *, at_once: int) -> Iterator[list[Record]]:
        """All of them in their order, some at a time."""
        statement = f"SELECT {_SHOWN} FROM {scope.relation} ORDER BY {', '.join(ORDER)}"
        result = self._db.execute(statement, scope.parameters)
        while some := result.fetchmany(at_once):
            yield [_record(values) for values in some]

    def to_parquet(self, scope: Scope, file: Path) -> int:
        """Write all of them in their order to a Parquet file; how many they are."""
        ((rows,),) = self._db.execute(
            f"COPY (SELECT {NAMES} FROM {scope.relation} ORDER BY {', '.join(ORDER)}) "
            f"TO '{quoted(file)}' (FORMAT parquet, COMPRESSION zstd)",
            scope.parameters,
        ).fetchall()
        return int(rows)

    def join_parquet(self, files: Sequence[Path], file: Path) -> None:
        """One file with the rows of all ``files``, in their order."""
        self._db.execute(
            f"COPY (FROM read_parquet($files)) TO '{quoted(file)}' "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})",
            {"files": [str(one) for one in files]},
        ).fetchall()

    def _some(self, hours: Sequence[datetime], query: RecordsQuery, limit: int) -> list[Record]:
        scope = self.scope(hours, query.filters)
        newest_first = query.order is Order.NEWEST
        parameters: dict[str, Bound] = {**scope.parameters, "limit": limit}
        behind = "TRUE"
        if query.after is not None:
            behind = _AFTER.format("<" if newest_first else ">")
            parameters |= _bound(query.after)
        order = ", ".join(f"{name} DESC" if newest_first else name for name in ORDER)
        statement = (
            f"SELECT {_SHOWN} FROM {scope.relation} WHERE {behind} ORDER BY {order} LIMIT $limit"
        )
        return [_record(values) for values in self._db.execute(statement, parameters).fetchall()]


class Queries:
    """Answers from the records; may be asked from any thread."""

    def __init__(self, db: Connection, *, files: Files, most_rows: int) -> None:
        """Ask the database behind ``db`` and the files that it names."""
        self._db = db
        self._files = files
        self._most_rows = most_rows

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The records as they stand now; their files stay until it ends."""
        with self._files.reading(), self._db.cursor() as db:
            db.begin()
            try:
                yield Snapshot(db, files=self._files, most_rows=self._most_rows)
            finally:
                db.rollback()

    def page(self, query: RecordsQuery) -> Sequence[Record]:
        """The records of one page, and one more where there is one."""
        with self.snapshot() as records:
            return records.page(query)

    def parts(self) -> Sequence[Part]:
        """Every part, in the order of hours and numbers."""
        with self._db.cursor() as db:
            return present(db)

    def staged(self) -> Sequence[Staged]:
        """The hours that have rows outside of parts."""
        with self._db.cursor() as db:
            return staged(db)


def _within(filters: Filters, span: Span) -> Filters:
    since = span.begin if filters.since is None else max(span.begin, filters.since)
    until = span.end if filters.until is None else min(span.end, filters.until)
    return replace(filters, since=since, until=until)


def _conditions(filters: Filters) -> tuple[list[str], dict[str, Bound]]:
    named = {name: value for name, value in asdict(filters).items() if value is not None}
    since, until = named.pop("since", None), named.pop("until", None)
    conditions = ["TRUE", *(f'"{name}" = ${name}' for name in named)]
    parameters: dict[str, Bound] = {name: _plain(value) for name, value in named.items()}
    if since is not None:
        conditions.append("time >= $since")
        parameters["since"] = since
    if until is not None:
        conditions.append("time < $until")
        parameters["until"] = until
    return conditions, parameters


def _plain(value: object) -> Bound:
    return value if isinstance(value, int) else str(value)


def _bound(place: Place) -> dict[str, Bound]:
    return {
        "after_time": place.time,
        "after_source": place.source,
        "after_number": place.number,
        "after_id": place.id,
    }


def _reachable(hour: datetime, query: RecordsQuery) -> bool:
    if query.after is None:
        return True
    at = hour_of(query.after.time)
    return hour <= at if query.order is Order.NEWEST else hour >= at


def _growing(hours: Sequence[datetime]) -> Iterator[Sequence[datetime]]:
    begin, size = 0, _FIRST_HOURS
    while begin < len(hours):
        yield hours[begin : begin + size]
        begin, size = begin + size, 2 * size


def _record(values: tuple[object, ...]) -> Record:
    named = dict(zip(COLUMNS, values, strict=True))
    usage = msgspec.convert(named["usage"], dict[str, Decimal])
    named["time"] = instant(msgspec.convert(named["time"], int))
    named["usage"] = {name: _number(amount) for name, amount in usage.items()}
    return msgspec.convert(named, Record)


def _number(amount: Decimal) -> int | float:
    return int(amount) if amount == int(amount) else float(amount)
