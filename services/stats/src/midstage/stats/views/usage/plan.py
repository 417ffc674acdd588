"""Where an answer is read: the coarsest sums that can give it, and raw rows where none can.

The sums of days, hours and minutes and the rows give the same figures; what differs is how much
must be read. The inner part of a time comes from the coarse sums, its rims from finer ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from midstage.stats.views.usage.question import ROLLED_UP, Dimension, Question, Window
from midstage.stats.views.usage.windows import Stretch, boundaries, is_local


class Table(StrEnum):
    """What can be read, from coarse to fine."""

    CUSTOMER_DAYS = "customer_days"
    DAYS = "days"
    HOURS = "hours"
    MINUTES = "minutes"
    ROWS = "rows"

    @property
    def time(self) -> str:
        """The column that says when."""
        return _TIME[self]


class Piece(NamedTuple):
    """Read ``table`` from ``since`` up to but without ``until``; None: there is no bound.

    Of it what was committed after version ``above``; up to ``upto``, where it is derived: what is
    beyond that is of a move under way.
    """

    table: Table
    since: datetime | None
    until: datetime | None
    above: int = 0
    upto: int | None = None


class Rolled(NamedTuple):
    """What is derived: the hours before ``hours`` and the days before ``until`` (None: none is).

    Of each of them the commits to ``version``; no day is without its hours. What else stands there
    is not read.
    """

    hours: datetime | None
    until: datetime | None
    version: int


NOTHING = Rolled(hours=None, until=None, version=0)
MOST_SPANS = 64
_DAY = timedelta(days=1)
_TIME = {
    Table.CUSTOMER_DAYS: "day",
    Table.DAYS: "day",
    Table.HOURS: "hour",
    Table.MINUTES: "minute",
    Table.ROWS: "time",
}
_STEP = {
    Table.HOURS: timedelta(hours=1),
    Table.MINUTES: timedelta(minutes=1),
}
_FINEST_WINDOW = {
    Table.HOURS: frozenset({Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH}),
    Table.MINUTES: frozenset(Window) - {Window.SECOND},
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plan(
    question: Question, stretched: Sequence[Stretch] = (), derived: Rolled = NOTHING
) -> tuple[Piece, ...]:
    """The pieces whose sum answers the question; ``stretched`` is how its zone's clock stands."""
    bounds = (question.since, question.until)
    if not _rolled_up(question):
        return (Piece(Table.ROWS, *bounds),)
    fit = [table for table in _STEP if _fits(table, question, stretched)]
    if not fit or not all(_whole(bound, _STEP[fit[-1]]) for bound in bounds):
        return (Piece(Table.ROWS, *bounds),)
    pieces = _tiled((_days(question), *fit), bounds, _spans(question, derived), derived.version)
    return tuple(found for piece in pieces for found in _known(piece, derived))


def _rolled_up(question: Question) -> bool:
    asked = {*question.group_by, *question.among}
    return asked <= ROLLED_UP and not question.wanted.quantiles


def _fits(table: Table, question: Question, stretched: Sequence[Stretch]) -> bool:
    if question.window is None:
        return True
    if question.window not in _FINEST_WINDOW[table]:
        return False
    return all(stretch.offset % _STEP[table] == timedelta() for stretch in stretched) and all(
        _whole(stretch.begin, _STEP[table]) for stretch in stretched[1:]
    )


def _days(question: Question) -> Table:
    of_customers = {*question.group_by, *question.among} <= {Dimension.CUSTOMER}
    return Table.CUSTOMER_DAYS if of_customers else Table.DAYS


def _tiled(
    fit: Sequence[Table],
    bounds: tuple[datetime | None, datetime | None],
    spans: Iterable[tuple[datetime | None, datetime]],
    version: int,
) -> Iterator[Piece]:
    """Days in the spans, and what was committed to them since; what lies between is finer."""
    (at, until), (coarse, *finer) = bounds, fit
    for begin, end in spans:
        if begin is not None and begin != at:
            yield from _pieces(finer, at, begin)
        yield Piece(coarse, begin, end, upto=version)
        yield Piece(Table.MINUTES, begin, end, version)
        at = end
    yield from _pieces(finer, at, until)


def _known(piece: Piece, derived: Rolled) -> Iterator[Piece]:
    """The piece as it can be read: hours where they are derived, and minutes for the rest."""
    table, since, until, *_ = piece
    if table is not Table.HOURS:
        yield piece
        return
    if derived.hours is None or (since is not None and since >= derived.hours):
        yield Piece(Table.MINUTES, since, until)
        return
    end = derived.hours if until is None else min(until, derived.hours)
    yield Piece(Table.HOURS, since, end, upto=derived.version)
    yield Piece(Table.MINUTES, since, end, derived.version)
    if end != until:
        yield Piece(Table.MINUTES, end, until)


def _spans(question: Question, derived: Rolled) -> list[tuple[datetime | None, datetime]]:
    """Whole days of UTC, each within one window of whatever zone; none where it were too many."""
    since, window = question.since, question.window
    if derived.until is None or not (window is None or is_local(window)):
        return []
    until = derived.until if question.until is None else min(question.until, derived.until)
    until -= (until - _EPOCH) % _DAY
    if since is None:
        return [(None, until)] if window is None else []
    cuts = boundaries(window, question.zone, since=since, until=until) if window else ()
    spans = list[tuple[datetime | None, datetime]]()
    for begin, end in pairwise((since, *cuts, until)):
        first, last = begin + (_EPOCH - begin) % _DAY, end - (end - _EPOCH) % _DAY
        if first < last:
            joined = spans.pop()[0] if spans and spans[-1][1] == first else first
            spans.append((joined, last))
    return spans if len(spans) <= MOST_SPANS else []


def _pieces(fit: Sequence[Table], since: datetime | None, until: datetime | None) -> list[Piece]:
    """Coarse within, fine at the rims; nothing where there is no time between the bounds."""
    if since is not None and until is not None and since >= until:
        return []
    table, *finer = fit
    if not finer:
        return [Piece(table, since, until)]
    step = _STEP[table]
    begin = None if since is None else since + (_EPOCH - since) % step
    end = None if until is None else until - (until - _EPOCH) % step
    if begin is not None and end is not None and begin >= end:
        return _pieces(finer, since, until)
    rims = []
    if begin != since:
        rims += _pieces(finer, since, begin)
    if end != until:
        rims += _pieces(finer, end, until)
    return [Piece(table, begin, end), *rims]


def _whole(bound: datetime | None, step: timedelta) -> bool:
    return bound is None or (bound - _EPOCH) % step == timedelta()
