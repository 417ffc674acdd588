"""The most memory that all processes together were seen to hold, looked at once a second.

Resident sets are added, so pages that processes share count more than once: never too low.
"""

import os
import resource
from collections.abc import Sequence
from pathlib import Path

_EVERY_S = 1.0
_MIB = 1024 * 1024
_PAGE = resource.getpagesize()


class Memory:
    """The peak so far, in MiB."""

    def __init__(self) -> None:
        """Nothing has been looked at yet."""
        self.peak_mb = 0.0
        self._next = 0.0

    def look(self, pids: Sequence[int], now: float) -> None:
        """Add up these processes and this one, if a second has passed since the last look."""
        if now < self._next:
            return
        self._next = now + _EVERY_S
        held = sum(_resident(pid) for pid in (os.getpid(), *pids))
        self.peak_mb = max(self.peak_mb, held / _MIB)


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0  # it ended between the table and the look
