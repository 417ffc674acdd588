"""Slots of requests that ended while nobody counted for them.

Whoever takes customers over has their requests' slots from the log. Some of them have ended, and
their facts were read before they were anybody's concern here: so the facts since the last word of
whoever counted before, and a while earlier, are read once more for customers who have slots.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final, Protocol

UNSAID: Final = timedelta(seconds=10)
"""So long before its last word an owner may have heard of an end that the log does not say yet."""


class Counted(Protocol):
    """Who counts for whom."""

    def counted_until(self, partitions: Collection[int]) -> datetime | None:
        """When it was last heard of those who held them before; None: of nobody."""
        ...


class Freeing:
    """To be called with partitions that were taken over."""

    def __init__(
        self,
        *,
        of_slots: Callable[[Collection[int]], Collection[str]],
        counted: Counted,
        look_back_for: Callable[[Collection[str], datetime], None],
    ) -> None:
        """``of_slots`` gives the customers of partitions whose requests may hold slots."""
        self._of_slots = of_slots
        self._counted = counted
        self._look_back_for = look_back_for

    def __call__(self, partitions: Collection[int]) -> None:
        """Have the ends of their requests told of."""
        until = self._counted.counted_until(partitions)
        if until is None:
            return
        customers = self._of_slots(partitions)
        if customers:
            self._look_back_for(customers, until - UNSAID)
