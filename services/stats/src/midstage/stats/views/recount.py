"""A day counted again from its raw rows, beside what the ledger says of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

FIRST = 20
"""Differences that are named; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where rows and ledger disagree: ``table`` is that of the ledger, ``cell`` its key."""

    table: str
    at: datetime | None
    cell: tuple[str, ...]
    rows_say: str
    ledger_says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRecounted:
    """One day of UTC; ``next`` is the next day that has anything, None when this was the last."""

    day: date | None
    rows: int
    cells: int
    differences: int
    first: tuple[Difference, ...]
    next: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRecounted:
    """What holds over all days: row numbers, sources' numbers, and the archive's files."""

    rows: int
    differences: int
    first: tuple[Difference, ...]


def day_recounted(
    *, day: date, rows: int, cells: int, found: Sequence[Difference], following: date | None
) -> DayRecounted:
    """The day as it is shown."""
    return DayRecounted(
        day=day,
        rows=rows,
        cells=cells,
        differences=len(found),
        first=tuple(found[:FIRST]),
        next=following,
    )


def days_added(parts: Sequence[DayRecounted]) -> DayRecounted:
    """What the shards said of their first day, as one: the first of these days."""
    day = min((part.day for part in parts if part.day is not None), default=None)
    there = [part for part in parts if part.day == day]
    later = [part.day for part in parts if part.day is not None and part.day != day]
    following = [*later, *(part.next for part in there if part.next is not None)]
    return DayRecounted(
        day=day,
        rows=sum(part.rows for part in there),
        cells=sum(part.cells for part in there),
        differences=sum(part.differences for part in there),
        first=tuple(one for part in there for one in part.first)[:FIRST],
        next=min(following, default=None),
    )


def wholes_added(parts: Sequence[WholeRecounted]) -> WholeRecounted:
    """What holds over all days of all shards."""
    return WholeRecounted(
        rows=sum(part.rows for part in parts),
        differences=sum(part.differences for part in parts),
        first=tuple(one for part in parts for one in part.first)[:FIRST],
    )
