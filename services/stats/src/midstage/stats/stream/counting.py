"""One chunk of arrivals becomes one transaction of the ledger.

Positions are part of that transaction, and are asked from the ledger at the start: nothing is kept
in a group. So a chunk is in the ledger as a whole with its positions, or will be read again.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from midstage.chassis.logs import logger
from midstage.eventlog.consume import Chunk
from midstage.eventlog.log import BEGINNING, Log, Partition
from midstage.stats.decide import decide, named
from midstage.stats.model import Arrival, Batch, Fingerprint, Known

_log = logger(__name__)


class Ledger(Protocol):
    """Where counting is kept: a batch and its positions become durable together, or not at all."""

    def positions(self) -> Mapping[Partition, int]:
        """The next offset of each partition that the ledger has seen."""
        ...

    def known(self, sources: frozenset[str], fingerprints: frozenset[Fingerprint]) -> Known:
        """What the ledger holds of these."""
        ...

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> datetime:
        """Make it durable; the time that its rows carry. A chunk out of step is refused."""
        ...


class Counting:
    """The effect of a chunk on the ledger; those in ``counted`` hear what is durable."""

    def __init__(
        self, *, ledger: Ledger, counted: Sequence[Callable[[Batch, datetime], None]]
    ) -> None:
        """Count into ``ledger``."""
        self._ledger = ledger
        self._counted = counted

    def __call__(self, chunk: Chunk[Arrival]) -> None:
        """Count the chunk; a chunk seen twice is refused by its positions, an event by its name."""
        arrivals = [arrival for _, arrival in chunk.items]
        batch = decide(self._ledger.known(*named(arrivals)), arrivals)
        at = self._ledger.commit(batch, begins=chunk.begins, ends=chunk.ends)
        for hear in self._counted:
            hear(batch, at)


class LedgerPositions:
    """The positions of these topics, as the ledger's own transactions moved them."""

    def __init__(self, *, ledger: Ledger, log: Log, topics: Sequence[str]) -> None:
        """Read all partitions of ``topics``."""
        self._ledger = ledger
        self._log = log
        self._topics = topics

    def starts(self) -> Mapping[Partition, int]:
        """Where the ledger ends; the oldest record of a partition that it has not seen."""
        held = self._ledger.positions()
        _log.info(
            "counting_from",
            records={
                topic: sum(offset for place, offset in held.items() if place.topic == topic)
                for topic in self._topics
            },
        )
        return {
            partition: held.get(partition, BEGINNING)
            for topic in self._topics
            for partition in self._log.partitions(topic)
        }

    def moved(self, ends: Mapping[Partition, int]) -> None:
        """Nothing is left to do: the effect's transaction holds them."""
