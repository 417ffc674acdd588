"""How long what is implied of each partition's counters may be used, as the log has taken it.

Whoever holds a partition says so again and again, each time for a while ahead. It uses what is
implied no longer than the log has heard, and a little less, as clocks differ; a successor counts
all of it for used until then.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from midstage.contracts.spends import CustomersTaken
from midstage.throttle.model.holding import Holding

IMPLIED_NS: Final = 6_000_000_000
"""How long what is implied may be used after it was said: a log that is away for less stops none.

It is said again each ``RENEWED_S``.
"""
RENEWED_S: Final = 1.0
APART_NS: Final = 500_000_000
"""So much earlier it is used no more: the clocks of two processes may differ by that."""
GIVEN_UP_NS: Final = 10_000_000_000
"""A word that the log has not taken for so long is said again."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Implied:
    """Of all partitions; belongs to one event loop."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """``now_ns`` is the clock of the counters."""
        self._now_ns = now_ns
        self._holdings: dict[int, Holding] = {}
        self._said: dict[int, datetime] = {}

    def of(self, partition: int) -> Holding:
        """The same object for ever."""
        return self._holdings.setdefault(partition, Holding())

    def said(self, partition: int) -> datetime:
        """Until when it may be used by what is said now."""
        self._said[partition] = until = self._at(IMPLIED_NS)
        return until

    def is_heard(self, held: CustomersTaken) -> bool:
        """Whether ``held`` is the last that was said, or that is lost: nothing piles up."""
        said = self._said.get(held.partition)
        return said is None or said == held.implied_until or said < self._at(-GIVEN_UP_NS)

    def ours(self, held: CustomersTaken, before: datetime | None) -> None:
        """The log has heard it; until ``before`` those before may use what is implied."""
        holding = self.of(held.partition)
        holding.before_ns = _ns(before)
        holding.until_ns = max(holding.until_ns, _ns(held.implied_until) - APART_NS)

    def lost(self, partition: int) -> None:
        """It is held here no more."""
        self.of(partition).until_ns = 0
        self._said.pop(partition, None)

    def _at(self, after_ns: int) -> datetime:
        return _EPOCH + timedelta(microseconds=(self._now_ns() + after_ns) // 1000)


def _ns(at: datetime | None) -> int:
    return 0 if at is None else (at - _EPOCH) // timedelta(microseconds=1) * 1000
