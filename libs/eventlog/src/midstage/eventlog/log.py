"""The log behind one Protocol: records in, records out, nothing about their meaning.

Two implementations pass one conformance suite: ``kafka.KafkaLog`` and ``memory.MemoryLog``.
A partition keeps the order of its records; the partition of a key is murmur2's, as in Java.
What is made once per record is a ``msgspec.Struct``: a frozen dataclass takes longer to make.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import msgspec

from midstage.contracts.errors import UnavailableError

Headers = tuple[tuple[str, bytes], ...]


class Partition(msgspec.Struct, frozen=True, kw_only=True, gc=False, cache_hash=True):
    """One partition of one topic."""

    topic: str
    number: int


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is to be written; ``partition`` None lets the key decide (murmur2; no key: any).

    ``value`` None is compaction's mark: nothing stands under the key any more.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is read: the bytes, where they stand, and the broker's time in ms since the epoch."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Records of one partition, in order, as far as nearly all readers look: at their values.

    ``whole`` makes the record of a value's number, which takes longer than to read many a value.
    """

    partition: Partition
    values: Sequence[bytes | None]
    whole: Callable[[int], Record]


class Delivered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The broker has it, on all in-sync replicas, at this place."""

    partition: Partition
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """The log can't say that it has it; ``known`` False means that it may stand there."""

    reason: str
    known: bool = False


Delivery = Delivered | Undelivered


class GapError(UnavailableError):
    """A reader stands at an offset that the log does not hold; it never skips silently."""

    def __init__(self, partition: Partition, offset: int) -> None:
        """Name the place, so that whoever decides to skip knows what is lost."""
        super().__init__(
            f"{partition.topic}[{partition.number}] does not hold offset {offset}: records are "
            f"gone (or the topic was made anew); decide what was lost, then move the position"
        )
        self.partition = partition
        self.offset = offset


class Writer(Protocol):
    """Writes in order per partition, each message once while the process lives (idempotent)."""

    def send(self, message: Message, done: Callable[[Delivery], None] | None = None) -> None:
        """Hand over one message; blocks while the queue is full; ``done`` runs on another thread.

        Raises RefusedError for a message above the topic's limit.
        """
        ...

    def flush(self, timeout_s: float) -> int:
        """Wait until everything handed over is delivered or ``timeout_s`` is over; what is left."""
        ...

    def close(self) -> None:
        """Flush and let go of the connection."""
        ...


class Reader(Protocol):
    """Reads the partitions that were assigned to it, from the offsets that its maker named."""

    def poll(self, *, most: int, timeout_s: float) -> Sequence[Record]:
        """Wait up to ``timeout_s`` for a first record, then take what is there, ``most`` at most.

        Raises UnavailableError when the broker can't be asked; the reader stays usable.
        """
        ...

    def runs(self, *, most: int, timeout_s: float) -> Sequence[Run]:
        """As ``poll``, of the same positions, without a record for each value."""
        ...

    def positions(self) -> Mapping[Partition, int]:
        """The offset that will be read next, of each assigned partition."""
        ...

    def lag(self) -> Mapping[Partition, int]:
        """Records between the position and the end of each partition, as last heard."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


BEGINNING = -2
"""As a start: the oldest record that is still held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSettings:
    """How a topic stands on the broker; ``retention_ms`` -1 means for ever."""

    name: str
    partitions: int
    retention_ms: int
    message_bytes: int
    compacted: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)


class Log(Protocol):
    """The log as its users see it."""

    def writer(self) -> Writer:
        """A new writer with a connection of its own."""
        ...

    def reader(self, starts: Mapping[Partition, int]) -> Reader:
        """A reader of these partitions from these offsets (``BEGINNING`` is allowed).

        An offset that the log does not hold raises GapError from every ``poll``: the reader never
        skips silently. UnavailableError when the broker can't be asked now.
        """
        ...

    def partitions(self, topic: str) -> Sequence[Partition]:
        """The partitions of a topic; UnavailableError when it does not exist yet."""
        ...

    def ends(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """The offset after the last record of each partition."""
        ...

    def beginnings(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """The offset of the oldest record still held of each partition (the end where empty)."""
        ...

    def offsets_at(self, partitions: Iterable[Partition], at: datetime) -> Mapping[Partition, int]:
        """The offset of each partition's first record written at ``at`` or later; else its end.

        By the broker's time, whole milliseconds; what is held no more is not found.
        """
        ...

    def create(self, topics: Iterable[TopicSettings]) -> None:
        """Create what is missing; what exists is left as it is, except a wrong partition count.

        Raises RefusedError naming the topic whose number of partitions differs.
        """
        ...
