"""The bounds that timed rules hold now: exact, with capacity ready when a window begins.

A floor holds from ``lead_s`` before its window on, for that long a replica takes to be ready; a
ceiling holds within its window alone. Of several floors the highest counts, of ceilings the lowest.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from midstage.contracts.timed import LONGEST_S, WEEK, Timed, TimedError, clock, excluded, zone_of

_DAY = timedelta(days=1)
_CHANGE = timedelta(hours=3)
"""No clock is changed by so much."""
_SECOND = timedelta(seconds=1)
_FIELDS = 5
_KEPT = 4096
_MOST_LOOKED_AT = 50_000
"""A cron expression of each minute, of a window of a month: no more begins matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From ``begin`` to before ``end``, in UTC, of the rule called ``name``."""

    name: str
    begin: datetime
    end: datetime


class Held(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A bound that holds, and the window that it is of."""

    replicas: int
    window: Window


class Bounds(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The floor and the ceiling that hold; None: there is none."""

    floor: Held | None = None
    ceiling: Held | None = None


NO_BOUNDS: Final = Bounds()


def bounds(rules: Sequence[Timed], now: datetime, *, lead_s: float) -> Bounds:
    """What the rules say at ``now``; a rule that can't be read, which deploy refuses, says nothing.

    Where a floor is above a ceiling both are told.
    """
    if not rules:
        return NO_BOUNDS
    lead = timedelta(seconds=min(max(0.0, lead_s), LONGEST_S))
    floors = [
        Held(replicas=rule.floor, window=window)
        for rule in rules
        if rule.floor is not None and (window := _within(rule, now, lead)) is not None
    ]
    ceilings = [
        Held(replicas=rule.ceiling, window=window)
        for rule in rules
        if rule.ceiling is not None and (window := _within(rule, now, timedelta())) is not None
    ]
    return Bounds(
        floor=max(floors, key=lambda held: held.replicas, default=None),
        ceiling=min(ceilings, key=lambda held: held.replicas, default=None),
    )


def within(rule: Timed, now: datetime, *, lead: timedelta = timedelta()) -> Window | None:
    """The window that ``now`` is in, or at most ``lead`` before; of several that ends last."""
    found = [
        window
        for window in windows(rule, now, now + lead)
        if window.begin - lead <= now < window.end
    ]
    return max(found, key=lambda window: window.end, default=None)


def windows(rule: Timed, since: datetime, until: datetime) -> Iterator[Window]:
    """Those that end after ``since`` and begin at or before ``until``; TimedError, CronSimError."""
    if rule.cron:
        near = _by_cron(rule, _minute(since), _asked(rule.cron, until))
    else:
        near = _by_days(rule, since.astimezone(UTC).date(), until.astimezone(UTC).date())
    return (each for each in near if each.begin <= until and each.end > since)


def _within(rule: Timed, now: datetime, lead: timedelta) -> Window | None:
    try:
        return within(rule, now, lead=lead)
    except (TimedError, CronSimError):
        return None


def _asked(cron: str, at: datetime) -> datetime:
    """When cron is asked, once a minute: five fields begin nothing within one."""
    return _minute(at) if len(cron.split()) == _FIELDS else at.replace(microsecond=0)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


@lru_cache(maxsize=_KEPT)
def _by_days(rule: Timed, first: date, last: date) -> Sequence[Window]:
    """Those on days around ``first`` to ``last``, which by the rule's clock are a day off at most.

    So no moment need be taken to that clock before it is known that there is a window.
    """
    zone = zone_of(rule)
    return tuple(_kept(rule, zone, _of_days(rule, zone, first - 3 * _DAY, last + 2 * _DAY)))


@lru_cache(maxsize=_KEPT)
def _by_cron(rule: Timed, since: datetime, until: datetime) -> Sequence[Window]:
    """Those that begin up to ``until`` and end after ``since``, the last first."""
    zone = zone_of(rule)
    return tuple(_kept(rule, zone, _of_cron(rule, zone, since, until)))


def _kept(
    rule: Timed, zone: ZoneInfo, found: Iterable[tuple[datetime, datetime]]
) -> Iterator[Window]:
    out = [excluded(each) for each in rule.exclude]
    for begin, end in found:
        day = begin.astimezone(zone).date()
        if begin < end and not any(first <= day <= last for first, last in out):
            yield Window(name=rule.name, begin=begin, end=end)


def _of_days(
    rule: Timed, zone: ZoneInfo, first: date, last: date
) -> Iterator[tuple[datetime, datetime]]:
    if rule.begin is None or rule.end is None:
        raise TimedError("begin", "a window without cron begins and ends by the clock")
    begin, end = clock(rule.begin), clock(rule.end)
    over_night = end <= begin
    dates = frozenset(date.fromisoformat(each) for each in rule.dates)
    day = first
    while day <= last:
        if _is_on(rule, dates, day):
            yield (
                instant(datetime.combine(day, begin), zone),
                instant(datetime.combine(day + _DAY * over_night, end), zone),
            )
        day += _DAY


def _is_on(rule: Timed, dates: frozenset[date], day: date) -> bool:
    if day in dates:
        return True
    return WEEK[day.weekday()] in rule.days if rule.days else not dates


def _of_cron(
    rule: Timed, zone: ZoneInfo, since: datetime, until: datetime
) -> Iterator[tuple[datetime, datetime]]:
    length = timedelta(seconds=min(rule.duration_s or 0.0, LONGEST_S))
    # backwards, for the last begin is nearly always the one
    begins = CronSim(rule.cron, _after(until, zone), reverse=True)
    for begin, _ in zip(begins, range(_MOST_LOOKED_AT), strict=False):
        at = begin.astimezone(UTC)
        if at + length <= since:
            return
        yield at, at + length


def _after(at: datetime, zone: ZoneInfo) -> datetime:
    """From where cron is asked backwards, so that a begin at ``at`` is found.

    While a clock shows an hour again, cron would miss the begins of the first time.
    """
    local = (at + _SECOND).astimezone(zone)
    return (at + _CHANGE).astimezone(zone) if local.fold else local


@lru_cache(maxsize=_KEPT)
def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a clock time; the first of two, and the moment of the change if left out."""
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == local:
        return first
    # the clock went past it: find the change between the offsets of before and after
    low, high = first - _CHANGE, first + _CHANGE
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
