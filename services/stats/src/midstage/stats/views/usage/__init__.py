"""Usage as it is asked for and answered: groups of customer, application and minute.

Amounts are whole micro-units; ``units`` shows the same as numbers. A question that can't be
answered as it was meant is refused with what to do about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from midstage.contracts.errors import RefusedError
from midstage.contracts.units import units
from midstage.stats.views.period import period

MOST_GROUPS = 10_000


class By(StrEnum):
    """What usage can be grouped by."""

    CUSTOMER = "customer"
    APP = "app"
    MINUTE = "minute"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """Usage from ``since`` up to but without ``until``, whole minutes; None takes everything."""

    customer: str | None = None
    app: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    by: frozenset[By] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group's sums; a key is None where it is not grouped by it."""

    customer: str | None
    app: str | None
    minute: datetime | None
    outcomes: Mapping[str, int]
    micros: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One group: requests by outcome, billed units, and the same in exact micro-units."""

    customer: str | None
    app: str | None
    minute: datetime | None
    requests: int
    outcomes: Mapping[str, int]
    units: Mapping[str, int | float]
    micros: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageAnswer:
    """Usage by group, in the order of the groups' keys."""

    usage: tuple[Usage, ...]


def query(
    *, customer: str | None, app: str | None, since: str | None, until: str | None, by: str
) -> UsageQuery:
    """The query that a caller means; RefusedError says what it can't be."""
    asked = period(since=since, until=until)
    return UsageQuery(
        customer=customer,
        app=app,
        since=asked.since,
        until=asked.until,
        by=frozenset(_dimension(name.strip()) for name in by.split(",") if name.strip()),
    )


def answer(groups: Sequence[Group]) -> UsageAnswer:
    """The groups as they are shown; RefusedError when there are more than ``MOST_GROUPS``."""
    if len(groups) > MOST_GROUPS:
        raise RefusedError(
            f"the answer has more than {MOST_GROUPS} groups; "
            "narrow it with from and to, customer or app, or group by less"
        )
    return UsageAnswer(usage=tuple(_shown(group) for group in groups))


def _shown(group: Group) -> Usage:
    return Usage(
        customer=group.customer,
        app=group.app,
        minute=group.minute,
        requests=sum(group.outcomes.values()),
        outcomes=group.outcomes,
        units={name: units(amount) for name, amount in group.micros.items()},
        micros=group.micros,
    )


def _dimension(name: str) -> By:
    try:
        return By(name)
    except ValueError as error:
        raise RefusedError(f"by={name!r} is none of {', '.join(By)}") from error
