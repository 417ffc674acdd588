"""The consumer loop: read, decode, dead-letter, effect, move positions, in this order."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Log, Partition, Record

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk(Generic[T]):
    """Decoded records in order of each partition; ``ends`` are the next positions."""

    items: Sequence[tuple[Record, T]]
    begins: Mapping[Partition, int]
    ends: Mapping[Partition, int]


class Positions(Protocol):
    """Where the reader stands: the group's offsets, or the effect's own transaction."""

    def starts(self) -> Mapping[Partition, int]:
        """The offset to read first of each partition; UnavailableError when it can't be asked."""
        ...

    def moved(self, ends: Mapping[Partition, int]) -> None:
        """The effect of everything before ``ends`` is done."""
        ...


class DeadLetters(Protocol):
    """Where records go that can't be read."""

    def put(self, record: Record, reason: str) -> None:
        """Hand over a record with the reason."""
        ...

    def flush(self) -> None:
        """Return when all that was put is durable; UnavailableError when it isn't in time."""
        ...


class Consumer(Generic[T]):
    """Reads, has the effect and moves positions, for ever."""

    def __init__(
        self,
        *,
        name: str,
        log: Log,
        read: Callable[[Record], T],
        effect: Callable[[Chunk[T]], None],
        positions: Positions,
        dead_letters: DeadLetters,
        clock_monotonic: Callable[[], float],
        most: int = 10_000,
        linger_s: float = 0.0,
        reached: Failpoint = nothing,
    ) -> None:
        """Connects nothing yet."""
        self.name = name

    def run(self, stop: threading.Event) -> None:
        """Consume until ``stop`` is set."""
        raise NotImplementedError

    def progress(self) -> str | None:
        """None while it makes progress, else why not."""
        raise NotImplementedError
