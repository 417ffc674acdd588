"""Raw rows that are old enough leave the ledger for its archive, hour by hour.

Only rows that the memory of unnumbered events holds by itself may go: it reads the others again
from the ledger when it starts.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from midstage.chassis.logs import logger

LOOK_S = 60.0
_logger = logger(__name__)


class Archive(Protocol):
    """Where old rows go."""

    def due(self, *, before: datetime, upto_row: int) -> Sequence[datetime]:
        """The hours that ended by then and have rows in the ledger."""
        ...

    def archive(self, hour: datetime, *, upto_row: int) -> int:
        """Move an hour's rows; how many there were."""
        ...


class Archiving:
    """A loop that archives what is older than ``kept``."""

    name = "archiving"

    def __init__(
        self,
        *,
        archive: Archive,
        now: Callable[[], datetime],
        kept: timedelta,
        upto_row: Callable[[], int],
    ) -> None:
        """``upto_row`` is the last row that may leave."""
        self._archive = archive
        self._now = now
        self._kept = kept
        self._upto_row = upto_row

    def run(self, stop: threading.Event) -> None:
        """Archive until ``stop`` is set."""
        while not stop.wait(LOOK_S):
            self.look(stop)

    def look(self, stop: threading.Event) -> None:
        """Archive each hour that is due."""
        upto = self._upto_row()
        for hour in self._archive.due(before=self._now() - self._kept, upto_row=upto):
            if stop.is_set():
                return
            self._archive.archive(hour, upto_row=upto)
            _logger.info("hour_archived", hour=hour.isoformat())
