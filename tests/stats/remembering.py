"""What was seen, in memory: the verified fake of the files of hashes."""

import numpy as np

from midstage.stats.model import Flags, Hashes


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


def _pairs(marks: Hashes) -> list[tuple[int, int]]:
    return list(zip(marks[:, 0].tolist(), marks[:, 1].tolist(), strict=True))
