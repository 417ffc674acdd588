"""Follows one versioned log with its fold, from a snapshot or the beginning, for ever.

One thread runs the loop; all others look at the fold while they hold ``changed``, which is
notified whenever something was folded. A record that is none of a versioned log is named in the
logs and changes nothing; it stays where it is, in a log that is kept.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.backoff import Backoff
from midstage.eventlog.fold import Fold, Folded, Verdict
from midstage.eventlog.log import GapError, Log, Partition, Reader, Record
from midstage.eventlog.murmur2 import partition_of
from midstage.eventlog.progress import Progress
from midstage.eventlog.snapshots import Snapshots

S = TypeVar("S")
F = TypeVar("F")

_MOST = 2000  # records folded while others wait for the view
_POLL_S = 0.2
_logger = logging.getLogger(__name__)


class Follower(Generic[S, F]):
    """The reading side of one replica; tells ``heard`` what became of each record."""

    def __init__(
        self,
        *,
        log: Log,
        topic: str,
        fold: Fold[S, F],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        snapshots: Snapshots[S, F] | None,
    ) -> None:
        """Connect nothing yet."""
        self.changed = threading.Condition()
        self.fold = fold
        self._log = log
        self._topic = topic
        self._now = now
        self._snapshots = snapshots
        self._unsaved = 0
        self._positions: Mapping[Partition, int] = {}
        self._goal: Mapping[Partition, int] | None = None
        self._progress = Progress(monotonic)

    def run(
        self,
        stop: threading.Event,
        *,
        heard: Callable[[Folded], None],
        check: Callable[[], None],
    ) -> None:
        """Follow until ``stop`` is set; ``check`` is asked each turn and may raise."""
        backoff = Backoff()
        reader: Reader | None = None
        try:
            while not stop.is_set():
                try:
                    check()
                    reader = reader or self._opened()
                    self._turn(reader, heard)
                    backoff.reset()
                except UnavailableError as e:
                    self._progress.backs_off(str(e))
                    backoff.wait(stop)
        finally:
            self._progress.ended()
            if reader is not None:
                reader.close()
            if self._snapshots is not None:
                self._snapshots.close()

    def reason(self) -> str | None:
        """None when all that the log held at the start is folded and it goes on, else why not."""
        reason = self._progress.reason()
        with self.changed:
            if reason is None and (self._goal is None or not self._at(self._goal)):
                return f"{self._topic} is still being folded"
        return reason

    def wait_until_current(self, within_s: float) -> None:
        """Wait for the first complete fold; UnavailableError when it does not come in time."""
        with self.changed:
            self.changed.wait_for(lambda: self._goal and self._at(self._goal), within_s)
        reason = self.reason()
        if reason is not None:
            raise UnavailableError(f"can't decide now: {reason}")

    def wait_for_all_of(self, keys: Iterable[str], within_s: float) -> None:
        """Wait until everything that stands in the keys' partitions now is folded."""
        goal = self._log.ends({self._place(key) for key in keys})
        with self.changed:
            if not self.changed.wait_for(lambda: self._at(goal), within_s):
                raise UnavailableError("the newest facts did not come in time; try again")

    def number_of(self, key: str) -> int:
        """The number of the key's partition; the first complete fold has come."""
        return self._place(key).number

    def _opened(self) -> Reader:
        places = self._log.partitions(self._topic)
        goal = self._log.ends(places)
        oldest = self._log.beginnings(places)
        saved = None
        if self._snapshots is not None:
            saved = self._snapshots.newest(oldest=oldest, ends=goal)
        starts: Mapping[Partition, int] = dict.fromkeys(places, 0)
        if saved is not None:
            starts = saved.starts
        for place, at in oldest.items():
            if starts[place] < at:
                raise GapError(place, starts[place])
        reader = self._log.reader(starts)
        with self.changed:
            for each in saved.keys if saved is not None else ():
                self.fold.restore(each)
            for number, taken in enumerate(saved.taken if saved is not None else ()):
                self.fold.restore_taken(number, taken)
            self._positions, self._goal = reader.positions(), goal
            self._progress.came_round(lag=0)
            self.changed.notify_all()
        return reader

    def _turn(self, reader: Reader, heard: Callable[[Folded], None]) -> None:
        records = reader.poll(most=_MOST, timeout_s=_POLL_S)
        if not records:
            with self.changed:
                self._positions = reader.positions()  # they pass marks that are no records
                self.changed.notify_all()
            self._progress.came_round(lag=sum(reader.lag().values()))
            self._save()
            return
        self._progress.has_records()
        with self.changed:
            self._fold_all(records, heard)
            self._positions = reader.positions()
            self.changed.notify_all()
        self._progress.moved()
        self._save()

    def _fold_all(self, records: Sequence[Record], heard: Callable[[Folded], None]) -> None:
        for record in records:
            folded = self.fold.apply(record)
            heard(folded)
            if folded.verdict in (Verdict.BROKEN, Verdict.UNKNOWN):
                _warn(record, folded)
        self.fold.forget(now=self._now())
        self._unsaved += len(records)

    def _save(self) -> None:
        """Write a snapshot now and then; only this thread changes the fold, so no lock is held."""
        snapshots = self._snapshots
        try:
            if snapshots is None or not snapshots.finish():
                return
            if self._unsaved < snapshots.every or self.fold.stuck:
                return
            self._unsaved = 0
            held = self.fold.held()
            snapshots.begin(self.fold.saved(self._standing), self._positions, held=held)
        except (RefusedError, UnavailableError) as e:
            _logger.warning("snapshot_not_written", extra={"topic": self._topic, "reason": str(e)})

    def _standing(self, key: str) -> tuple[int, int]:
        place = self._place(key)
        return place.number, self._positions[place]

    def _place(self, key: str) -> Partition:
        number = partition_of(key.encode(), len(self._positions))
        return Partition(topic=self._topic, number=number)

    def _at(self, goal: Mapping[Partition, int]) -> bool:
        return all(self._positions.get(place, -1) >= end for place, end in goal.items())


def _warn(record: Record, folded: Folded) -> None:
    _logger.warning(
        "versioned_log_record_not_folded",
        extra={
            "topic": record.partition.topic,
            "partition": record.partition.number,
            "offset": record.offset,
            "verdict": folded.verdict.name.lower(),
            "reason": folded.reason,
        },
    )
