"""The fake log's writer and reader: they wait, deliver and fail as Kafka's do."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.log import (
    Delivery,
    GapError,
    Message,
    Partition,
    Record,
    Run,
    Undelivered,
)
from midstage.eventlog.memory.broker import Broker

Done = Callable[[Delivery], None]

_QUEUE_MESSAGES = 100_000
_CLOSE_WITHIN_S = 5.0


class MemoryWriter:
    """Implements ``log.Writer``; while the broker is away, messages wait."""

    def __init__(self, broker: Broker) -> None:
        """Start the thread that delivers."""
        self._broker = broker
        self._queue: queue.Queue[tuple[Message, Done | None]] = queue.Queue(_QUEUE_MESSAGES)
        self._closing = False
        self._left = 0
        self._thread = threading.Thread(target=self._serve, name="memory-writer", daemon=True)
        self._thread.start()

    def send(self, message: Message, done: Done | None = None) -> None:
        """See ``log.Writer.send``."""
        self._broker.check_size(message)
        with self._broker.changed:
            if self._closing:
                raise UnavailableError("the writer is closed")
            self._left += 1
        self._queue.put((message, done))

    def flush(self, timeout_s: float) -> int:
        """See ``log.Writer.flush``."""
        with self._broker.changed:
            self._broker.changed.wait_for(lambda: self._left == 0, timeout_s)
            return self._left

    def close(self) -> None:
        """See ``log.Writer.close``; ``done`` hears of what is left."""
        self.flush(0.0 if self._broker.away else _CLOSE_WITHIN_S)
        with self._broker.changed:
            self._closing = True
            self._broker.changed.notify_all()
        self._thread.join()

    def _serve(self) -> None:
        while not (self._closing and self._queue.empty()):
            try:
                message, done = self._queue.get(timeout=0.01)
            except queue.Empty:
                continue
            delivery = self._deliver(message)
            if done is not None:
                done(delivery)
            with self._broker.changed:
                self._left -= 1
                self._broker.changed.notify_all()

    def _deliver(self, message: Message) -> Delivery:
        with self._broker.changed:
            self._broker.changed.wait_for(lambda: self._closing or not self._broker.away)
            if self._broker.away:
                return Undelivered(reason="the writer was closed first", known=True)
            return self._broker.append(message)


class MemoryReader:
    """Implements ``log.Reader``."""

    def __init__(self, broker: Broker, starts: Mapping[Partition, int]) -> None:
        """Stand at ``starts``."""
        self._broker = broker
        self._positions = dict(starts)

    def poll(self, *, most: int, timeout_s: float) -> Sequence[Record]:
        """See ``log.Reader.poll``."""
        with self._broker.changed:
            taken: list[Record] = []
            self._broker.changed.wait_for(lambda: self._take(taken, most), timeout_s)
            return taken

    def runs(self, *, most: int, timeout_s: float) -> Sequence[Run]:
        """See ``log.Reader.runs``."""
        taken = groupby(self.poll(most=most, timeout_s=timeout_s), lambda each: each.partition)
        return [_run(place, list(records)) for place, records in taken]

    def positions(self) -> Mapping[Partition, int]:
        """See ``log.Reader.positions``."""
        return dict(self._positions)

    def lag(self) -> Mapping[Partition, int]:
        """See ``log.Reader.lag``."""
        try:
            ends = self._broker.ends(self._positions)
        except UnavailableError:
            return dict.fromkeys(self._positions, 0)
        return {place: max(0, ends[place] - at) for place, at in self._positions.items()}

    def close(self) -> None:
        """See ``log.Reader.close``."""

    def _take(self, taken: list[Record], most: int) -> bool:
        for place, at in self._positions.items():
            try:
                records = self._broker.read(place, at, most - len(taken))
            except GapError:
                if taken:
                    return True  # what was taken comes first, the gap with the next poll
                raise
            taken.extend(records)
            self._positions[place] = at + len(records)
        return bool(taken)


def _run(place: Partition, records: Sequence[Record]) -> Run:
    values = [record.value for record in records]
    return Run(partition=place, values=values, whole=records.__getitem__)
