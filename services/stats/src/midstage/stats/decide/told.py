"""Each source in time: where its numbers lie, where its holes, and up to when it has spoken.

Numbers of a source grow with time, so a hole between two numbers lies in the hours between those
of its neighbours; a heartbeat tells the time of its highest number.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from midstage.stats.model import Source, Span

HOUR = timedelta(hours=1)
REACH = timedelta(hours=24)
"""How far before its first known line a source's very first numbers may lie."""
_FOR_EVER = datetime.max.replace(tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What the ledger has of a source in an hour; numbers are 0 where it does not number."""

    source: str
    hour: datetime
    rows: int
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Numbers ``first`` to ``last`` are missing.

    Their requests ended between ``after`` and ``before`` (None: now).
    """

    source: str
    first: int
    last: int
    after: datetime
    before: datetime | None

    def touches(self, since: datetime, until: datetime) -> bool:
        """Whether some of it may lie in this time."""
        return self.after < until and (self.before is None or self.before > since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A source with its holes in time, and up to when it has nothing more to say."""

    source: Source
    counted: tuple[Counted, ...]
    holes: tuple[Hole, ...]
    said_until: datetime | None
    silent: bool
    begins: datetime | None
    ends: datetime


def told(
    sources: Iterable[Source], counted: Iterable[Counted], *, now: datetime, grace: timedelta
) -> tuple[Told, ...]:
    """Each numbered source with what is known of it at ``now``, by name."""
    hours = _by_source(counted)
    held = sorted(sources, key=lambda source: source.name)
    newest = _newest(held)
    return tuple(
        _told(source, hours.get(source.name, ()), newest=newest, now=now, grace=grace)
        for source in held
    )


def floor(time: datetime) -> datetime:
    """The hour of UTC in which ``time`` lies."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def ceil(time: datetime) -> datetime:
    """The first hour of UTC that begins at ``time`` or later."""
    hour = floor(time)
    return hour if hour == time else hour + HOUR


def _by_source(counted: Iterable[Counted]) -> Mapping[str, tuple[Counted, ...]]:
    found: defaultdict[str, dict[datetime, Counted]] = defaultdict(dict)
    for one in counted:
        held = found[one.source].get(one.hour)
        found[one.source][one.hour] = one if held is None else _added(held, one)
    return {name: tuple(hours[at] for at in sorted(hours)) for name, hours in found.items()}


def _added(one: Counted, other: Counted) -> Counted:
    return Counted(
        source=one.source,
        hour=one.hour,
        rows=one.rows + other.rows,
        first_seq=min(one.first_seq, other.first_seq),
        last_seq=max(one.last_seq, other.last_seq),
    )


def _newest(sources: Iterable[Source]) -> Mapping[str, datetime]:
    """By edge when it was last heard of, through whichever source."""
    heard: dict[str, datetime] = {}
    for source in sources:
        if source.beat is not None:
            heard[source.edge] = max(source.beat.at, heard.get(source.edge, _EARLIEST))
    return heard


def _told(
    source: Source,
    hours: tuple[Counted, ...],
    *,
    newest: Mapping[str, datetime],
    now: datetime,
    grace: timedelta,
) -> Told:
    beat, closing = source.beat, source.closing
    heard = [said.at for said in (beat, closing) if said is not None]
    heard += [hours[-1].hour + HOUR] if hours and not heard else []
    last = max(heard, default=now)
    quiet = closing is None and now - last > grace
    followed = quiet and newest.get(source.edge, last) > last
    said = beat.complete_until if beat is not None else None
    begins = hours[0].hour if hours else (None if said is None else floor(said))
    return Told(
        source=source,
        counted=hours,
        holes=tuple(_placed(source, hole, hours) for hole in source.holes),
        said_until=_FOR_EVER if closing is not None or followed else said,
        silent=quiet and not followed,
        begins=begins,
        ends=now if closing is None and not quiet else last,
    )


def _placed(source: Source, hole: Span, hours: Sequence[Counted]) -> Hole:
    first, last = hole
    below = [one.hour for one in hours if one.first_seq <= first - 1 <= one.last_seq]
    above = [one.hour + HOUR for one in hours if one.first_seq <= last + 1 <= one.last_seq]
    said = [
        said.at
        for said in (source.beat, source.closing)
        if said is not None and said.highest >= last
    ]
    before = min([max(above)] if above else said, default=None)
    if below:
        after = min(below)
    else:
        earliest = min([one.hour for one in hours] + said, default=_EARLIEST + REACH)
        after = earliest - REACH
    return Hole(source=source.name, first=first, last=last, after=after, before=before)
