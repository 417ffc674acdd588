"""The verified fake: the log in memory, with the failures that a real one has.

It passes the conformance suite that Kafka passes, partitions by the same murmur2, and delivers
from a thread of its own. ``cut`` takes the broker away, ``mend`` brings it back; ``forget`` drops
old records as retention does; ``lose_next_acknowledgement`` writes and doesn't say so.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.log import (
    BEGINNING,
    Delivered,
    Delivery,
    GapError,
    Message,
    Partition,
    Record,
    TopicSettings,
    Undelivered,
)
from midstage.eventlog.murmur2 import partition_of

Done = Callable[[Delivery], None]

_QUEUE_MESSAGES = 100_000
_CLOSE_WITHIN_S = 5.0
_OVERHEAD_BYTES = 512


class MemoryLog:
    """Implements ``log.Log``; one instance is one broker, shared by any number of threads."""

    def __init__(self, *, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        """Start with no topic; ``now_ms`` stamps the records."""
        self.changed = threading.Condition()
        self.away = False
        self._now_ms = now_ms
        self._topics: dict[str, TopicSettings] = {}
        self._records: dict[Partition, list[Record]] = {}
        self._oldest: dict[Partition, int] = {}
        self._acknowledgements_to_lose = 0
        self._unkeyed = count()

    def cut(self) -> None:
        """Take the broker away: questions fail, messages wait in their writers."""
        with self.changed:
            self.away = True
            self.changed.notify_all()

    def mend(self) -> None:
        """Bring the broker back."""
        with self.changed:
            self.away = False
            self.changed.notify_all()

    def lose_next_acknowledgement(self) -> None:
        """Write the next message, and tell its writer that it is not known whether it stands."""
        with self.changed:
            self._acknowledgements_to_lose += 1

    def forget(self, partition: Partition, before: int) -> None:
        """Hold only records from offset ``before`` on, as retention does."""
        with self.changed:
            self._oldest[partition] = before

    def writer(self) -> "MemoryWriter":
        """See ``log.Log.writer``."""
        return MemoryWriter(self)

    def reader(self, starts: Mapping[Partition, int]) -> "MemoryReader":
        """See ``log.Log.reader``."""
        resolved = {**starts, **self.beginnings(p for p, at in starts.items() if at == BEGINNING)}
        self.ends(starts)
        return MemoryReader(self, resolved)

    def partitions(self, topic: str) -> Sequence[Partition]:
        """See ``log.Log.partitions``."""
        with self.changed:
            self._ask()
            settings = self._topics.get(topic)
        if settings is None:
            raise UnavailableError(f"topic {topic} does not exist yet; create it first")
        return tuple(Partition(topic=topic, number=n) for n in range(settings.partitions))

    def ends(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """See ``log.Log.ends``."""
        with self.changed:
            self._ask()
            return {place: len(self._held(place)) for place in partitions}

    def beginnings(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """See ``log.Log.beginnings``."""
        with self.changed:
            self._ask()
            return {place: self._oldest.get(place, 0) for place in partitions}

    def create(self, topics: Iterable[TopicSettings]) -> None:
        """See ``log.Log.create``."""
        with self.changed:
            self._ask()
            for topic in topics:
                known = self._topics.setdefault(topic.name, topic)
                if known.partitions != topic.partitions:
                    raise RefusedError(
                        f"topic {topic.name} has {known.partitions} partitions "
                        f"instead of {topic.partitions}"
                    )
                for number in range(topic.partitions):
                    self._records.setdefault(Partition(topic=topic.name, number=number), [])

    def check_size(self, message: Message) -> None:
        """RefusedError for a message above its topic's limit."""
        settings = self._topics.get(message.topic)
        size = len(message.value) + len(message.key or b"") + _OVERHEAD_BYTES
        if settings is not None and size > settings.message_bytes:
            raise RefusedError(f"{size} bytes are above {message.topic}'s limit", status=413)

    def append(self, message: Message) -> Delivery:
        """Write one message; the caller holds ``changed`` and the broker is there."""
        settings = self._topics.get(message.topic)
        if settings is None:
            return Undelivered(reason=f"topic {message.topic} does not exist", known=True)
        place = Partition(topic=message.topic, number=self._number(message, settings.partitions))
        held = self._records[place]
        offset = len(held)
        held.append(
            Record(
                partition=place,
                offset=offset,
                key=message.key,
                value=message.value,
                headers=message.headers,
                timestamp_ms=self._now_ms(),
            )
        )
        self.changed.notify_all()
        if self._acknowledgements_to_lose:
            self._acknowledgements_to_lose -= 1
            return Undelivered(reason="the acknowledgement was lost", known=False)
        return Delivered(partition=place, offset=offset)

    def read(self, place: Partition, at: int, most: int) -> Sequence[Record]:
        """Up to ``most`` records from offset ``at``; the caller holds ``changed``."""
        self._ask()
        held = self._held(place)
        if not self._oldest.get(place, 0) <= at <= len(held):
            raise GapError(place, at)
        return held[at : at + most]

    def _held(self, place: Partition) -> list[Record]:
        held = self._records.get(place)
        if held is None:
            raise UnavailableError(f"{place.topic}[{place.number}] does not exist")
        return held

    def _number(self, message: Message, partitions: int) -> int:
        if message.partition is not None:
            return message.partition
        if message.key is None:
            return next(self._unkeyed) % partitions
        return partition_of(message.key, partitions)

    def _ask(self) -> None:
        if self.away:
            raise UnavailableError("the broker is away")


