"""What is there of each source and hour, what is missing, and whether more will come.

An hour is complete when the edge has said all of it and no hole may reach into it. A source that
does not number its events has hours, and nothing about them can be proved.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from midstage.contracts.errors import RefusedError
from midstage.stats.decide.told import HOUR, Counted, Told, ceil, floor
from midstage.stats.model import Span
from midstage.stats.views.period import period

MOST_LINES = 50_000


class State(StrEnum):
    """How an hour of a source stands."""

    COMPLETE = "complete"
    OPEN = "open"
    MISSING = "missing"
    SILENT = "silent"
    UNPROVED = "unproved"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletenessQuery:
    """Of one source or of all, from ``since`` up to but without ``until``: whole hours."""

    source: str | None
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HourShown:
    """One hour of a source: rows there, how many numbers may be missing, and which."""

    source: str
    edge: str
    hour: datetime
    rows: int
    missing: int
    holes: tuple[Span, ...]
    state: State
    closed: bool
    shard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletenessAnswer:
    """Hours by source and time; ``complete`` is whether nothing is missing or still to come."""

    complete: bool
    hours: tuple[HourShown, ...]


def query(*, source: str | None, since: str, until: str) -> CompletenessQuery:
    """The query that a caller means, widened to whole hours; RefusedError says what it can't be."""
    asked = period(since=since, until=until)
    if asked.since is None or asked.until is None:
        raise RefusedError("completeness is of a time; give from and to")
    try:
        return CompletenessQuery(source=source, since=floor(asked.since), until=ceil(asked.until))
    except OverflowError as error:
        raise RefusedError(f"from={since} to={until} leaves the calendar") from error


def answer(
    query: CompletenessQuery,
    sources: Sequence[Told],
    counted: Iterable[Counted],
    *,
    shard: int = 0,
) -> CompletenessAnswer:
    """The hours asked for; RefusedError when they are more than ``MOST_LINES``."""
    asked = [one for one in sources if query.source in (None, one.source.name)]
    shown = [line for one in asked for line in _shown(one, query, shard)]
    numbered = {one.source.name for one in sources}
    shown += [
        _unproved(one, shard)
        for one in counted
        if one.source not in numbered
        and query.source in (None, one.source)
        and query.since <= one.hour < query.until
    ]
    if len(shown) > MOST_LINES:
        raise RefusedError(
            f"the answer has more than {MOST_LINES} hours of sources; "
            "narrow it with from and to, or source"
        )
    return merged([CompletenessAnswer(complete=not _open(shown), hours=tuple(shown))])


def merged(answers: Iterable[CompletenessAnswer]) -> CompletenessAnswer:
    """The answers of several shards as one."""
    held = list(answers)
    lines = [line for one in held for line in one.hours]
    return CompletenessAnswer(
        complete=all(one.complete for one in held),
        hours=tuple(sorted(lines, key=lambda line: (line.source, line.hour))),
    )


def _open(shown: Collection[HourShown]) -> bool:
    return any(line.state in (State.OPEN, State.MISSING, State.SILENT) for line in shown)


def _shown(one: Told, query: CompletenessQuery, shard: int) -> Iterable[HourShown]:
    rows = {counted.hour: counted.rows for counted in one.counted}
    for hour in _hours(one, rows, query):
        touching = [hole for hole in one.holes if hole.touches(hour, hour + HOUR)]
        closed = one.said_until is not None and one.said_until >= hour + HOUR
        yield HourShown(
            source=one.source.name,
            edge=one.source.edge,
            hour=hour,
            rows=rows.get(hour, 0),
            missing=sum(hole.last - hole.first + 1 for hole in touching),
            holes=tuple((hole.first, hole.last) for hole in touching),
            state=_state(missing=bool(touching), closed=closed, silent=one.silent),
            closed=closed,
            shard=shard,
        )


def _hours(one: Told, rows: Mapping[datetime, int], query: CompletenessQuery) -> Sequence[datetime]:
    """Its hours that were asked for: those it lived in, and those in which a hole may lie."""
    spans = [(one.begins, one.ends)] if one.begins is not None else []
    spans += [(hole.after, hole.before or one.ends) for hole in one.holes]
    found = {hour for hour in rows if query.since <= hour < query.until}
    for since, until in spans:
        hour = max(floor(since), query.since)
        while hour < min(until, query.until):
            found.add(hour)
            hour += HOUR
    return sorted(found)


def _state(*, missing: bool, closed: bool, silent: bool) -> State:
    if missing:
        return State.MISSING
    if closed:
        return State.COMPLETE
    return State.SILENT if silent else State.OPEN


def _unproved(one: Counted, shard: int) -> HourShown:
    return HourShown(
        source=one.source,
        edge="",
        hour=one.hour,
        rows=one.rows,
        missing=0,
        holes=(),
        state=State.UNPROVED,
        closed=False,
        shard=shard,
    )
