"""The log on Kafka: the only package that imports confluent_kafka.

``KafkaLog`` passes the same conformance suite as ``memory.MemoryLog``. Topics are created with
the broker's own replication factor, so one node and three need no setting of ours.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from midstage.eventlog.kafka.errors import FatalClientError
from midstage.eventlog.kafka.evenly import EvenReader, shared_out
from midstage.eventlog.kafka.groups import GroupPositions
from midstage.eventlog.kafka.lags import GroupLag, GroupLags
from midstage.eventlog.kafka.reader import QUEUED_KB, KafkaReader, oldest
from midstage.eventlog.kafka.topics import Broker, Setting
from midstage.eventlog.kafka.writer import LINGER_MS, KafkaWriter
from midstage.eventlog.log import Partition, Reader, TopicSettings

__all__ = ["FatalClientError", "GroupLag", "GroupLags", "GroupPositions", "KafkaLog"]

OF_SEVERAL_KB = 1024
"""What waits in each of several clients, whose answers are on top, so that they hold no more."""


class KafkaLog:
    """Implements ``log.Log``."""

    def __init__(
        self,
        *,
        bootstrap: str,
        client_id: str,
        ask_within_s: float = 10.0,
        close_within_s: float = 5.0,
        linger_ms: int = LINGER_MS,
        together: int | None = None,
    ) -> None:
        """Name the brokers; nothing connects before the first question.

        With ``linger_ms`` 0 its writers wait for no other message that might go with one. A reader
        has a client for each ``together`` partitions of a topic, see ``evenly``; None: one for all.
        """
        self._together = together
        self._linger_ms = linger_ms
        self._close_within_s = close_within_s
        self._settings: Mapping[str, Setting] = {
            "bootstrap.servers": bootstrap,
            "client.id": client_id,
            "reconnect.backoff.max.ms": 1000,
        }
        self._polled = {**self._settings, "logger": logging.getLogger(__name__)}
        self._broker = Broker(self._settings, within_s=ask_within_s)

    def writer(self) -> KafkaWriter:
        """See ``log.Log.writer``."""
        return KafkaWriter(
            self._polled,
            limit_of=self._broker.limit_of,
            close_within_s=self._close_within_s,
            linger_ms=self._linger_ms,
        )

    def reader(self, starts: Mapping[Partition, int]) -> Reader:
        """See ``log.Log.reader``; UnavailableError when the broker can't be asked now."""
        asked = oldest(starts)
        resolved, ends = {**starts, **self.beginnings(asked)}, self.ends(starts)
        shares = shared_out(starts, self._together) if self._together else [list(starts)]
        readers = [
            KafkaReader(
                {**self._polled, "group.id": self._settings["client.id"]},
                starts={place: resolved[place] for place in share},
                ends={place: ends[place] for place in share},
                oldest=asked & frozenset(share),
                queued_kb=QUEUED_KB if len(shares) == 1 else OF_SEVERAL_KB,
            )
            for share in shares
        ]
        return readers[0] if len(readers) == 1 else EvenReader(readers)

    def partitions(self, topic: str) -> Sequence[Partition]:
        """See ``log.Log.partitions``."""
        return self._broker.partitions(topic)

    def ends(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """See ``log.Log.ends``."""
        return self._broker.ends(partitions)

    def beginnings(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """See ``log.Log.beginnings``."""
        return self._broker.beginnings(partitions)

    def offsets_at(self, partitions: Iterable[Partition], at: datetime) -> Mapping[Partition, int]:
        """See ``log.Log.offsets_at``."""
        return self._broker.offsets_at(partitions, at)

    def create(self, topics: Iterable[TopicSettings]) -> None:
        """See ``log.Log.create``."""
        self._broker.create(topics)
