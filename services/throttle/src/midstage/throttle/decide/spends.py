"""What the log says of counters and of who counts: the fold of ``midstage.spends.v1``.

The newest record of a key counts, as it is absolute; but for one whose writer did not hold the
partition when the log took it: that one is named to whoever holds it, who writes his own again,
for compaction would keep the wrong one. Folding a record twice changes nothing.

Whoever holds a partition says again and again how long it may use the first units of the counters
that no record names; the latest of all these times is what its successor has to leave to it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from midstage.contracts.spends import CustomersLeft, CustomersTaken, RoomTaken, Unanswered
from midstage.throttle.decide.claims.claim import Standing

Key = tuple[str, str, str]
"""The limit's name, the customer, and the API key where each has its own counter."""


class Heard(StrEnum):
    """What a record is worth."""

    COUNTS = "counts"
    OVER = "over"
    """Another one held the partition by then."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """How a counter stands in the log."""

    algorithm: str
    claim: Standing
    unanswered: tuple[Unanswered, ...] = ()


class Spends:
    """Changes in place; belongs to one thread at a time."""

    def __init__(self) -> None:
        """Nothing was ever spent."""
        self._holders: dict[int, CustomersTaken] = {}
        self._left: dict[int, CustomersLeft] = {}
        self._epochs: dict[int, int] = {}
        self._implied: dict[int, datetime] = {}
        self._before: dict[int, datetime | None] = {}
        self._stood: dict[Key, Stood] = {}
        self._naming: set[Key] = set()

    def __len__(self) -> int:
        """How many counters stand."""
        return len(self._stood)

    @property
    def holders(self) -> Mapping[int, CustomersTaken]:
        """Who counts for the customers of each partition that was ever taken."""
        return self._holders

    def is_left(self, partition: int) -> bool:
        """Whether its last owner stopped in order: its counters stand exactly as it left them."""
        left, holder = self._left.get(partition), self._holders.get(partition)
        return left is not None and holder is not None and left.epoch == holder.epoch

    def stood(self, key: Key) -> Stood | None:
        """How the counter stands; None where nobody ever wrote it."""
        return self._stood.get(key)

    def before(self, partition: int) -> datetime | None:
        """Until when those before its holder may use what is implied; None: nobody may."""
        return self._before.get(partition)

    @property
    def naming(self) -> Collection[Key]:
        """The counters in which requests stand that may not have been answered."""
        return self._naming

    def next_epoch(self, partition: int) -> int:
        """In which the partition can be taken."""
        return self._epochs.get(partition, 0) + 1

    def apply(self, fact: RoomTaken | CustomersTaken | CustomersLeft, partition: int) -> Heard:
        """Fold the record of this partition."""
        match fact:
            case CustomersTaken():
                return self._taken(fact, partition)
            case CustomersLeft():
                return self._leaves(fact, partition)
            case RoomTaken():
                return self._spent(fact, partition)
            case _:
                assert_never(fact)

    def forget(self, key: Key) -> None:
        """Nothing of this counter needs to be known any more."""
        self._stood.pop(key, None)
        self._naming.discard(key)

    def _taken(self, fact: CustomersTaken, partition: int) -> Heard:
        """What the holder says again counts too; the first that it said may be compacted away."""
        known, holder = self._epochs.get(partition, 0), self._holders.get(partition)
        is_known = holder is not None and holder.epoch == fact.epoch
        if fact.epoch < known or (is_known and holder is not None and holder.owner != fact.owner):
            return Heard.OVER
        implied = self._implied.get(partition)
        if not is_known:
            self._before[partition] = implied
        if fact.implied_until is not None:
            self._implied[partition] = max(implied or fact.implied_until, fact.implied_until)
        self._epochs[partition] = fact.epoch
        self._holders[partition] = fact
        return Heard.COUNTS

    def _leaves(self, fact: CustomersLeft, partition: int) -> Heard:
        if self._is_over(fact, partition):
            return Heard.OVER
        self._epochs[partition] = fact.epoch
        self._left[partition] = fact
        self._implied.pop(partition, None)  # but for what those before it may still use
        before = self._before.get(partition)
        if before is not None:
            self._implied[partition] = before
        return Heard.COUNTS

    def _spent(self, fact: RoomTaken, partition: int) -> Heard:
        """Of an epoch that is not known its taking was compacted away: it was there before."""
        if self._is_over(fact, partition):
            return Heard.OVER
        try:
            claim = tuple(int(number) for number in fact.standing)
        except ValueError:
            return Heard.UNREADABLE
        self._epochs[partition] = fact.epoch
        key = (fact.limit, fact.customer, fact.key)
        self._stood[key] = Stood(algorithm=fact.algorithm, claim=claim, unanswered=fact.unanswered)
        if fact.unanswered:
            self._naming.add(key)
        elif self._naming:
            self._naming.discard(key)
        return Heard.COUNTS

    def _is_over(self, fact: RoomTaken | CustomersLeft, partition: int) -> bool:
        holder = self._holders.get(partition)
        if holder is not None and holder.epoch == fact.epoch and holder.owner != fact.owner:
            return True
        return fact.epoch < self._epochs.get(partition, 0)
