"""What stats knows of the sources, and what one chunk adds: frozen values.

Requests come in columns (``rows``), numbers of a source as ranges (``ranges``). What a chunk adds
(``Batch``) becomes durable as a whole or not at all; ``Committed`` says as what.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from midstage.contracts.edges import Gauge
from midstage.stats.model.ranges import NO_NUMBERS, Ranges, Span, admitted
from midstage.stats.model.rows import METERED, REQUEST, Rows
from midstage.stats.model.words import (
    Amounts,
    Codes,
    Doubles,
    Flags,
    Hashes,
    Ints,
    Labels,
    Longs,
    Texts,
    Wholes,
    Words,
)

__all__ = [
    "METERED",
    "NO_HASHES",
    "NO_HOURS",
    "NO_ROWS",
    "NO_SUMS",
    "REQUEST",
    "Amounts",
    "Arrivals",
    "Batch",
    "Beat",
    "Beaten",
    "Closing",
    "Codes",
    "Committed",
    "Doubles",
    "Ended",
    "Flags",
    "Hashes",
    "Ints",
    "Known",
    "Labels",
    "Longs",
    "OutOfStepError",
    "Outgoing",
    "Ranges",
    "Rows",
    "Source",
    "SourceHours",
    "Span",
    "Sums",
    "Texts",
    "Wholes",
    "Words",
    "admitted",
]


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
    seen: Ranges = NO_NUMBERS
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


_NO_WORDS = Words(words=(), codes=np.zeros(0, np.int32))
_NO_TEXTS = Texts.of(())
_NO_LONGS = np.zeros(0, np.int64)
_NO_DOUBLES = np.zeros(0, np.float64)
_NO_FLAGS = np.zeros(0, np.bool_)
NO_ROWS = Rows(
    kind=_NO_WORDS,
    source=_NO_WORDS,
    seq=_NO_LONGS,
    id=_NO_TEXTS,
    time=_NO_LONGS,
    customer=_NO_WORDS,
    app=_NO_WORDS,
    endpoint=_NO_WORDS,
    revision=_NO_WORDS,
    status=np.zeros(0, np.int32),
    outcome=_NO_WORDS,
    duration_ms=_NO_DOUBLES,
    queue_ms=_NO_DOUBLES,
    ttft_ms=_NO_DOUBLES,
    bytes_in=_NO_LONGS,
    bytes_out=_NO_LONGS,
    usage=Amounts(rows=_NO_LONGS, names=_NO_WORDS, micros=_NO_LONGS),
    billed=_NO_FLAGS,
    estimated=_NO_FLAGS,
    labels=Labels(rows=_NO_LONGS, names=_NO_WORDS, values=_NO_WORDS),
    ref=_NO_TEXTS,
    cluster=_NO_WORDS,
    pod=_NO_WORDS,
    trace_id=_NO_TEXTS,
)
NO_HASHES: Hashes = np.zeros((0, 2), np.uint64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrivals:
    """What the records of a chunk say: events that may count, and words of the edges."""

    rows: Rows = NO_ROWS
    said: tuple[Beaten | Ended, ...] = ()

    @staticmethod
    def joined(parts: Sequence["Arrivals"]) -> "Arrivals":
        """One after another."""
        return Arrivals(
            rows=Rows.joined([part.rows for part in parts if len(part.rows)] or [NO_ROWS]),
            said=tuple(word for part in parts for word in part.said),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """What is held of what a chunk names; ``seen``: of each unnumbered row, in their order."""

    sources: Mapping[str, Source]
    seen: Flags


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sums:
    """Partial sums in columns, one row for each cell and name; ``minute`` as microseconds.

    ``kind`` is ``outcome`` (requests by outcome), ``unit`` (billed micro-units by unit) or
    ``bytes`` (``in``, ``out``). Amounts may be beyond 64 bits.
    """

    minute: Longs
    customer: Words
    app: Words
    endpoint: Words
    revision: Words
    kind: Words
    name: Words
    amount: Wholes

    def __len__(self) -> int:
        """How many partial sums there are."""
        return len(self.amount)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceHours:
    """Rows added by source and hour of event time; numbers are 0 where events have none."""

    source: Words
    hour: Longs
    rows: Longs
    first_seq: Longs
    last_seq: Longs

    def __len__(self) -> int:
        """How many pairs of source and hour there are."""
        return len(self.rows)


NO_SUMS = Sums(
    minute=_NO_LONGS,
    customer=_NO_WORDS,
    app=_NO_WORDS,
    endpoint=_NO_WORDS,
    revision=_NO_WORDS,
    kind=_NO_WORDS,
    name=_NO_WORDS,
    amount=_NO_LONGS,
)
NO_HOURS = SourceHours(
    source=_NO_WORDS, hour=_NO_LONGS, rows=_NO_LONGS, first_seq=_NO_LONGS, last_seq=_NO_LONGS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message that leaves once the commit is durable, with the same bytes however often."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What one commit adds; ``sources`` are absolute states, ``sums`` are this commit's part.

    ``hashes`` are those of the unnumbered rows. ``repeated`` events were there already.
    """

    rows: Rows = NO_ROWS
    sources: tuple[Source, ...] = ()
    hashes: Hashes = field(default_factory=lambda: NO_HASHES)
    sums: Sums = NO_SUMS
    hours: SourceHours = NO_HOURS
    outgoing: tuple[Outgoing, ...] = ()
    repeated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A commit is durable: the ``version``-th, its rows up to number ``row``, which carry ``at``.

    Without rows ``row`` is the one of the commit before.
    """

    version: int
    row: int
    at: datetime


class OutOfStepError(RuntimeError):
    """A chunk does not begin where the ledger ends: a bug, or two owners; nothing was written."""
