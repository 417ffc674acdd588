"""One chunk of requests becomes one transaction of the store, with the next positions in it.

Positions are asked from the store at the start: nothing is kept in a group. So a chunk is kept as
a whole with its positions, or will be read again.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from midstage.chassis.logs import logger
from midstage.data.decide import decide, named, oldest_kept
from midstage.data.model import Arrived, Batch, Fingerprint, Known
from midstage.eventlog.consume import Chunk
from midstage.eventlog.log import BEGINNING, Log, Partition

_log = logger(__name__)


class Store(Protocol):
    """Where rows are kept: a batch and its positions become durable together, or not at all."""

    def positions(self) -> Mapping[Partition, int]:
        """The next offset of each partition that the store has seen."""
        ...

    def known(self, sources: frozenset[str], fingerprints: frozenset[Fingerprint]) -> Known:
        """What the store holds of these."""
        ...

    def commit(
        self,
        batch: Batch,
        *,
        begins: Mapping[Partition, int],
        ends: Mapping[Partition, int],
        oldest: datetime,
    ) -> None:
        """Make it durable, and forget identities older than ``oldest``; out of step is refused."""
        ...


class Keeping:
    """The effect of a chunk on the store; ``kept`` hears what is durable."""

    def __init__(
        self,
        *,
        store: Store,
        retention: timedelta,
        now: Callable[[], datetime],
        kept: Callable[[Batch], None],
    ) -> None:
        """Keep in ``store``."""
        self._store = store
        self._retention = retention
        self._now = now
        self._kept = kept

    def __call__(self, chunk: Chunk[Sequence[Arrived]]) -> None:
        """Keep the chunk; one seen twice is refused by its positions, an event by its identity."""
        arrivals = [arrived for _, requests in chunk.items for arrived in requests]
        oldest = oldest_kept(self._now(), retention=self._retention)
        batch = decide(self._store.known(*named(arrivals)), arrivals, oldest=oldest)
        self._store.commit(batch, begins=chunk.begins, ends=chunk.ends, oldest=oldest)
        self._kept(batch)


class StorePositions:
    """The positions of one topic, as the store's own transactions moved them."""

    def __init__(self, *, store: Store, log: Log, topic: str) -> None:
        """Read all partitions of ``topic``."""
        self._store = store
        self._log = log
        self._topic = topic

    def starts(self) -> Mapping[Partition, int]:
        """Where the store ends; the oldest record of a partition that it has not seen."""
        held = self._store.positions()
        _log.info("keeping_from", topic=self._topic, records=sum(held.values()))
        return {
            partition: held.get(partition, BEGINNING)
            for partition in self._log.partitions(self._topic)
        }

    def moved(self, ends: Mapping[Partition, int]) -> None:
        """Nothing is left to do: the effect's transaction holds them."""
