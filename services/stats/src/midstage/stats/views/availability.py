"""Availability: good requests among all that could have been good, and what errors are left.

Good is ``ok``; ``error`` could have been. ``invalid``, ``refused`` and ``cancelled`` are the
caller's doing and count in neither. Sums are whole requests and millionths of one, so budgets are
exact and those of minutes add up to the hour's. Nothing that could have been good: unknown.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from midstage.contracts.errors import RefusedError
from midstage.contracts.units import units
from midstage.stats.views.period import period
from midstage.stats.views.promises import DEFAULT, MILLION, Promise, standing

MOST_TALLIES = 10_000


class By(StrEnum):
    """What availability can be grouped by."""

    APP = "app"
    MINUTE = "minute"
    HOUR = "hour"


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailabilityQuery:
    """From ``since`` up to but without ``until``, whole minutes; not both by minute and by hour."""

    app: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    by: frozenset[By] = frozenset({By.APP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One application's requests in the minute or hour from ``at`` on; None: all that is asked."""

    app: str
    at: datetime | None = None
    good: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The errors that the target allows among these requests, and what is left of them.

    ``left`` is below zero where the target is missed, ``left_share`` is of what was allowed.
    ``exhausted``: nothing of it is left.
    """

    allowed_errors: int | float
    allowed_micros: int
    errors: int
    left: int | float
    left_micros: int
    left_share: float | None
    exhausted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """One group; a key is None where it is not grouped by it.

    ``availability`` is None where nothing could have been good. ``target`` is None where the
    group's applications have different ones; its budget is the sum of theirs.
    """

    app: str | None
    minute: datetime | None
    hour: datetime | None
    good: int
    valid: int
    availability: float | None
    target: float | None
    budget: Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailabilityAnswer:
    """Groups in order; every request that ended before ``complete_until`` is in (None: unknown)."""

    availability: tuple[Availability, ...]
    complete_until: datetime | None


def query(*, app: str | None, since: str | None, until: str | None, by: str) -> AvailabilityQuery:
    """The query that a caller means; RefusedError says what it can't be."""
    asked = period(since=since, until=until)
    keys = frozenset(_key(name.strip()) for name in by.split(",") if name.strip())
    if {By.MINUTE, By.HOUR} <= keys:
        raise RefusedError(f"by={by!r} asks for minutes and hours; take one of them")
    return AvailabilityQuery(app=app, since=asked.since, until=asked.until, by=keys)


def added(parts: Iterable[Sequence[Tally]]) -> list[Tally]:
    """The tallies of several shards as one shard would have them."""
    sums: dict[tuple[str, datetime | None], Tally] = {}
    for tally in (tally for part in parts for tally in part):
        held = sums.get((tally.app, tally.at), Tally(app=tally.app, at=tally.at))
        sums[tally.app, tally.at] = replace(
            held, good=held.good + tally.good, errors=held.errors + tally.errors
        )
    return list(sums.values())


def answer(
    query: AvailabilityQuery,
    tallies: Sequence[Tally],
    *,
    promises: Mapping[str, Promise],
    complete_until: datetime | None,
) -> AvailabilityAnswer:
    """The groups as they are shown, in order; RefusedError for more than ``MOST_TALLIES``.

    By application alone, one that shall run and had no request yet is shown too: as unknown.
    """
    if len(tallies) > MOST_TALLIES:
        raise RefusedError(
            f"that takes more than {MOST_TALLIES} sums of one application; "
            "narrow it with from and to or app, or ask by hour"
        )
    groups: defaultdict[tuple[str, str], list[Tally]] = defaultdict(list)
    for tally in (*tallies, *_without_requests(query, tallies, promises)):
        groups[_place(query, tally)].append(tally)
    return AvailabilityAnswer(
        availability=tuple(_shown(query, groups[place], promises) for place in sorted(groups)),
        complete_until=complete_until,
    )


def _without_requests(
    query: AvailabilityQuery, tallies: Sequence[Tally], promises: Mapping[str, Promise]
) -> list[Tally]:
    if query.by != {By.APP}:
        return []
    idle = standing(promises) - {tally.app for tally in tallies}
    return [Tally(app=app) for app in idle if query.app in (None, app)]


def _place(query: AvailabilityQuery, tally: Tally) -> tuple[str, str]:
    app = tally.app if By.APP in query.by else ""
    return app, "" if tally.at is None else tally.at.isoformat()


def _shown(
    query: AvailabilityQuery, group: Sequence[Tally], promises: Mapping[str, Promise]
) -> Availability:
    first = group[0]
    good = sum(tally.good for tally in group)
    errors = sum(tally.errors for tally in group)
    valid = good + errors
    targets = [promises[t.app].target if t.app in promises else DEFAULT for t in group]
    allowed = sum(_allowed(t, target) for t, target in zip(group, targets, strict=True))
    return Availability(
        app=first.app if By.APP in query.by else None,
        minute=first.at if By.MINUTE in query.by else None,
        hour=first.at if By.HOUR in query.by else None,
        good=good,
        valid=valid,
        availability=good / valid if valid else None,
        target=targets[0] / MILLION if len(set(targets)) == 1 else None,
        budget=_budget(allowed, errors),
    )


def _allowed(tally: Tally, target: int) -> int:
    return (tally.good + tally.errors) * (MILLION - target)


def _budget(allowed: int, errors: int) -> Budget:
    left = allowed - errors * MILLION
    return Budget(
        allowed_errors=units(allowed),
        allowed_micros=allowed,
        errors=errors,
        left=units(left),
        left_micros=left,
        left_share=left / allowed if allowed else None,
        exhausted=allowed > 0 and left <= 0,
    )


def _key(name: str) -> By:
    try:
        return By(name)
    except ValueError as error:
        raise RefusedError(f"by={name!r} is none of {', '.join(By)}") from error
