"""Windows of time in a zone: where its clock is set, and when a local day, week or month begins.

Zones are those of the IANA database as Python has it, and nothing else decides what time it is.
A day of a changing clock has 23 or 25 hours; an hour that comes twice is two windows.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from midstage.stats.views.usage.question import Window

_LONG = frozenset({Window.DAY, Window.WEEK, Window.MONTH})
_SHORT = {
    Window.SECOND: timedelta(seconds=1),
    Window.MINUTE: timedelta(minutes=1),
    Window.HOUR: timedelta(hours=1),
}
_LOOK_EVERY = timedelta(hours=6)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAYS = {Window.DAY: 1, Window.WEEK: 7}


class Stretch(NamedTuple):
    """A time in which a zone's clock is not set: from ``begin`` on it is UTC and ``offset``."""

    begin: datetime
    offset: timedelta


def stretches(zone: str, *, since: datetime, until: datetime) -> tuple[Stretch, ...]:
    """The stretches from ``since`` to ``until``; the first begins at ``since``."""
    clock = ZoneInfo(zone)
    found = [Stretch(since, _offset(since, clock))]
    before = since
    while before < until:
        after = min(before + _LOOK_EVERY, until)
        offset = _offset(after, clock)
        if offset != found[-1].offset:
            found.append(Stretch(_turn(before, after, clock), offset))
        before = after
    return tuple(found)


def is_local(window: Window) -> bool:
    """Whether the window begins by the calendar, not by the clock."""
    return window in _LONG


def length(window: Window) -> timedelta:
    """How long it is at least."""
    if window in _SHORT:
        return _SHORT[window]
    return timedelta(days=28 if window is Window.MONTH else _DAYS[window]) - timedelta(hours=2)


def instant(local: datetime, zone: str) -> datetime:
    """When a local time without a zone was; of one that came twice the first time."""
    return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


def begun(start: int, window: Window, zone: str) -> int:
    """The instant at which a window of the ledger's answer begins, in microseconds since 1970.

    Of a window by the calendar the ledger tells the local time, of one by the clock the instant.
    """
    if not is_local(window):
        return start
    return micros(instant(_EPOCH.replace(tzinfo=None) + start * _MICROSECOND, zone))


def ended(begin: datetime, window: Window, zone: str) -> datetime:
    """When the window that begins then ends; both in UTC."""
    clock = ZoneInfo(zone)
    if not is_local(window):
        since_whole = (begin + _offset(begin, clock) - _EPOCH) % _SHORT[window]
        whole = begin - since_whole + _SHORT[window]
        return min([whole, *_turns(begin, whole, clock)])
    return _midnight(_following(begin.astimezone(clock).date(), window), zone)


def boundaries(
    window: Window, zone: str, *, since: datetime, until: datetime
) -> Iterator[datetime]:
    """Where one window by the calendar ends and the next begins, between ``since`` and ``until``.

    A midnight that comes twice is there twice: between the two a clock shows both windows.
    """
    day = _first(since.astimezone(ZoneInfo(zone)).date(), window)
    while (begins := sorted({_midnight(day, zone, fold=fold) for fold in (0, 1)}))[0] < until:
        yield from (begin for begin in begins if since < begin < until)
        day = _following(day, window)


def micros(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The instant that many microseconds after 1970."""
    return _EPOCH + microseconds * _MICROSECOND


def _first(day: date, window: Window) -> date:
    """The first day of the window in which ``day`` lies."""
    if window is Window.MONTH:
        return day.replace(day=1)
    return day - timedelta(days=day.weekday() if window is Window.WEEK else 0)


def _following(day: date, window: Window) -> date:
    """The first day of the next window, where ``day`` is the first one of a week or any other."""
    if window is Window.MONTH:
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=_DAYS[window])


def _midnight(day: date, zone: str, *, fold: int = 0) -> datetime:
    local = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone), fold=fold)
    return local.astimezone(UTC)


def _turns(begin: datetime, end: datetime, clock: ZoneInfo) -> Iterator[datetime]:
    if _offset(begin, clock) != _offset(end - _MICROSECOND, clock):
        yield _turn(begin, end, clock)


def _turn(before: datetime, after: datetime, clock: ZoneInfo) -> datetime:
    """The second at which the clock is set, between these two."""
    held = _offset(before, clock)
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if _offset(middle, clock) == held:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def _offset(time: datetime, clock: ZoneInfo) -> timedelta:
    return time.astimezone(clock).utcoffset() or timedelta()