class MemoryWriter:
    """Implements ``log.Writer``; while the broker is away, messages wait."""

    def __init__(self, log: MemoryLog) -> None:
        """Start the thread that delivers."""
        self._log = log
        self._queue: queue.Queue[tuple[Message, Done | None]] = queue.Queue(_QUEUE_MESSAGES)
        self._closing = False
        self._left = 0
        self._thread = threading.Thread(target=self._serve, name="memory-writer", daemon=True)
        self._thread.start()

    def send(self, message: Message, done: Done | None = None) -> None:
        """See ``log.Writer.send``."""
        self._log.check_size(message)
        with self._log.changed:
            if self._closing:
                raise UnavailableError("the writer is closed")
            self._left += 1
        self._queue.put((message, done))

    def flush(self, timeout_s: float) -> int:
        """See ``log.Writer.flush``."""
        with self._log.changed:
            self._log.changed.wait_for(lambda: self._left == 0, timeout_s)
            return self._left

    def close(self) -> None:
        """See ``log.Writer.close``; ``done`` hears of what is left."""
        self.flush(0.0 if self._log.away else _CLOSE_WITHIN_S)
        with self._log.changed:
            self._closing = True
            self._log.changed.notify_all()
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
            with self._log.changed:
                self._left -= 1
                self._log.changed.notify_all()

    def _deliver(self, message: Message) -> Delivery:
        with self._log.changed:
            self._log.changed.wait_for(lambda: self._closing or not self._log.away)
            if self._log.away:
                return Undelivered(reason="the writer was closed first", known=True)
            return self._log.append(message)


class MemoryReader:
    """Implements ``log.Reader``."""

    def __init__(self, log: MemoryLog, starts: Mapping[Partition, int]) -> None:
        """Stand at ``starts``."""
        self._log = log
        self._positions = dict(starts)

    def poll(self, *, most: int, timeout_s: float) -> Sequence[Record]:
        """See ``log.Reader.poll``."""
        with self._log.changed:
            taken: list[Record] = []
            self._log.changed.wait_for(lambda: self._take(taken, most), timeout_s)
            return taken

    def positions(self) -> Mapping[Partition, int]:
        """See ``log.Reader.positions``."""
        return dict(self._positions)

    def lag(self) -> Mapping[Partition, int]:
        """See ``log.Reader.lag``."""
        try:
            ends = self._log.ends(self._positions)
        except UnavailableError:
            return dict.fromkeys(self._positions, 0)
        return {place: max(0, ends[place] - at) for place, at in self._positions.items()}

    def close(self) -> None:
        """See ``log.Reader.close``."""

    def _take(self, taken: list[Record], most: int) -> bool:
        for place, at in self._positions.items():
            try:
                records = self._log.read(place, at, most - len(taken))
            except GapError:
                if taken:
                    return True  # what was taken comes first, the gap with the next poll
                raise
            taken.extend(records)
            self._positions[place] = at + len(records)
        return bool(taken)
