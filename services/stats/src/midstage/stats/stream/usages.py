"""Each minute what each customer used leaves through the outbox, with absolute amounts.

Which customers' minutes have changed since is known from the mark and the roll-ups' versions: also
after a restart, also of events that are hours late.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from midstage.contracts.fact import Event
from midstage.contracts.topics import Topic
from midstage.contracts.usage import (
    USAGE_ENDED,
    USAGE_OBSERVED,
    UsageMinuteEnded,
    UsageObserved,
)
from midstage.eventlog.log import Partition
from midstage.stats.model import Batch, Committed, Outgoing
from midstage.stats.stream.loads import Edges
from midstage.stats.stream.outbox import Due, event_id, outgoing
from midstage.stats.views.shards import Shard
from midstage.stats.views.usage_facts import (
    Amount,
    Cell,
    Changed,
    Mark,
    beginning,
    minute_ended,
    observed,
)

MOST_CELLS = 500
"""Of one commit; what is left leaves with the next ones."""


class Books(Protocol):
    """What the ledger answers."""

    def amounts(self, cells: Sequence[Cell]) -> Sequence[Amount]:
        """The absolute amounts of these, in order of minute, customer, application and name."""
        ...

    def customers(self, minutes: Sequence[datetime]) -> Sequence[int]:
        """How many customers there are in each of these minutes, which follow one another."""
        ...


class Usages:
    """Implements ``outbox.Teller`` for usage facts."""

    def __init__(
        self,
        *,
        topic: Topic,
        shard: Shard,
        edges: Edges,
        books: Books,
        changed: Changed,
    ) -> None:
        """Begin with what is not told yet."""
        self._topic = topic.name
        self._shard = shard
        self._edges = edges
        self._books = books
        self._changed = changed

    def absorb(self, batch: Batch, committed: Committed) -> None:
        """Add what has just become durable."""
        self._changed.absorb(batch.sums, version=committed.version)

    def due(self, now: datetime) -> Due:
        """The facts of minutes that are over, and of those that late events changed.

        The mark goes with whatever leaves: so a first minute ends, though we were started anew.
        """
        cells = self._changed.next(now, most=MOST_CELLS)
        ended = self._changed.ended()
        leaving = (*self._observed(cells, now), *self._ended(ended, now))
        return Due(outgoing=leaving, marks=kept(self._changed.mark, self._topic))

    def _observed(self, cells: Sequence[Cell], now: datetime) -> list[Outgoing]:
        facts = observed(
            self._books.amounts(cells),
            shard=self._shard,
            complete_until=self._edges.heard(now).complete_until,
        )
        return [
            outgoing(_observed_event(fact), topic=self._topic, key=fact.customer) for fact in facts
        ]

    def _ended(self, minutes: Sequence[datetime], now: datetime) -> list[Outgoing]:
        until = self._edges.heard(now).complete_until
        facts = [
            minute_ended(minute, customers=customers, shard=self._shard, complete_until=until)
            for minute, customers in zip(minutes, self._books.customers(minutes), strict=True)
        ]
        return [
            outgoing(_ended_event(fact), topic=self._topic, key=f"stats/{fact.shard}")
            for fact in facts
        ]


def kept(mark: Mark, topic: str) -> dict[Partition, int]:
    """The mark as positions of the ledger."""
    numbers = (
        *(mark.version, int(mark.until.timestamp())),
        *(mark.round_version, int(mark.round_until.timestamp())),
    )
    return {Partition(topic=topic, number=at): number for at, number in enumerate(numbers)}


def mark_of(positions: Mapping[Partition, int], topic: str, *, now: datetime) -> Mark:
    """The mark among the ledger's positions; the beginning where there is none."""
    found = [positions.get(Partition(topic=topic, number=at)) for at in range(4)]
    match found:
        case [int(version), int(until), int(round_version), int(round_until)]:
            return Mark(
                version=version,
                until=datetime.fromtimestamp(until, UTC),
                round_version=round_version,
                round_until=datetime.fromtimestamp(round_until, UTC),
            )
        case _:
            return beginning(now)


def _observed_event(fact: UsageObserved) -> Event[UsageObserved]:
    minute, shard = fact.minute.isoformat(), f"{fact.shard}-{fact.shards}"
    return Event(
        id=event_id(fact.customer, minute, shard, str(fact.revision)),
        source=f"stats/{fact.shard}",
        type=USAGE_OBSERVED,
        time=fact.minute,
        subject=fact.customer,
        data=fact,
    )


def _ended_event(fact: UsageMinuteEnded) -> Event[UsageMinuteEnded]:
    return Event(
        id=f"{fact.minute.isoformat()}/{fact.shard}-{fact.shards}",
        source=f"stats/{fact.shard}",
        type=USAGE_ENDED,
        time=fact.minute,
        data=fact,
    )
