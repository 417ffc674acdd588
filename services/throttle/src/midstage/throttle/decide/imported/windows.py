"""Counters of windows that are aligned to the epoch, as many as there is room for.

A counter is forgotten once its window is over, so strangers fill the room for one window at most.
When the room is full, a key without a counter is refused one; counters that are there go on.
"""

import heapq
from dataclasses import dataclass
from typing import Final

from midstage.contracts.errors import UnavailableError

Key = tuple[str, ...]
MOST: Final = 1_000_000


@dataclass(slots=True, kw_only=True)
class Count:
    """``hits`` in the window that ends at ``end_s``; ``cached``: known to be over."""

    end_s: int
    hits: int = 0
    cached: bool = False


class Windows:
    """The counter of each key in its newest window."""

    def __init__(self, *, most: int = MOST) -> None:
        """Room for ``most`` counters."""
        self._most = most
        self._counts: dict[Key, Count] = {}
        self._ending: dict[int, list[Key]] = {}
        self._ends: list[int] = []

    def __len__(self) -> int:
        """How many counters are remembered."""
        return len(self._counts)

    def of(self, key: Key, *, seconds: int, now_s: int) -> Count:
        """The counter of the window of ``seconds`` at ``now_s``; UnavailableError without room."""
        end_s = now_s - now_s % seconds + seconds
        count = self._counts.get(key)
        if count is not None and count.end_s >= end_s:  # a clock that goes back stays in its window
            return count
        if count is None and len(self._counts) >= self._most:
            raise UnavailableError(f"there are {self._most} counters already; ask again later")
        keys = self._ending.get(end_s)
        if keys is None:
            keys = self._ending[end_s] = []
            heapq.heappush(self._ends, end_s)
        keys.append(key)
        count = self._counts[key] = Count(end_s=end_s)
        return count

    def sweep(self, now_s: int, *, most: int) -> None:
        """Forget counters of windows that are over, ``most`` of them."""
        left = most
        while left > 0 and self._ends and self._ends[0] <= now_s:
            keys = self._ending[self._ends[0]]
            examined = min(left, len(keys))
            for _ in range(examined):
                self._forget(keys.pop(), now_s)
            left -= examined
            if not keys:
                del self._ending[heapq.heappop(self._ends)]

    def _forget(self, key: Key, now_s: int) -> None:
        count = self._counts.get(key)
        if count is not None and count.end_s <= now_s:
            del self._counts[key]
