"""A new log file where the newest one is large: so files that are done can go.

And where somebody removed the newest one: Envoy would go on writing into a file without a name,
or make it again, and a second line 1 of the same source is a request that counts for nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from midstage.chassis.clock import Clock
from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError
from midstage.gateway.stream.neighbours import Envoy, Sizes
from midstage.gateway.stream.source import Source

LOOK_EVERY_S = 1.0

_log = logger(__name__)


class Names(Sizes, Protocol):
    """The request log's directory, as whoever begins a new file uses it."""

    def wanted(self) -> bool:
        """Whether a new file is named that Envoy has not made yet."""
        ...

    def named(self) -> str:
        """The stem of the file that Envoy makes when it opens its log; empty where none is."""
        ...

    def rotate(self, at: datetime) -> None:
        """Name a new file."""
        ...


class Rotation:
    """Names a new file, and tells Envoy until it has made it; used by the shipper's thread."""

    def __init__(self, *, files: Names, envoy: Envoy, clock: Clock, most_bytes: int) -> None:
        """Rotate a file of at least ``most_bytes``."""
        self._files = files
        self._envoy = envoy
        self._clock = clock
        self._most_bytes = most_bytes
        self._looked_at = float("-inf")
        self._used: set[str] = set()

    def used(self, stems: Iterable[str]) -> None:
        """Files that have been there; their names can't be used again."""
        self._used.update(stems)

    def turn(self, sources: Sequence[Source]) -> None:
        """Look once a second; ``sources`` are by age."""
        now = self._clock.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._look(sources)

    def _look(self, sources: Sequence[Source]) -> None:
        if self._files.wanted():
            if self._files.named() in self._used:
                _log.error("log_file_removed", file=self._files.named())
                self._files.rotate(self._clock.now())
        elif sources and self._files.size(sources[-1].file.stem) >= self._most_bytes:
            self._files.rotate(self._clock.now())
            _log.info("log_rotated", after=sources[-1].name)
        else:
            return
        try:
            self._envoy.reopen_logs()
        except UnavailableError as e:
            _log.warning("log_not_reopened", reason=str(e))
