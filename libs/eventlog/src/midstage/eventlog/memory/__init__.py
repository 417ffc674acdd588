"""The verified fake: the log in memory, with the failures that a real one has.

It passes the conformance suite that Kafka passes, partitions by the same murmur2, and delivers
from a thread of its own. ``cut`` takes the broker away, ``mend`` brings it back; ``forget`` drops
old records as retention does; ``lose_next_acknowledgement`` writes and doesn't say so.
"""

from collections.abc import Mapping

from midstage.eventlog.log import BEGINNING, Partition
from midstage.eventlog.memory.broker import Broker
from midstage.eventlog.memory.clients import MemoryReader, MemoryWriter
from midstage.eventlog.memory.positions import MemoryPositions

__all__ = ["MemoryLog", "MemoryPositions"]


class MemoryLog(Broker):
    """Implements ``log.Log``; one instance is one broker, shared by any number of threads."""

    def writer(self) -> MemoryWriter:
        """See ``log.Log.writer``."""
        return MemoryWriter(self)

    def reader(self, starts: Mapping[Partition, int]) -> MemoryReader:
        """See ``log.Log.reader``."""
        resolved = {**starts, **self.beginnings(p for p, at in starts.items() if at == BEGINNING)}
        self.ends(starts)  # UnavailableError where one of them does not exist
        return MemoryReader(self, resolved)
