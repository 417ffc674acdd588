"""What stats knows of the sources, and what one chunk adds: frozen values.

A source's numbers are kept as ranges, so that each number counts once in whatever order it comes
and a hole can be named. What a chunk adds (``Batch``) becomes durable as a whole or not at all.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, NewType

from midstage.contracts.edges import Gauge
from midstage.contracts.requests import RequestCompleted
from midstage.contracts.units import Micros

Fingerprint = NewType("Fingerprint", bytes)
"""16 bytes that stand for one ``(source, id)``; equal ones are taken for the same event."""

Span = tuple[int, int]
"""The first and the last number of a run without a hole."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Numbers as disjoint spans in ascending order, no two of which touch."""

    spans: tuple[Span, ...] = ()

    def __contains__(self, number: int) -> bool:
        """Whether the number is there."""
        at = bisect_right(self.spans, (number, _ABOVE_ALL)) - 1
        return at >= 0 and number <= self.spans[at][1]

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return sum(last - first + 1 for first, last in self.spans)

    @property
    def most(self) -> int:
        """The highest number, 0 where there is none."""
        return self.spans[-1][1] if self.spans else 0

    def holes(self, upto: int) -> tuple[Span, ...]:
        """The numbers from 1 to ``upto`` that are not there, as spans."""
        found: list[Span] = []
        expected = 1
        for first, last in self.spans:
            if first > upto:
                break
            if first > expected:
                found.append((expected, first - 1))
            expected = last + 1
        if expected <= upto:
            found.append((expected, upto))
        return tuple(found)

    def complete(self, upto: int) -> bool:
        """Whether every number from 1 to ``upto`` is there."""
        return upto <= 0 or (bool(self.spans) and self.spans[0][0] == 1 <= upto <= self.spans[0][1])


_ABOVE_ALL = 2**63


def admitted(seen: Ranges, numbers: Sequence[int]) -> tuple[list[bool], Ranges]:
    """Of each number whether it is new, in the order given, and the ranges with all of them."""
    spans = list(seen.spans)
    news: list[bool] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:  # nearly always: the next line of a file
            spans[-1] = (spans[-1][0], number)
            news.append(True)
        else:
            news.append(_insert(spans, number))
    return news, Ranges(tuple(spans))


def _insert(spans: list[Span], number: int) -> bool:
    at = bisect_right(spans, (number, _ABOVE_ALL))
    if at and number <= spans[at - 1][1]:
        return False
    first = last = number
    begin = end = at
    if at and spans[at - 1][1] == number - 1:
        first, begin = spans[at - 1][0], at - 1
    if at < len(spans) and spans[at][0] == number + 1:
        last, end = spans[at][1], at + 1
    spans[begin:end] = [(first, last)]
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The newest heartbeat of a source; ``gauges`` None: Envoy could not be asked."""

    at: datetime
    highest: int
    complete_until: datetime
    newest: bool
    gauges: tuple[Gauge, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The source's file has ended with ``highest``; ``torn`` lines had no end."""

    at: datetime
    highest: int
    torn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One numbered source: the numbers that count, and what its edge said of it.

    ``complete_until``: every request of this source that ended before it is in the ledger.
    """

    name: str
    edge: str
    seen: Ranges = Ranges()
    beat: Beat | None = None
    closing: Closing | None = None
    complete_until: datetime | None = None

    @property
    def highest(self) -> int:
        """The highest number that must be there, by the edge's word or because it was seen."""
        said = [said.highest for said in (self.beat, self.closing) if said is not None]
        return max(self.seen.most, *said) if said else self.seen.most

    @property
    def holes(self) -> tuple[Span, ...]:
        """The numbers that are missing: each a loss, or still on its way."""
        return self.seen.holes(self.highest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A request event that may count: ``units`` as observed, ``billed`` as they enter usage."""

    source: str
    id: str
    seq: int | None
    time: datetime
    fact: RequestCompleted
    units: Mapping[str, Micros]
    billed: Mapping[str, Micros]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beaten:
    """A heartbeat arrived."""

    source: str
    edge: str
    beat: Beat


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A closing fact arrived."""

    source: str
    edge: str
    closing: Closing


Arrival = Counted | Beaten | Ended


class Cell(NamedTuple):
    """One place of the roll-up: an application's customer in one minute of event time (UTC)."""

    minute: datetime
    customer: str
    app: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What is added to a cell: requests by outcome, billed micro-units by name."""

    outcomes: Mapping[str, int]
    units: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the ledger holds of the sources and fingerprints that a chunk names."""

    sources: Mapping[str, Source]
    fingerprints: frozenset[Fingerprint]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one chunk adds; ``sources`` are absolute states, ``sums`` are added to their cells."""

    rows: tuple[Counted, ...] = ()
    sources: tuple[Source, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    sums: Mapping[Cell, Sum] = field(default_factory=dict)
    repeated: int = 0
