"""What is done for customers that come: their requests go on, and those that ended meanwhile end.

Whoever takes customers over has their requests' slots from the log, and what they reserved, where
the one before left in order. Some of them have ended, and their facts were read before they were
anybody's concern here: so the facts since the last word of whoever counted before, and a while
earlier, are read once more. What is reserved is settled by them; of other requests they free slots.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from midstage.contracts.spends import ReservationsLeft
from midstage.throttle.decide.spends import Spends
from midstage.throttle.stream.holdings import Holdings

UNSAID: Final = timedelta(seconds=10)
"""So long before its last word an owner may have heard of an end that the log does not say yet."""
T = TypeVar("T")


class Counting(Protocol):
    """The log of counters."""

    holdings: Holdings

    def folded(self, read: Callable[[Spends], T]) -> T:
        """What ``read`` says of it."""
        ...

    def partition(self, customer: str) -> int:
        """Where the customer's counters stand."""
        ...


class Ends(Protocol):
    """The facts of the requests."""

    def look_back_for(
        self, customers: Collection[str], since: datetime, requests: Collection[str] = ()
    ) -> None:
        """Tell of these customers' requests that ended since then, and of these in full."""
        ...


class Arriving:
    """To be called with partitions that were taken over."""

    def __init__(
        self,
        *,
        counting: Counting,
        resume: Callable[[Iterable[ReservationsLeft]], Collection[str]],
        ends: Ends | None,
    ) -> None:
        """``resume`` goes on with reservations, and says of which requests; ``ends``: if read."""
        self._counting = counting
        self._resume = resume
        self._ends = ends

    def __call__(self, partitions: Collection[int]) -> None:
        """Go on, and have the ends told of."""
        left = self._counting.folded(
            lambda log: [fact for number in partitions for fact in log.holders.inherited(number)]
        )
        requests = self._resume(left)
        until = self._counting.holdings.counted_until(partitions)
        if self._ends is None or until is None:
            return
        customers = self._counting.folded(
            lambda log: log.of_slots(lambda each: self._counting.partition(each) in partitions)
        )
        if customers or requests:
            self._ends.look_back_for(customers, until - UNSAID, requests)
