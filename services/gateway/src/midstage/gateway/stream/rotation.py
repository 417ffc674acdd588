"""A new log file where the newest one is large: so files that are done can go."""

from collections.abc import Sequence
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

    def turn(self, sources: Sequence[Source]) -> None:
        """Look once a second; ``sources`` are by age."""
        now = self._clock.monotonic()
        if sources and now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._look(sources[-1])

    def _look(self, newest: Source) -> None:
        if not self._files.wanted():
            if self._files.size(newest.file.stem) < self._most_bytes:
                return
            self._files.rotate(self._clock.now())
            _log.info("log_rotated", after=newest.name)
        try:
            self._envoy.reopen_logs()
        except UnavailableError as e:
            _log.warning("log_not_reopened", reason=str(e))
