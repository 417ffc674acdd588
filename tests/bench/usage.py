"""What the races fold: usage per customer and unit, in whole micro-units.

``Usage`` is what any reader of the log does, ``ExactUsage`` what stats does before its ledger.
"""

from collections import defaultdict

import numpy as np

from midstage.contracts.fact import Event, Fact
from midstage.contracts.requests import RequestCompleted, billable
from midstage.contracts.units import MICROS_PER_UNIT, REQUESTS, micros
from midstage.eventlog.consume import Chunk
from midstage.stats.model import Ranges, admitted

Facts = Chunk[Event[Fact]]


class Usage:
    """Billed micro-units by customer and unit, as any view of usage folds them."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.seen = 0
        self.sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    @property
    def requests(self) -> int:
        """How many requests were billed, of all customers."""
        return sum(sums[REQUESTS] for sums in self.sums.values()) // MICROS_PER_UNIT

    def __call__(self, chunk: Facts) -> None:
        """Add the chunk."""
        for _record, event in chunk.items:
            self._add(event.data)
        self.seen += len(chunk.items)

    def _add(self, fact: Fact) -> None:
        if not isinstance(fact, RequestCompleted):
            return
        sums = self.sums[fact.customer]
        for name, value in billable(fact).items():
            sums[name] += micros(value)


class ExactUsage(Usage):
    """The same where each source's number counts once: the ranges of stats in front."""

    def __init__(self) -> None:
        """No number has been seen yet."""
        super().__init__()
        self.ranges: defaultdict[str, Ranges] = defaultdict(Ranges)

    def __call__(self, chunk: Facts) -> None:
        """Add what is new in the chunk."""
        by_source: dict[str, list[Event[Fact]]] = defaultdict(list)
        for _record, event in chunk.items:
            by_source[event.source].append(event)
        for source, events in by_source.items():
            numbers = np.array([event.seq for event in events], np.int64)
            news, self.ranges[source] = admitted(self.ranges[source], numbers)
            for event, new in zip(events, news, strict=True):
                if new:
                    self._add(event.data)
        self.seen += len(chunk.items)
