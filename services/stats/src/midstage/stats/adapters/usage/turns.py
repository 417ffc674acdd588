"""A few questions to a ledger at once: they share its memory, and a burst would fail together.

A turn lasts while this ledger is read, never while another shard is asked: so shards that ask each
other don't wait for each other. Who waits too long, or would be one too many to wait, is told to
come again.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from midstage.contracts.errors import UnavailableError

AT_ONCE = 2
"""As many as DuckDB has threads here: more at once would answer none of them sooner."""
MOST_WAITING = 16
"""Each keeps a thread of the server, which has 40 for all that is asked."""
WITHIN_S = 5.0


class Turns:
    """The turns of one ledger; any thread may ask for one."""

    def __init__(
        self, at_once: int = AT_ONCE, *, waiting: int = MOST_WAITING, within_s: float = WITHIN_S
    ) -> None:
        """So many at once, and so many that wait for so long."""
        self._free = threading.Semaphore(at_once)
        self._most = at_once + waiting
        self._within_s = within_s
        self._counting = threading.Lock()
        self._here = 0

    @property
    def here(self) -> int:
        """How many have a turn or wait for one."""
        return self._here

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold one; UnavailableError where there is none in time, or too many wait already."""
        with self._counting:
            if self._here >= self._most:
                raise _busy()
            self._here += 1
        try:
            if not self._free.acquire(timeout=self._within_s):
                raise _busy()
            try:
                yield
            finally:
                self._free.release()
        finally:
            with self._counting:
                self._here -= 1


def _busy() -> UnavailableError:
    return UnavailableError(
        "too much is asked about usage at once (MIDSTAGE_STATS_QUESTIONS_AT_ONCE); ask again in a "
        "moment"
    )
