"""What data knows of requests: rows, the identities it has kept, hours, parts: frozen values.

A numbered event is told apart by ``(source, number)``, another by ``(source, id)``. A row belongs
to the hour (UTC) in which its request ended; a part is what an hour had when it was closed.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NewType

from midstage.contracts.requests import RequestCompleted
from midstage.contracts.units import Micros

Fingerprint = NewType("Fingerprint", bytes)
"""16 bytes that stand for one ``(source, id)``; equal ones are taken for the same event."""

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
_ABOVE_ALL = 2**63


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers kept of one source: disjoint ascending spans, none touching another."""

    spans: tuple[tuple[int, int], ...] = ()

    def __contains__(self, number: int) -> bool:
        """Whether the number is there."""
        at = bisect_right(self.spans, (number, _ABOVE_ALL))
        return at > 0 and number <= self.spans[at - 1][1]

    def plus(self, number: int) -> "Numbers":
        """These and ``number``, which is not among them."""
        at = bisect_right(self.spans, (number, _ABOVE_ALL))
        before, after = self.spans[:at], self.spans[at:]
        first = last = number
        if before and before[-1][1] == number - 1:
            first, before = before[-1][0], before[:-1]
        if after and after[0][0] == number + 1:
            last, after = after[0][1], after[1:]
        return Numbers((*before, (first, last), *after))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One numbered source: its numbers that are kept, and the newest time among their rows."""

    name: str
    newest: datetime
    seen: Numbers = Numbers()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A request event and its place in the log; ``micros`` are its units in millionths."""

    source: str
    id: str
    seq: int | None
    time: datetime
    fact: RequestCompleted
    micros: Mapping[str, Micros]
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is kept of the sources and fingerprints that a chunk names."""

    sources: Mapping[str, Source]
    fingerprints: frozenset[Fingerprint]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one chunk adds; it becomes durable as a whole or not at all.

    ``sources`` are absolute states; ``fingerprints`` come with the time of their row. ``repeated``
    were there before, ``expired`` are older than what is kept.
    """

    rows: tuple[Arrived, ...] = ()
    sources: tuple[Source, ...] = ()
    fingerprints: Mapping[Fingerprint, datetime] = field(default_factory=dict)
    repeated: int = 0
    expired: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """An hour that has rows outside of parts: how many, and when the first and last came in."""

    hour: datetime
    rows: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time from ``begin`` up to but without ``end``."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """The first and the last offset of one partition whose records are contained."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One closed file of an hour: rows sorted by time, source, number and id; never changed.

    ``offsets`` by partition number of the topic of requests. What an hour has more than fits into
    one part is in further ones, and so is a late row. ``file`` is below the directory of records.
    """

    hour: datetime
    number: int
    file: str
    rows: int
    bytes: int
    sha256: str
    first: datetime
    last: datetime
    offsets: dict[int, Offsets]
    schema: int
    created: datetime


class Format(StrEnum):
    """What a download is written as."""

    JSONL = "jsonl"
    PARQUET = "parquet"


class State(StrEnum):
    """How far a download is."""

    WAITING = "waiting"
    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file of records that somebody asked for; once ready it never changes.

    ``filters`` are as given, by name. ``rows`` are those written so far, of ``rows_total``.
    ``offsets`` are the first and last record contained by partition of the topic of requests,
    ``read_until`` the offsets up to which everything was in when its snapshot was taken.
    ``reason`` says why it failed.
    """

    id: str
    format: Format
    filters: Mapping[str, str | int]
    created: datetime
    expires: datetime
    state: State = State.WAITING
    rows: int = 0
    rows_total: int | None = None
    bytes: int = 0
    sha256: str = ""
    offsets: Mapping[int, Offsets] = field(default_factory=dict)
    read_until: Mapping[int, int] = field(default_factory=dict)
    reason: str = ""


def hour_of(time: datetime) -> datetime:
    """The hour of UTC in which ``time`` lies."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
