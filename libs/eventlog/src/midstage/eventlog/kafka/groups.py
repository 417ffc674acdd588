"""Positions kept as the committed offsets of a Kafka group, moved after the effect.

The partitions are assigned, not subscribed: the group is a name under which offsets stand.
"""

from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from midstage.eventlog.kafka.errors import meant, of
from midstage.eventlog.kafka.reader import SETTINGS
from midstage.eventlog.log import BEGINNING, Partition

_ASK_S = 10.0


class GroupPositions:
    """Implements ``consume.Positions``; a partition without a commit starts at the oldest."""

    def __init__(
        self, *, bootstrap: str, client_id: str, group: str, partitions: Iterable[Partition]
    ) -> None:
        """Keep the offsets of ``partitions`` under the name ``group``."""
        self._group = group
        self._partitions = tuple(partitions)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": client_id,
                "group.id": group,
                **SETTINGS,
            }
        )

    def starts(self) -> Mapping[Partition, int]:
        """The committed offset of each partition; UnavailableError when Kafka can't be asked."""
        wanted = [TopicPartition(p.topic, p.number) for p in self._partitions]
        try:
            found = self._consumer.committed(wanted, timeout=_ASK_S)
        except KafkaException as e:
            raise meant(of(e), f"asking for the offsets of {self._group}") from e
        for each in found:
            if each.error is not None:
                raise meant(each.error, f"asking for the offsets of {self._group}")
        return {
            Partition(topic=each.topic, number=each.partition): max(each.offset, BEGINNING)
            if each.offset >= 0
            else BEGINNING
            for each in found
        }

    def moved(self, ends: Mapping[Partition, int]) -> None:
        """Commit; UnavailableError when Kafka did not take it (the same chunk comes again)."""
        offsets = [TopicPartition(p.topic, p.number, offset) for p, offset in ends.items()]
        try:
            done = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as e:
            raise meant(of(e), f"committing the offsets of {self._group}") from e
        for each in done or []:
            if each.error is not None:
                raise meant(each.error, f"committing the offsets of {self._group}")

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()
