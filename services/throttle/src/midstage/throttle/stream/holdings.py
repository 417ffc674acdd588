"""Who counts for the customers of each partition, as the loop that answers checks has heard of it.

What this process has written itself holds for it at once where that makes it count for less: what
it has left is asked elsewhere from then on. It counts for more only when it has read so.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from midstage.contracts.spends import CustomersLeft, CustomersTaken, CustomersWanted


class Held(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who holds a partition, and until when those before it may use what is implied."""

    fact: CustomersTaken
    before: datetime | None


class Holdings:
    """Belongs to one event loop; ``me`` is how this process names itself in the log."""

    def __init__(self, me: CustomersTaken) -> None:
        """Nothing is heard of yet."""
        self.me = me
        self._holders: dict[int, CustomersTaken] = {}
        self._left: dict[int, CustomersLeft] = {}
        self._given: dict[int, CustomersTaken] = {}
        self._giving: dict[int, CustomersTaken] = {}
        self._asked: dict[int, int] = {}
        self._wanted: dict[tuple[int, str], CustomersWanted] = {}
        self._until: dict[int, datetime] = {}

    def holder(self, partition: int) -> CustomersTaken | None:
        """Who is to be asked; None where nobody ever took it."""
        return self._given.get(partition) or self._holders.get(partition)

    def answering(self, partition: int) -> CustomersTaken | None:
        """Who is to be asked about new checks: who comes next is, before it counts."""
        giving = self._giving.get(partition) if self._giving else None
        return giving or self._given.get(partition) or self._holders.get(partition)

    def holders(self) -> Mapping[int, CustomersTaken]:
        """Everybody who was heard of, gone or not."""
        return self._holders

    def epoch(self, partition: int) -> int | None:
        """By which this process counts for the partition; None where it does not."""
        holder = self._holders.get(partition)
        if holder is None or holder.owner != self.me.owner or partition in self._given:
            return None
        return None if self.is_free(partition) else holder.epoch

    def mine(self) -> frozenset[int]:
        """For which this process counts."""
        return frozenset(number for number in self._holders if self.epoch(number) is not None)

    def is_free(self, partition: int) -> bool:
        """Whether its owner has stopped, and named nobody."""
        left, holder = self._left.get(partition), self._holders.get(partition)
        return holder is None or (left is not None and left.epoch == holder.epoch)

    def leavers(self) -> frozenset[str]:
        """Who has stopped, as far as the log still says: who leaves only a part keeps the rest."""
        living = {each.owner for number, each in self._holders.items() if not self.is_free(number)}
        return frozenset(left.owner for left in self._left.values()) - living

    def is_settled(self) -> bool:
        """Whether all that was written of holders was read back, or came too late."""
        return not self._given and all(
            number in self._holders and self._holders[number].epoch >= epoch
            for number, epoch in self._asked.items()
        )

    def wanted(self) -> Mapping[int, Sequence[CustomersWanted]]:
        """Who would have which of those that this process holds, in the order of the log."""
        found: dict[int, list[CustomersWanted]] = {}
        for key, fact in list(self._wanted.items()):
            if self.epoch(fact.partition) == fact.epoch:
                found.setdefault(fact.partition, []).append(fact)
            else:
                del self._wanted[key]
        return found

    def unwanted(self, owner: str) -> None:
        """This one is gone, and wants nothing any more."""
        self._wanted = {key: fact for key, fact in self._wanted.items() if fact.owner != owner}

    def heard(self, fact: CustomersTaken | CustomersLeft | CustomersWanted) -> None:
        """What counts in the log, in its order."""
        if isinstance(fact, CustomersWanted):
            if fact.owner != self.me.owner:
                self._wanted[fact.partition, fact.owner] = fact
            return
        if isinstance(fact, CustomersLeft):
            self._left[fact.partition] = fact
            if fact.owner == self.me.owner and self._given.get(fact.partition) == self.me:
                del self._given[fact.partition]
            return
        before = self._holders.get(fact.partition)
        if is_new(before, fact):
            self._given.pop(fact.partition, None)
            self._giving.pop(fact.partition, None)
            if before is not None:
                self._until[fact.partition] = before.at
        self._holders[fact.partition] = fact

    def counted_until(self, partitions: Collection[int]) -> datetime | None:
        """When it was last heard of those before who hold them, of the first one; None: of none."""
        heard = [self._until[each] for each in partitions if each in self._until]
        return min(heard, default=None)

    def taken(
        self, to: Mapping[int, CustomersTaken], epochs: Mapping[int, int], at: datetime
    ) -> Sequence[CustomersTaken]:
        """The facts by which these count from now on; of what is asked for already, none."""
        facts = [
            taken_by(whose, number, epochs[number], at)
            for number, whose in to.items()
            if self._asked.get(number, 0) < epochs[number]
        ]
        self._asked.update((fact.partition, fact.epoch) for fact in facts)
        return facts

    def give(self, to: Mapping[int, CustomersTaken]) -> None:
        """Those who come next for what this process holds still."""
        self._giving.update(to)

    def left(self, partition: int, to: CustomersTaken | None, at: datetime) -> CustomersLeft | None:
        """The fact by which this process counts no more; None where it did not."""
        epoch = self.epoch(partition)
        if epoch is None:
            return None
        self._given[partition] = to or self.me
        self._giving.pop(partition, None)
        return CustomersLeft(partition=partition, owner=self.me.owner, epoch=epoch, at=at)


def taken_by(owner: CustomersTaken, partition: int, epoch: int, at: datetime) -> CustomersTaken:
    """The fact by which this owner takes a partition: it says itself what it uses of it."""
    return msgspec.structs.replace(
        owner, partition=partition, epoch=epoch, implied_until=None, at=at
    )


def wanted_by(me: CustomersTaken, held: CustomersTaken, at: datetime) -> CustomersWanted:
    """The fact by which this process asks who holds a partition for it."""
    return CustomersWanted(
        partition=held.partition,
        owner=me.owner,
        epoch=held.epoch,
        address=me.address,
        http_address=me.http_address,
        at=at,
    )


def is_new(known: CustomersTaken | None, fact: CustomersTaken) -> bool:
    """Whether a partition is held anew; else its owner says again that it holds it."""
    return known is None or (known.owner, known.epoch) != (fact.owner, fact.epoch)


def taker(fact: CustomersWanted) -> CustomersTaken:
    """Who wants a partition, as it is named as its owner."""
    return CustomersTaken(
        partition=fact.partition,
        owner=fact.owner,
        epoch=fact.epoch,
        address=fact.address,
        http_address=fact.http_address,
        at=fact.at,
    )
