"""The shipper: reads Envoy's request log, sends each line once at least, remembers how far.

One thread, one file at a time, the oldest first. A position moves on disk only after Kafka's
acknowledgement, a file goes only when it is closed, acknowledged, and Kafka knows that it ended.
Whatever is sent again after a crash has the same numbers and bytes, so it counts once.
"""

import threading
from collections.abc import Mapping, Sequence

from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError, UnreadableError
from midstage.eventlog.backoff import Backoff
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import TopicSettings, Undelivered, Writer
from midstage.eventlog.progress import Progress
from midstage.gateway.decide import facts
from midstage.gateway.model.shipping import LogFile, Position
from midstage.gateway.stream.beats import Beats
from midstage.gateway.stream.neighbours import Neighbours
from midstage.gateway.stream.outbox import Outbox
from midstage.gateway.stream.rotation import Rotation
from midstage.gateway.stream.source import Sent, Source
from midstage.gateway.views.sources import ShippedSource

POLL_S = 0.02
MOVE_EVERY_S = 0.1
MOST_UNSETTLED = 8_000
"""Lines on their way to Kafka; far below what the writer's queue takes, so sending never blocks."""
_LAST_CHANCE_S = 1.0

_log = logger(__name__)


class Shipper:
    """A chassis Loop; ``shipped`` and ``progress`` may be asked by other threads."""

    name = "shipper"

    def __init__(
        self,
        *,
        edge: str,
        outbox: Outbox,
        beats: Beats,
        rotation: Rotation,
        topics: Sequence[TopicSettings],
        around: Neighbours,
        reached: Failpoint = nothing,
    ) -> None:
        """Touch nothing before ``run``; ``topics`` are created there where they are missing."""
        self._edge = edge
        self._outbox = outbox
        self._beats = beats
        self._rotation = rotation
        self._topics = topics
        self._around = around
        self._reached = reached
        self._progress = Progress(around.clock.monotonic)
        self._sources: dict[str, Source] = {}
        self._kept: Mapping[str, Position] = {}
        self._moved_at = 0.0
        self.shipped: Sequence[ShippedSource] = ()

    def progress(self) -> str | None:
        """None while the shipper makes progress, else why not."""
        return self._progress.reason()

    def run(self, stop: threading.Event) -> None:
        """Ship until ``stop`` is set; raises when another shipper has taken over."""
        backoff = Backoff()
        writer: Writer | None = None
        try:
            self._kept = self._around.positions.take()
            self._rotation.used(self._kept)
            while not stop.is_set():
                try:
                    writer = writer or self._opened()
                    busy = self._turn(writer)
                    backoff.reset()
                except UnavailableError as e:
                    self._progress.backs_off(str(e))
                    backoff.wait(stop)
                else:
                    _ = busy or stop.wait(POLL_S)
            if writer is not None:
                self._last_chance(writer)
        finally:
            self._progress.ended()
            if writer is not None:
                writer.close()

    def _opened(self) -> Writer:
        self._around.log.create(self._topics)
        return self._around.log.writer()

    def _turn(self, writer: Writer) -> bool:
        """One round; whether there is more to do at once."""
        self._arrive(self._around.files.opened())
        ordered = list(self._sources.values())
        busy = bool(ordered) and self._ship(ordered[0], writer)
        self._move()
        left = list(self._sources.values())
        self._beats.turn(left, writer)
        self._rotation.turn(left)
        self._tell()
        return busy

    def _arrive(self, opened: Sequence[LogFile]) -> None:
        """Know every file that is there, by age; forget those that somebody removed."""
        arrived: dict[str, Source] = {}
        for file in opened:
            source = self._sources.get(file.stem)
            if source is None:
                position = self._kept.get(file.stem, Position())
                source = Source(file, edge=self._edge, position=position)
                _log.info("source_begun", source=source.name, number=position.number)
            source.file = file
            arrived[file.stem] = source
        for stem in self._sources.keys() - arrived.keys():
            _log.error("file_gone", file=stem, shipped=self._sources[stem].position.number)
        self._sources = arrived
        self._rotation.used(arrived)

    def _ship(self, source: Source, writer: Writer) -> bool:
        self._settle(source)
        if source.unsettled > MOST_UNSETTLED:
            return False
        lines = source.next_lines(self._around.files)
        for line in lines:
            sent = source.sending(line)
            try:
                message = self._outbox.line(line, source=source.name)
            except UnreadableError as e:
                _log.error("line_unreadable", source=source.name, number=line.number, reason=str(e))
                message = self._outbox.dead(line, source=source.name, reason=e)
                self._around.metrics.unreadable.inc()
            writer.send(message, sent.done)
        if lines:
            self._around.metrics.sent.inc(len(lines))
            self._reached("ship:sent")
        elif source.file.closed and not source.unsettled:
            self._close(source, writer)
        return bool(lines)

    def _settle(self, source: Source) -> None:
        before = source.position.number
        failed = source.settle()
        self._around.metrics.acknowledged.inc(source.position.number - before)
        if failed is not None:
            self._undelivered(source, failed)

    def _undelivered(self, source: Source, failed: Undelivered) -> None:
        self._around.metrics.undelivered.inc()
        raise UnavailableError(
            f"{source.name} is sent again from {source.position.number + 1}: {failed.reason}"
        )

    def _close(self, source: Source, writer: Writer) -> None:
        """All lines of a closed file are acknowledged: say so, and when that is, delete it."""
        if source.position.closed:
            self._delete(source)
        elif source.closing is None:
            torn = self._torn(source)
            source.closing = Sent(source.position)
            event = facts.closed(
                edge=self._edge,
                source=source.name,
                at=self._around.clock.now(),
                position=source.position,
                torn=torn,
            )
            writer.send(self._outbox.about(event), source.closing.done)
        elif (delivery := source.closing.delivery) is not None:
            if isinstance(delivery, Undelivered):
                source.rewind()
                self._undelivered(source, delivery)
            source.close()
            self._keep()
            self._delete(source)

    def _torn(self, source: Source) -> int:
        rest = self._around.files.size(source.file.stem) - source.position.offset
        if rest <= 0:
            return 0
        _log.error("line_torn", source=source.name, after=source.position.number, bytes=rest)
        self._around.metrics.torn.inc()
        return 1

    def _delete(self, source: Source) -> None:
        self._around.files.delete(source.file.stem)
        del self._sources[source.file.stem]
        _log.info("source_done", source=source.name, number=source.position.number)

    def _move(self) -> None:
        now = self._around.clock.monotonic()
        if now - self._moved_at >= MOVE_EVERY_S:
            self._moved_at = now
            self._keep()

    def _keep(self) -> None:
        """Put the positions on disk where they have changed."""
        positions = {stem: source.position for stem, source in self._sources.items()}
        if positions != self._kept:
            self._reached("ship:acknowledged")
            self._around.positions.moved(positions)
            self._kept = positions
            self._progress.moved()

    def _tell(self) -> None:
        """Let other threads see how far this is."""
        files = self._around.files
        self.shipped = tuple(
            ShippedSource(
                source=source.name,
                file=source.file,
                position=source.position,
                size=files.size(stem),
                complete_until=source.completeness.until,
            )
            for stem, source in self._sources.items()
        )
        behind = sum(one.bytes_behind for one in self.shipped)
        self._around.metrics.bytes_behind.set(behind)
        self._around.metrics.files.set(len(self.shipped))
        if any(source.unsettled for source in self._sources.values()):
            self._progress.has_records()
        else:
            self._progress.came_round(lag=0)

    def _last_chance(self, writer: Writer) -> None:
        """Stopping: what Kafka still acknowledges need not be sent again."""
        writer.flush(_LAST_CHANCE_S)
        for source in self._sources.values():
            source.settle()
        self._keep()
