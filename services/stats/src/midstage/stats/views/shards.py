"""Which partitions belong to which shard: partition p to shard p modulo their number.

Both topics have the same number of partitions and are keyed by source, so that a source with its
heartbeats is in one shard.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One of ``of`` shards, counted from 0."""

    number: int
    of: int

    def __str__(self) -> str:
        """As facts and sentences name it."""
        return f"{self.number}/{self.of}"

    def owns(self, partition: int) -> bool:
        """Whether it reads the partition of this number."""
        return owner(partition, of=self.of) == self.number


def owner(partition: int, *, of: int) -> int:
    """The number of the shard that reads the partition, ``of`` so many."""
    return partition % of


ALONE = Shard(number=0, of=1)
