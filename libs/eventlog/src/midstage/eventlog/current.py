"""Keeps a view current: a compacted topic to its end, then its stream, for ever.

The stream is read from a little before the ends that it had before the compacted topic was read, so
nothing is missed; what stands in both is folded twice, which must change nothing. What can't be
read is named in the logs and skipped. One thread runs the loop; all others look at the view while
they hold ``changed``, which is notified whenever something was folded.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Generic, Protocol, TypeVar

from midstage.contracts.errors import UnavailableError, UnreadableError
from midstage.contracts.topics import Topic
from midstage.eventlog.backoff import Backoff
from midstage.eventlog.log import BEGINNING, GapError, Log, Partition, Reader, Record, Run
from midstage.eventlog.progress import Progress

OVERLAP = 1000
"""Records of each partition of a stream that its writer may not have in the compacted topic yet."""
_MOST = 2000  # records folded while others wait for the view
_POLL_S = 0.2
_logger = logging.getLogger(__name__)

E = TypeVar("E")


class Batch(Protocol):
    """Records of one partition that are told by their values alone, in order, and folded at once.

    No record is made of them, so nothing can be asked of their places, keys and headers.
    """

    def add(self, value: bytes) -> bool:
        """Read the next one; False where the whole record is to be read."""
        ...

    def apply(self) -> None:
        """Fold them, holding ``changed``."""
        ...


class Since(StrEnum):
    """Where the stream begins."""

    END = "end"  # only what is written from now on, after the compacted topic where there is one
    OLDEST = "oldest"  # all that is still held


class Current(Generic[E]):
    """A chassis Loop that calls ``apply`` with what each record says, holding ``changed``."""

    def __init__(
        self,
        *,
        name: str,
        log: Log,
        stream: Topic,
        read: Callable[[Record], Sequence[E]],
        apply: Callable[[E, Record], object],
        batches: Callable[[Partition], Batch] | None = None,
        compacted: Topic | None = None,
        since: Since = Since.END,
        overlap: int = OVERLAP,
        on_change: Callable[[], None] | None = None,
        changed: threading.Condition | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect nothing yet; ``on_change`` is called after each batch, without the lock.

        ``read`` gives what a record says, in order (``codec.Decoders`` its event), nothing where
        nothing is to be folded, or raises UnreadableError. ``batches`` begin a batch
        of a partition, which is offered each record first.
        Several loops may share one ``changed`` where they fold into one view. A writer that writes
        to the compacted topic after the stream may be between the two just now: so that nothing is
        missed, where there is a compacted topic ``overlap`` records of each partition before the
        stream's end are folded once more; ``replays`` tells them from those that came since.
        """
        self.name = name
        self.changed = changed or threading.Condition()
        self._log = log
        self._stream = stream
        self._compacted = compacted
        self._since = since
        self._overlap = overlap
        self._apply = apply
        self._batches = batches
        self._on_change = on_change
        self._said = read
        self._progress = Progress(monotonic)
        self._positions: Mapping[Partition, int] = {}
        self._goal: Mapping[Partition, int] | None = None

    def run(self, stop: threading.Event) -> None:
        """Follow until ``stop`` is set; raises what is neither unreadable nor unavailable."""
        backoff = Backoff()
        reader: Reader | None = None
        try:
            while not stop.is_set():
                try:
                    reader = reader or self._opened(stop)
                    if reader is not None:
                        self._turn(reader)
                    backoff.reset()
                except GapError as e:
                    _logger.warning("view_begun_anew", extra={"view": self.name, "reason": str(e)})
                    _close(reader)
                    reader = None
                    self._back_off(str(e), backoff, stop)
                except UnavailableError as e:
                    self._back_off(str(e), backoff, stop)
        finally:
            self._progress.ended()
            _close(reader)

    def caught_up(self) -> str | None:
        """None when all that stood in the log at the start is folded and it goes on; else why."""
        reason = self._progress.reason()
        with self.changed:
            if reason is None and (self._goal is None or not _reached(self._positions, self._goal)):
                return f"{self._stream.name} is still being folded"
        return reason

    def positions(self) -> Mapping[Partition, int]:
        """The offset to be folded next of each partition of the stream; empty before the first."""
        with self.changed:
            return dict(self._positions)

    def replays(self, record: Record) -> bool:
        """Whether the record stood in the stream before it was read; to be asked in ``apply``."""
        return self._goal is None or record.offset < self._goal.get(record.partition, 0)

    def wait_for_all(self, within_s: float) -> None:
        """Wait until everything that stands in the stream now is folded; else UnavailableError."""
        goal = self._log.ends(self._log.partitions(self._stream.name))
        with self.changed:
            if not self.changed.wait_for(lambda: _reached(self._positions, goal), within_s):
                raise UnavailableError(f"{self._stream.name} was not folded in time; try again")

    def _opened(self, stop: threading.Event) -> Reader | None:
        """The stream's reader, after the compacted topic was folded; None when told to stop."""
        places = self._log.partitions(self._stream.name)
        ends = self._log.ends(places)
        if self._compacted is not None and not self._folded_whole(self._compacted, stop):
            return None
        reader = self._log.reader(self._starts(ends))
        with self.changed:
            self._positions, self._goal = reader.positions(), ends
            self.changed.notify_all()
        self._progress.came_round(lag=0)
        return reader

    def _starts(self, ends: Mapping[Partition, int]) -> Mapping[Partition, int]:
        if self._since is Since.OLDEST:
            return dict.fromkeys(ends, BEGINNING)
        if self._compacted is None or not self._overlap:
            return ends
        held = self._log.beginnings(ends)
        return {place: max(held[place], end - self._overlap) for place, end in ends.items()}

    def _folded_whole(self, topic: Topic, stop: threading.Event) -> bool:
        places = self._log.partitions(topic.name)
        ends = self._log.ends(places)
        reader = self._log.reader(dict.fromkeys(places, BEGINNING))
        try:
            while not _reached(reader.positions(), ends):
                if stop.is_set():
                    return False
                has_records, fold = self._polled(reader)
                self._changes(fold, has_records=has_records)
        finally:
            reader.close()
        return True

    def _turn(self, reader: Reader) -> None:
        has_records, fold = self._polled(reader)
        if has_records:
            self._progress.has_records()
        self._changes(fold, reader, has_records=has_records)
        if has_records:
            self._progress.moved()
        else:
            self._progress.came_round(lag=sum(reader.lag().values()))

    def _polled(self, reader: Reader) -> tuple[bool, Callable[[], None]]:
        """Whether there was anything, and what is to be done with it."""
        if self._batches is not None:
            runs = reader.runs(most=_MOST, timeout_s=_POLL_S)
            steps = [step for run in runs for step in self._steps(run, self._batches)]
            return bool(runs), partial(_all, steps)
        records = reader.poll(most=_MOST, timeout_s=_POLL_S)
        read = [(said, record) for record in records for said in self._read(record)]
        return bool(records), partial(self._apply_each, read)

    def _changes(
        self, fold: Callable[[], None], stream: Reader | None = None, *, has_records: bool
    ) -> None:
        """An empty batch may have moved past marks that are no records."""
        with self.changed:
            fold()
            if stream is not None:
                self._positions = stream.positions()
            self.changed.notify_all()
        if has_records and self._on_change is not None:
            self._on_change()

    def _steps(
        self, run: Run, batches: Callable[[Partition], Batch]
    ) -> Iterator[Callable[[], object]]:
        """In order: batches, and between them the records that none took."""
        batch = batches(run.partition)
        add = batch.add
        for number, value in enumerate(run.values):
            if value is not None and add(value):
                continue
            yield batch.apply
            record = run.whole(number)
            yield partial(self._apply_each, [(said, record) for said in self._read(record)])
            batch = batches(run.partition)
            add = batch.add
        yield batch.apply

    def _apply_each(self, read: Sequence[tuple[E, Record]]) -> None:
        for said, record in read:
            self._apply(said, record)

    def _read(self, record: Record) -> Sequence[E]:
        try:
            return self._said(record)
        except UnreadableError as e:
            place = record.partition
            at = {"topic": place.topic, "partition": place.number, "offset": record.offset}
            _logger.warning("record_not_folded", extra={**at, "reason": str(e)})
            return ()

    def _back_off(self, reason: str, backoff: Backoff, stop: threading.Event) -> None:
        self._progress.backs_off(reason)
        backoff.wait(stop)


def _all(steps: Sequence[Callable[[], object]]) -> None:
    for step in steps:
        step()


def _reached(positions: Mapping[Partition, int], goal: Mapping[Partition, int]) -> bool:
    return all(positions.get(place, -1) >= end for place, end in goal.items())


def _close(reader: Reader | None) -> None:
    if reader is not None:
        reader.close()
