"""The broker of the fake log: what stands, what it forgets, and when it is away."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import count

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.log import (
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

_OVERHEAD_BYTES = 512


class Broker:
    """Topics and records; any number of threads use it, each while it holds ``changed``."""

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

    def offsets_at(self, partitions: Iterable[Partition], at: datetime) -> Mapping[Partition, int]:
        """See ``log.Log.offsets_at``."""
        at_ms = int(at.timestamp() * 1000)
        with self.changed:
            self._ask()
            return {place: self._first(place, at_ms) for place in partitions}

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
        size = len(message.value or b"") + len(message.key or b"") + _OVERHEAD_BYTES
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

    def _first(self, place: Partition, at_ms: int) -> int:
        held = self._held(place)
        later = (record.offset for record in held if record.timestamp_ms >= at_ms)
        return max(next(later, len(held)), self._oldest.get(place, 0))

    def _number(self, message: Message, partitions: int) -> int:
        if message.partition is not None:
            return message.partition
        if message.key is None:
            return next(self._unkeyed) % partitions
        return partition_of(message.key, partitions)

    def _ask(self) -> None:
        if self.away:
            raise UnavailableError("the broker is away")
