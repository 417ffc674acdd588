"""Which unnumbered events were counted: in memory, about 100 bytes for each; and asked by many."""

import threading

import numpy as np

from midstage.stats.model import Flags, Hashes
from midstage.stats.stream.counting import Seen


class SeenInMemory:
    """Implements ``counting.Seen``; everything is read again from the ledger at the start."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._held: set[tuple[int, int]] = set()

    def known(self, marks: Hashes) -> Flags:
        """Of each hash whether it is held."""
        return np.fromiter((one in self._held for one in _pairs(marks)), np.bool_, len(marks))

    def absorb(self, marks: Hashes, *, row: int) -> None:
        """Hold these too."""
        self._held.update(_pairs(marks))

    def mark(self) -> int:
        """Nothing is held durably."""
        return 0


class OneAtATime:
    """Implements ``counting.Seen`` with another one that a single thread may use at a time."""

    def __init__(self, seen: Seen) -> None:
        """All calls of ``seen`` go through here from now on."""
        self._seen = seen
        self._lock = threading.Lock()

    def known(self, marks: Hashes) -> Flags:
        """See ``counting.Seen.known``."""
        with self._lock:
            return self._seen.known(marks)

    def absorb(self, marks: Hashes, *, row: int) -> None:
        """See ``counting.Seen.absorb``."""
        with self._lock:
            self._seen.absorb(marks, row=row)

    def mark(self) -> int:
        """See ``counting.Seen.mark``."""
        with self._lock:
            return self._seen.mark()


def _pairs(marks: Hashes) -> list[tuple[int, int]]:
    return list(zip(marks[:, 0].tolist(), marks[:, 1].tolist(), strict=True))
