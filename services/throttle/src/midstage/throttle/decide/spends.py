"""What the log says of counters and of who counts: the fold of ``midstage.spends.v1``.

The newest record of a key counts, as it is absolute; but for one whose writer did not hold the
partition when the log took it: that one is named to whoever holds it, who writes his own again,
for compaction would keep the wrong one. Folding a record twice changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from midstage.contracts.spends import CustomersTaken, RoomTaken
from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.model.limits import Key


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


class Spends:
    """Changes in place; belongs to one thread at a time."""

    def __init__(self) -> None:
        """Nothing was ever spent."""
        self._holders: dict[int, CustomersTaken] = {}
        self._epochs: dict[int, int] = {}
        self._stood: dict[Key, Stood] = {}

    def __len__(self) -> int:
        """How many counters stand."""
        return len(self._stood)

    @property
    def holders(self) -> Mapping[int, CustomersTaken]:
        """Who counts for the customers of each partition that was ever taken."""
        return self._holders

    def stood(self, key: Key) -> Stood | None:
        """How the counter stands; None where nobody ever wrote it."""
        return self._stood.get(key)

    def next_epoch(self, partition: int) -> int:
        """In which the partition can be taken."""
        return self._epochs.get(partition, 0) + 1

    def apply(self, fact: RoomTaken | CustomersTaken, partition: int) -> Heard:
        """Fold the record of this partition."""
        match fact:
            case CustomersTaken():
                return self._taken(fact, partition)
            case RoomTaken():
                return self._spent(fact, partition)
            case _:
                assert_never(fact)

    def forget(self, key: Key) -> None:
        """Nothing of this counter needs to be known any more."""
        self._stood.pop(key, None)

    def _taken(self, fact: CustomersTaken, partition: int) -> Heard:
        if fact.epoch <= self._epochs.get(partition, 0):
            return Heard.OVER
        self._epochs[partition] = fact.epoch
        self._holders[partition] = fact
        return Heard.COUNTS

    def _spent(self, fact: RoomTaken, partition: int) -> Heard:
        """Of an epoch that is not known its taking was compacted away: it was there before."""
        known = self._epochs.get(partition, 0)
        holder = self._holders.get(partition)
        if fact.epoch < known:
            return Heard.OVER
        if holder is not None and holder.epoch == fact.epoch and holder.owner != fact.owner:
            return Heard.OVER
        try:
            claim = tuple(int(number) for number in fact.standing)
        except ValueError:
            return Heard.UNREADABLE
        self._epochs[partition] = fact.epoch
        self._stood[fact.limit, fact.customer, fact.key] = Stood(
            algorithm=fact.algorithm, claim=claim
        )
        return Heard.COUNTS
