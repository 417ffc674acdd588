"""What each customer used in one minute of event time, as far as each shard of stats has counted.

Written by stats to ``midstage.usage.v1``, keyed by customer. Amounts are absolute: a late event, of
whatever age, gives the minute's fact again with a higher revision. A customer without any request
in a shard has no fact of it; that the shard has spoken for the minute says ``UsageMinuteEnded``.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from midstage.contracts.fact import Fact, Name
from midstage.contracts.units import total

USAGE_OBSERVED = "dev.midstage.usage.observed.v1"
USAGE_ENDED = "dev.midstage.usage.ended.v1"

OTHERS = "*"
"""The application under which a fact adds up those that it has no room for."""


class AppUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One application: requests by outcome, billed micro-units by name.

    ``app`` is empty for what was metered without one, ``OTHERS`` for those past the room.
    """

    app: str
    outcomes: dict[str, int] = {}
    units: dict[str, int] = {}


class UsageObserved(Fact, frozen=True, kw_only=True):
    """One customer, the minute from ``minute`` on, as one shard of stats counted it.

    ``revision`` is all its amounts added up: the same events give the same one, in whatever order
    they came, and a late one that adds anything gives a higher one. ``complete_until``: every event
    that this shard will count and that ended before it was counted when this was written; None when
    unknown. ``apps`` are in order of name.
    """

    customer: Name
    minute: datetime
    shard: int
    shards: int
    revision: int
    complete_until: datetime | None = None
    apps: tuple[AppUsage, ...] = ()


class UsageMinuteEnded(Fact, frozen=True, kw_only=True):
    """A shard has written what ``customers`` customers used in the minute; all others used nothing.

    Its facts of that minute stand before it in the order of writing. Late ones may follow.
    """

    minute: datetime
    shard: int
    shards: int
    customers: int
    complete_until: datetime | None = None


def folded(
    parts: Sequence[UsageObserved], ended: Sequence[UsageMinuteEnded]
) -> UsageObserved | None:
    """All shards' facts of one customer and minute as one; None while a shard has not spoken.

    ``ended``: of the same minute. Of several revisions of a shard the highest counts, so a fact
    seen twice changes nothing. None too where nobody has a fact: there is no usage to tell.
    """
    if not parts:
        return None
    shards = max([part.shards for part in parts] + [said.shards for said in ended])
    newest: dict[int, UsageObserved] = {}
    for part in (part for part in parts if part.shards == shards):
        known = newest.get(part.shard)
        if known is None or part.revision > known.revision:
            newest[part.shard] = part
    quiet = {
        said.shard: said for said in ended if said.shards == shards and said.shard not in newest
    }
    if not newest.keys() | quiet.keys() >= set(range(shards)):
        return None
    return _added(list(newest.values()), list(quiet.values()), parts[0])


def _added(
    parts: Sequence[UsageObserved], quiet: Sequence[UsageMinuteEnded], named: UsageObserved
) -> UsageObserved:
    names = sorted({each.app for part in parts for each in part.apps})
    return UsageObserved(
        customer=named.customer,
        minute=named.minute,
        shard=0,
        shards=1,
        revision=sum(part.revision for part in parts),
        complete_until=_least(
            [part.complete_until for part in parts] + [said.complete_until for said in quiet]
        ),
        apps=tuple(_app(name, parts) for name in names),
    )


def _app(name: str, parts: Sequence[UsageObserved]) -> AppUsage:
    held = [each for part in parts for each in part.apps if each.app == name]
    return AppUsage(
        app=name,
        outcomes=dict(total(each.outcomes for each in held)),
        units=dict(total(each.units for each in held)),
    )


def _least(times: Sequence[datetime | None]) -> datetime | None:
    known = [time for time in times if time is not None]
    return min(known) if len(known) == len(times) else None
