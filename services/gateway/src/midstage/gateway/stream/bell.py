"""Wakes a loop when there is something to do, from any thread; several rings are one."""

import threading
import time

_SLICE_S = 0.2
"""A loop that is told to stop notices within this time."""


class Bell:
    """Rung by whoever has changed something, heard by one loop."""

    def __init__(self) -> None:
        """Not rung yet."""
        self._rung = threading.Event()

    def ring(self) -> None:
        """Wake the loop, or have its next wait end at once."""
        self._rung.set()

    def wait(self, within_s: float, stop: threading.Event) -> None:
        """Until it is rung, ``stop`` is set, or the time is over."""
        deadline = time.monotonic() + within_s
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
            if self._rung.wait(min(left, _SLICE_S)):
                break
        self._rung.clear()
