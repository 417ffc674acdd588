"""Days, weeks, months and years of a time zone, as nanoseconds since the epoch.

A day has 23 or 25 hours where clocks are changed. A midnight that does not exist is the moment that
the clocks were put forward; of two the first counts.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_SECOND_NS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Every(StrEnum):
    """How long a quota lasts."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


def calendar(every: Every, zone: str) -> Callable[[int], tuple[int, int]]:
    """The function that gives the period of a time; ValueError for a zone that nobody knows."""
    try:
        tz = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise ValueError(f"{zone!r} is no time zone") from e

    def period(now_ns: int) -> tuple[int, int]:
        local = (_EPOCH + timedelta(seconds=now_ns // _SECOND_NS)).astimezone(tz)
        first = _first_day(datetime(local.year, local.month, local.day, tzinfo=tz), every)
        start, end = _ns(first), _ns(_next(first, every))
        return start, end

    return period


def _first_day(midnight: datetime, every: Every) -> datetime:
    match every:
        case Every.DAY:
            return midnight
        case Every.WEEK:
            return _days(midnight, -midnight.weekday())
        case Every.MONTH:
            return midnight.replace(day=1)
        case Every.YEAR:
            return midnight.replace(month=1, day=1)
        case _:
            assert_never(every)


def _next(first: datetime, every: Every) -> datetime:
    match every:
        case Every.DAY:
            return _days(first, 1)
        case Every.WEEK:
            return _days(first, 7)
        case Every.MONTH:
            return (first.replace(day=28) + timedelta(days=4)).replace(day=1)
        case Every.YEAR:
            return first.replace(year=first.year + 1)
        case _:
            assert_never(every)


def _days(midnight: datetime, days: int) -> datetime:
    """By the wall clock: arithmetic on one zone's times does not look at its offset."""
    return midnight + timedelta(days=days)


def _ns(local: datetime) -> int:
    since = local.astimezone(UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND_NS
