"""Writes the past of applications with a forecast: once in each slot, what the log lacks of it.

A slot is worked out when its late facts have come, by whoever evaluates the application, and from
the seconds that a start folds again; so whoever takes over leaves no hole. Each application has its
turn at another time, or all would come at once.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Final
from zlib import crc32

from midstage.chassis.logs import logger
from midstage.contracts.errors import RefusedError
from midstage.contracts.fact import Event
from midstage.contracts.peaks import PEAKS_OBSERVED, SLOT_S, PeaksObserved, key_of
from midstage.contracts.policy import Measure, Policy
from midstage.eventlog.codec import message
from midstage.eventlog.log import Delivery, Log, Undelivered, Writer
from midstage.hpa.decide.forecast.floor import measure_of
from midstage.hpa.metrics import Metrics
from midstage.hpa.views.peaks import peak
from midstage.hpa.views.world import World

SETTLES_S: Final = 120
_SPREAD_S: Final = 150
_FLUSH_S: Final = 2.0
_FORGOTTEN: Final = 12
_SWEEP_EACH: Final = 10_000
_log = logger(__name__)


class Remembering:
    """Belongs to the thread of the loop."""

    def __init__(
        self, *, log: Log, topic: str, instance: str, now: Callable[[], datetime], metrics: Metrics
    ) -> None:
        """``topic`` takes the peaks; ``instance`` names this process in their ids."""
        self._log = log
        self._topic = topic
        self._source = f"hpa/{instance}/peaks"
        self._now = now
        self._metrics = metrics
        self._numbers = count(1)
        self._looked: dict[str, tuple[Measure, int]] = {}
        self._until_sweep = _SWEEP_EACH
        self._writer: Writer | None = None

    def look(self, app: str, policy: Policy, world: World) -> None:
        """Write what the log lacks, where the application has its turn."""
        measure = measure_of(policy)
        if measure is None:
            self._looked.pop(app, None)
            return
        slot = newest(app, self._now())
        if self._looked.get(app) == (measure, slot):
            return
        self._looked[app] = measure, slot
        self._sweep(slot)
        of = [slot] if world.pasts.knows(app, measure, slot - 1) else [slot - 1, slot]
        found = {each: peak(world.carried, app, measure, each) for each in of}
        peaks = {each: value for each, value in found.items() if value is not None}
        for fact in world.pasts.lacking(app, measure, peaks):
            self._write(fact)

    def close(self) -> None:
        """Wait shortly for what is being written, and let go of the connection."""
        if self._writer is not None:
            self._writer.flush(_FLUSH_S)
            self._writer.close()

    def _sweep(self, slot: int) -> None:
        """Now and then forget the applications that nobody evaluates any more."""
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = _SWEEP_EACH
        old = [app for app, held in self._looked.items() if held[1] < slot - _FORGOTTEN]
        for app in old:
            del self._looked[app]

    def _write(self, fact: PeaksObserved) -> None:
        at = self._now().astimezone(UTC)
        event = Event(
            id=f"{self._source}/{next(self._numbers)}",
            source=self._source,
            type=PEAKS_OBSERVED,
            time=at,
            subject=fact.app,
            data=fact,
        )
        key = key_of(fact.app, fact.measure, fact.day)
        if self._writer is None:
            self._writer = self._log.writer()
        try:
            self._writer.send(message(event, topic=self._topic, key=key), self._delivered)
        except RefusedError as e:
            _log.error("peaks_not_written", app=fact.app, reason=str(e))
        self._metrics.peaks.inc()
        self._writer.flush(0.0)  # raises what broke the client for good

    def _delivered(self, delivery: Delivery) -> None:
        if isinstance(delivery, Undelivered):
            _log.error("peaks_not_written", reason=delivery.reason)


def newest(app: str, now: datetime) -> int:
    """The newest slot whose turn has come: some minutes after its end."""
    after_s = SETTLES_S + crc32(app.encode()) % _SPREAD_S
    return (int(now.timestamp()) - after_s) // SLOT_S - 1
