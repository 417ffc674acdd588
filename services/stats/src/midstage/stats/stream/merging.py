"""Each minute the sums of hours that are over are merged; counting goes on meanwhile."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from midstage.chassis.logs import logger

EVERY_S = 60.0
PAGES_KEPT = timedelta(minutes=15)
"""For so long at least an answer's later pages are as cheap as its first one."""
SETTLED_AFTER = timedelta(minutes=10) + PAGES_KEPT
"""Late sums are merged too, but most have come by then, and are old enough."""
_log = logger(__name__)


class Merges(Protocol):
    """Merges partial sums."""

    def __call__(self, *, before: datetime) -> int:
        """Merge what lies before the hour of ``before``; how many sums fewer there are."""
        ...


class Tidying:
    """A loop that merges."""

    name = "tidying"

    def __init__(self, merge: Merges, *, now: Callable[[], datetime]) -> None:
        """Merge by the clock ``now``."""
        self._merge = merge
        self._now = now

    def run(self, stop: threading.Event) -> None:
        """Merge until ``stop`` is set."""
        while not stop.wait(EVERY_S):
            fewer = self._merge(before=self._now() - SETTLED_AFTER)
            if fewer:
                _log.info("sums_merged", fewer=fewer)
