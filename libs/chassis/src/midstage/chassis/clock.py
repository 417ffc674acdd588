"""Where time comes from: an argument to everything that needs it, read only by the shell.

``now`` is for facts (UTC, aware); ``monotonic`` is for waiting and never goes back.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time; tests give one that stands still."""

    def now(self) -> datetime:
        """The time of day, UTC and aware."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; only differences mean something."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The time of day, UTC and aware."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment; only differences mean something."""
        return time.monotonic()
