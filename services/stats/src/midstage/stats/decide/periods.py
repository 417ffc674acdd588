"""A period as people mean it, and whether it can be closed: in order, whole, over known gaps.

Periods follow each other without a gap, so that what comes late for one has exactly one place: the
statement of the next that is closed. Of a sealed period nothing is ever sealed again.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from midstage.contracts.billing import PERIOD, OpenGap
from midstage.contracts.errors import RefusedError
from midstage.stats.decide.told import Told

CONFLICT = 409
SHORTEST = timedelta(hours=1)
LONGEST = timedelta(days=400)
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_ID = re.compile(PERIOD)
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """``name`` goes from ``since`` up to but without ``until`` (UTC), by a calendar of ``zone``."""

    name: str
    since: datetime
    until: datetime
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Gaps are accepted, by whom and why; all empty where they are not."""

    gaps: bool = False
    by: str = ""
    why: str = ""


def meant(*, name: str, since: str | None, until: str | None, zone: str) -> Period:
    """The period that a caller means; RefusedError says what it can't be.

    Without ``since`` and ``until`` the name is a month like 2026-11 of ``zone``. A date is its
    midnight there; another time says its own offset.
    """
    if not _ID.fullmatch(name):
        raise RefusedError(f"a period is called like 2026-11, not {name[:80]!r}")
    place = _zone(zone)
    if since is None and until is None:
        begin, end = _month(name, place)
    elif since is None or until is None:
        raise RefusedError(
            "give both from and to, or none: then the period is a month like 2026-11"
        )
    else:
        begin, end = _time("from", since, place), _time("to", until, place)
    if not SHORTEST <= end - begin <= LONGEST:
        raise RefusedError("a period has an hour at least and 400 days at most, from before to")
    return Period(name=name, since=begin, until=end, zone=zone)


def following(wanted: Period, sealed: Sequence[Period], *, after: str | None) -> Period | None:
    """The period as it was sealed before, or None where it may be sealed now.

    ``after`` is the period that was closed last (None: none was). RefusedError (409) where it was
    sealed as another one, does not follow the last, or the last was not closed: who seals next
    would be the first to seal in a shard that did not get to that one, and it would have no part.
    """
    same = next((held for held in sealed if held.name == wanted.name), None)
    if same == wanted:
        return same
    if same is not None:
        raise RefusedError(f"{wanted.name} is sealed as {_shown(same)}", status=CONFLICT)
    if sealed and sealed[-1].name != after:
        raise RefusedError(
            f"{sealed[-1].name} is sealed and not closed; close it first", status=CONFLICT
        )
    if sealed and wanted.since != sealed[-1].until:
        raise RefusedError(
            f"periods follow each other: {sealed[-1].name} ends at {_text(sealed[-1].until)}, "
            f"so the next begins there, not at {_text(wanted.since)}",
            status=CONFLICT,
        )
    return None


def over(period: Period, *, now: datetime) -> None:
    """RefusedError (409) where the period has not ended."""
    if now < period.until:
        raise RefusedError(f"{period.name} ends at {_text(period.until)} only", status=CONFLICT)


def gaps(sources: Iterable[Told], period: Period) -> tuple[OpenGap, ...]:
    """What may be missing of the period: holes that may reach into it, and what is still to come.

    A source that went silent for good is missing in the period in which it was last heard of, and
    holds back no later one.
    """
    found: list[OpenGap] = []
    for one in sources:
        found += [
            OpenGap(
                source=hole.source,
                first=hole.first,
                last=hole.last,
                after=hole.after,
                before=hole.before,
            )
            for hole in one.holes
            if hole.touches(period.since, period.until)
        ]
        found += _unsaid(one, period)
    return tuple(sorted(found, key=lambda gap: (gap.source, gap.first)))


def complete(period: Period, found: Sequence[OpenGap], accepted: Accepted) -> None:
    """RefusedError (409) where something is missing and nobody answers for it."""
    if not found:
        return
    if not accepted.gaps:
        named = ", ".join(_gap(gap) for gap in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise RefusedError(
            f"{period.name} is not complete: {named}{more}; wait for it, see "
            "`midstage get completeness`, or close it over these gaps with who and why",
            status=CONFLICT,
        )
    if not (accepted.by.strip() and accepted.why.strip()):
        raise RefusedError("who accepts gaps says so: give by and why")


def _unsaid(one: Told, period: Period) -> list[OpenGap]:
    said = one.said_until
    begins = one.begins if said is None else said
    if begins is None or begins >= period.until or one.ends <= period.since:
        return []
    return [
        OpenGap(
            source=one.source.name,
            first=one.source.highest + 1,
            last=None,
            after=begins,
            before=one.ends if one.silent else None,
        )
    ]


def _month(name: str, place: ZoneInfo) -> tuple[datetime, datetime]:
    found = _MONTH.fullmatch(name)
    if found is None:
        raise RefusedError(f"{name!r} is no month like 2026-11; give from and to")
    year, month = int(found[1]), int(found[2])
    if not 1970 <= year < 9999:
        raise RefusedError(f"{name!r} is no month that midstage has seen")
    after = (year + 1, 1) if month == 12 else (year, month + 1)
    return (
        datetime(year, month, 1, tzinfo=place).astimezone(UTC),
        datetime(*after, 1, tzinfo=place).astimezone(UTC),
    )


def _time(name: str, text: str, place: ZoneInfo) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=place)
        exact = time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RefusedError(f"{name}={text[:80]!r} is not a time like 2026-11-01") from error
    if exact.second or exact.microsecond:
        raise RefusedError(f"{name}={text!r} is not at a whole minute; usage is kept by the minute")
    return exact


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise RefusedError(f"zone={name[:80]!r} is none of IANA's, like Europe/Berlin") from error


def _gap(gap: OpenGap) -> str:
    if gap.last is None:
        return f"{gap.source} after {gap.first - 1}"
    numbers = str(gap.first) if gap.first == gap.last else f"{gap.first} to {gap.last}"
    return f"{gap.source} {numbers}"


def _shown(period: Period) -> str:
    return f"{_text(period.since)} to {_text(period.until)} ({period.zone})"


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
