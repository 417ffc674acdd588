"""Positions in memory: they outlive the consumer, as a group's offsets do, but not the process."""

import threading
from collections.abc import Iterable, Mapping

from midstage.eventlog.log import BEGINNING, Partition


class MemoryPositions:
    """Implements ``consume.Positions``; starts at the oldest record."""

    def __init__(self, partitions: Iterable[Partition]) -> None:
        """Stand before the first record of each of ``partitions``."""
        self._lock = threading.Lock()
        self._at = dict.fromkeys(partitions, BEGINNING)

    def starts(self) -> Mapping[Partition, int]:
        """Where the last consumer stood."""
        with self._lock:
            return dict(self._at)

    def moved(self, ends: Mapping[Partition, int]) -> None:
        """The next consumer starts here."""
        with self._lock:
            self._at.update(ends)
