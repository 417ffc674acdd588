"""How long to wait before trying again: longer each time, with jitter, never for ever."""

import random
import threading


class Backoff:
    """Waits of at most ``first_s``, then twice that, up to ``most_s``; each at random up to it."""

    def __init__(self, *, first_s: float = 0.05, most_s: float = 2.0) -> None:
        """Start with the shortest wait."""
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def wait(self, stop: threading.Event) -> bool:
        """Wait once; True when ``stop`` was set meanwhile."""
        wait_s = random.uniform(0.0, self._next_s)  # so that replicas don't come back at once
        self._next_s = min(self._next_s * 2, self._most_s)
        return stop.wait(wait_s)

    def reset(self) -> None:
        """It worked: start again with the shortest wait."""
        self._next_s = self._first_s
