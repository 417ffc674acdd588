"""One replica's view of one versioned log: folds it for ever, and appends to it by version."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from midstage.contracts.topics import Topic
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Log

S = TypeVar("S")
F = TypeVar("F")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[F]):
    """What became of a command."""

    key: str
    version: int
    command_id: str
    facts: tuple[F, ...]
    repeated: bool


class Versions(Generic[S, F]):
    """One replica's view of one versioned log; a chassis Loop."""

    def __init__(
        self,
        *,
        log: Log,
        topic: Topic,
        initial: S,
        evolve: Callable[[S, F], S],
        engine: str,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        reached: Failpoint = nothing,
    ) -> None:
        """Connects nothing yet."""
        self.name = f"versions:{topic.name}"

    def run(self, stop: threading.Event) -> None:
        """Fold all partitions until ``stop`` is set."""
        raise NotImplementedError

    def states(self) -> Mapping[str, S]:
        """The state of every key; the same object until something changes."""
        raise NotImplementedError

    def state(self, key: str) -> tuple[int, S]:
        """Version and state of one key; version 0 where nothing was appended yet."""
        raise NotImplementedError

    def execute(
        self, *, key: str, command_id: str, payload: bytes, decide: Callable[[S], Sequence[F]]
    ) -> Answer[F]:
        """Decide, append, read back; Refused or Unavailable errors as the log says."""
        raise NotImplementedError

    def answer(self, command_id: str) -> Answer[F] | None:
        """What became of a command, None where the log does not know it."""
        raise NotImplementedError

    def caught_up(self) -> str | None:
        """None when everything is folded and every key can be decided, else why not."""
        raise NotImplementedError
