"""When a scaling policy holds bounds: windows by weekday, by date or by cron, in a time zone.

A part of ``policy.Policy``; written by teams, evaluated by hpa. ``TimedError`` names what is wrong
with a rule, so that deploy can refuse it with its path.
"""

from datetime import date, time
from enum import StrEnum
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

Clock = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Day = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Days = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}(/\d{4}-\d{2}-\d{2})?$")]
Bound = Annotated[int, msgspec.Meta(ge=0, le=1000)]
LONGEST_S: Final = 31 * 86_400
MOST: Final = 100


class TimedError(ValueError):
    """A rule that can't be: ``field`` is where, the words say why."""

    def __init__(self, field: str, words: str) -> None:
        """Say it."""
        super().__init__(words)
        self.field = field


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


WEEK: Final = tuple(Weekday)


class Timed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """At least ``floor`` and at most ``ceiling`` replicas, exactly, while one of its windows is.

    ``name``: what decisions call it. A window begins at ``begin`` and ends before ``end`` (the next
    day's, where that is not later), by the clock of ``zone`` (IANA), on ``days`` of the week and on
    single ``dates``; without both, each day. Or it begins when ``cron`` says (five fields, in
    ``zone``), for ``duration_s`` seconds. A window whose first day is in ``exclude`` (dates, and
    ranges ``first/last``) is not.

    A clock time that daylight saving leaves out is the moment of the change; one that it has twice
    is its first.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    floor: Bound | None = None
    ceiling: Bound | None = None
    zone: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "UTC"
    days: Annotated[tuple[Weekday, ...], msgspec.Meta(max_length=7)] = ()
    dates: Annotated[tuple[Day, ...], msgspec.Meta(max_length=MOST)] = ()
    begin: Clock | None = None
    end: Clock | None = None
    cron: Annotated[str, msgspec.Meta(max_length=200)] = ""
    duration_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)] | None = None
    exclude: Annotated[tuple[Days, ...], msgspec.Meta(max_length=MOST)] = ()


def checked(rule: Timed) -> Timed:
    """The rule; TimedError where it says nothing, or what can't be."""
    if rule.floor is None and rule.ceiling is None:
        raise TimedError("floor", "says neither a floor nor a ceiling")
    if rule.floor is not None and rule.ceiling is not None and rule.floor > rule.ceiling:
        raise TimedError("ceiling", f"is below the floor of {rule.floor}")
    zone_of(rule)
    if rule.cron:
        _of_cron(rule)
    else:
        _of_clock(rule)
    for index, each in enumerate(rule.dates):
        _day(each, f"dates[{index}]")
    for index, each in enumerate(rule.exclude):
        first, last = excluded(each, f"exclude[{index}]")
        if last < first:
            raise TimedError(f"exclude[{index}]", "ends before it begins")
    return rule


def _of_cron(rule: Timed) -> None:
    if rule.duration_s is None:
        raise TimedError("duration_s", "is missing: a cron expression says no end")
    if rule.begin is not None or rule.end is not None or rule.days or rule.dates:
        raise TimedError("cron", "goes with duration_s alone, not with begin, end, days, dates")


def _of_clock(rule: Timed) -> None:
    if rule.begin is None:
        raise TimedError("begin", "is missing")
    if rule.end is None:
        raise TimedError("end", "is missing")
    if rule.duration_s is not None:
        raise TimedError("duration_s", "goes with cron alone")


def zone_of(rule: Timed) -> ZoneInfo:
    """Its time zone; TimedError where there is none of that name."""
    try:
        return ZoneInfo(rule.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise TimedError("zone", f"no time zone is called {rule.zone!r}") from e


def excluded(said: str, field: str = "exclude") -> tuple[date, date]:
    """The first and the last day of a date or a range; TimedError."""
    first, _, last = said.partition("/")
    return _day(first, field), _day(last or first, field)


def clock(said: str) -> time:
    """The time of day."""
    return time.fromisoformat(said)


def _day(said: str, field: str) -> date:
    try:
        return date.fromisoformat(said)
    except ValueError as e:
        raise TimedError(field, f"{said!r} is no date") from e
