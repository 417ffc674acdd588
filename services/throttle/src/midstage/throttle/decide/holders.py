"""Who counts for the customers of each partition, as ``midstage.spends.v1`` says it in its order.

Each taking has the next epoch. What a record of an earlier one says counts for nobody, as another
one held the partition when the log took it. Whoever holds a partition says again and again how long
it may use the first units of the counters that no record names; the latest of all these times is
what its successor has to leave to it.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from midstage.contracts.spends import (
    CustomersLeft,
    CustomersTaken,
    CustomersWanted,
    ReservationsLeft,
)
from midstage.throttle.decide.inherited import Inherited

HolderFact = CustomersTaken | CustomersLeft | ReservationsLeft | CustomersWanted


class Heard(StrEnum):
    """What a record is worth."""

    COUNTS = "counts"
    OVER = "over"
    """Another one held the partition by then."""


class Holders:
    """By partition; changes in place, belongs to one thread at a time."""

    def __init__(self) -> None:
        """Nobody ever took any."""
        self._holders: dict[int, CustomersTaken] = {}
        self._left: dict[int, CustomersLeft] = {}
        self._epochs: dict[int, int] = {}
        self._implied: dict[int, datetime] = {}
        self._before: dict[int, datetime | None] = {}
        self._inherited = Inherited()

    def get(self, partition: int) -> CustomersTaken | None:
        """Who took it last; None where nobody ever did."""
        return self._holders.get(partition)

    def before(self, partition: int) -> datetime | None:
        """Until when those before its holder may use what is implied; None: nobody may."""
        return self._before.get(partition)

    def inherited(self, partition: int) -> Sequence[ReservationsLeft]:
        """What was left to whoever holds the partition now."""
        return self._inherited.of(partition)

    def next_epoch(self, partition: int) -> int:
        """In which the partition can be taken."""
        return self._epochs.get(partition, 0) + 1

    def heard(self, owner: str, epoch: int, partition: int) -> Heard:
        """What a record of this owner and epoch is worth there; what is older is over from then on.

        Of an epoch that is not known its taking was compacted away: it was there before.
        """
        holder = self._holders.get(partition)
        if holder is not None and holder.epoch == epoch and holder.owner != owner:
            return Heard.OVER
        if epoch < max(1, self._epochs.get(partition, 0)):
            return Heard.OVER
        self._epochs[partition] = epoch
        return Heard.COUNTS

    def apply(self, fact: HolderFact, partition: int) -> Heard:
        """Fold a record of this partition."""
        match fact:
            case CustomersTaken():
                return self._taken(fact, partition)
            case CustomersLeft():
                return self._leaves(fact, partition)
            case ReservationsLeft():
                heard = self.heard(fact.owner, fact.epoch, partition)
                if heard is Heard.COUNTS:
                    self._inherited.said(fact, partition)
                return heard
            case CustomersWanted():
                holder = self._holders.get(partition)
                counts = holder is not None and holder.epoch == fact.epoch
                return Heard.COUNTS if counts else Heard.OVER
            case _:
                assert_never(fact)

    def _taken(self, fact: CustomersTaken, partition: int) -> Heard:
        """What the holder says again counts too; the first that it said may be compacted away."""
        holder = self._holders.get(partition)
        if self.heard(fact.owner, fact.epoch, partition) is Heard.OVER:
            return Heard.OVER
        implied = self._implied.get(partition)
        if holder is None or holder.epoch != fact.epoch:
            self._before[partition] = implied
            left = self._left.get(partition)
            in_order = left is not None and holder is not None and left.epoch == holder.epoch
            self._inherited.taken(partition, left.epoch if left and in_order else None)
        if fact.implied_until is not None:
            self._implied[partition] = max(implied or fact.implied_until, fact.implied_until)
        self._holders[partition] = fact
        return Heard.COUNTS

    def _leaves(self, fact: CustomersLeft, partition: int) -> Heard:
        if self.heard(fact.owner, fact.epoch, partition) is Heard.OVER:
            return Heard.OVER
        self._left[partition] = fact
        self._implied.pop(partition, None)  # but for what those before it may still use
        before = self._before.get(partition)
        if before is not None:
            self._implied[partition] = before
        return Heard.COUNTS
