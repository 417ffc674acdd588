"""Two loops beside the reading: hours become parts and parts go; downloads are made.

Nothing here is in the reader's way: each works on what is committed, on a connection of its own.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from midstage.chassis.logs import logger
from midstage.data.decide import closing, removed
from midstage.data.model import Part, Staged

_log = logger(__name__)


class Shelf(Protocol):
    """Where hours are closed and parts removed."""

    def staged(self) -> Sequence[Staged]:
        """The hours that have rows outside of parts."""
        ...

    def present(self) -> Sequence[Part]:
        """Every part that is there."""
        ...

    def close_hour(self, hour: datetime) -> Sequence[Part]:
        """Move the hour's rows into further parts."""
        ...

    def remove(self, parts: Sequence[Part]) -> None:
        """Let parts go for ever."""
        ...


class Desk(Protocol):
    """Where downloads are made."""

    def expire(self, now: datetime) -> None:
        """Remove what is past its time."""
        ...

    def make_next(self, stopped: Callable[[], bool]) -> bool:
        """Make the next one; False where none waits."""
        ...


class Closing:
    """A loop that closes hours and removes parts; ``closed`` hears of each new part."""

    name = "closing"

    def __init__(
        self,
        *,
        shelf: Shelf,
        now: Callable[[], datetime],
        grace: timedelta,
        retention: timedelta,
        most_bytes: int,
        closed: Callable[[Part], None],
        each_s: float = 5.0,
    ) -> None:
        """Look at the shelf every ``each_s`` seconds."""
        self._shelf = shelf
        self._now = now
        self._grace = grace
        self._retention = retention
        self._most_bytes = most_bytes
        self._closed = closed
        self._each_s = each_s

    def run(self, stop: threading.Event) -> None:
        """Close and remove what is due until ``stop`` is set."""
        while not stop.wait(self._each_s):
            self.turn(stop.is_set)

    def turn(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Close and remove what is due now."""
        for hour in closing(self._shelf.staged(), now=self._now(), grace=self._grace):
            if stopped():
                return
            for part in self._shelf.close_hour(hour):
                _log.info("part_closed", file=part.file, rows=part.rows, bytes=part.bytes)
                self._closed(part)
        gone = removed(
            self._shelf.present(),
            now=self._now(),
            retention=self._retention,
            most_bytes=self._most_bytes,
        )
        if gone:
            self._shelf.remove(gone)
            _log.info("parts_removed", files=[part.file for part in gone])


class Making:
    """A loop that makes downloads one after another, and removes what has expired."""

    name = "downloads"

    def __init__(self, *, desk: Desk, now: Callable[[], datetime], each_s: float = 0.25) -> None:
        """Look at the desk every ``each_s`` seconds."""
        self._desk = desk
        self._now = now
        self._each_s = each_s

    def run(self, stop: threading.Event) -> None:
        """Make and remove what is due until ``stop`` is set."""
        while not stop.wait(self._each_s):
            self.turn(stop.is_set)

    def turn(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Make what waits, remove what has expired."""
        self._desk.expire(self._now())
        while self._desk.make_next(stopped):
            pass
