"""The most memory that all processes together were seen to hold, looked at once a second.

All are this process's descendants, the local cluster's pods too. Resident sets are added, so pages
that processes share count more than once: never too low.
"""

import psutil

_EVERY_S = 1.0
_MIB = 1024 * 1024


class Memory:
    """The peak so far, in MiB."""

    def __init__(self) -> None:
        """Nothing has been looked at yet."""
        self.peak_mb = 0.0
        self._next = 0.0
        self._self = psutil.Process()

    def look(self, now: float) -> None:
        """Add up this process and its descendants, if a second has passed since the last look."""
        if now < self._next:
            return
        self._next = now + _EVERY_S
        held = sum(map(_resident, [self._self, *self._self.children(recursive=True)]))
        self.peak_mb = max(self.peak_mb, held / _MIB)


def _resident(process: psutil.Process) -> int:
    try:
        held: int = process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0  # it ended between the list and the look
    return held
