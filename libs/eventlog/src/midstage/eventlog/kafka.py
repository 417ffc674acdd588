"""The log on Kafka; the only module that imports confluent_kafka."""

from collections.abc import Iterable, Mapping, Sequence

from midstage.eventlog.log import Partition, Reader, TopicSettings, Writer


class KafkaLog:
    """Implements ``log.Log``."""

    def __init__(self, *, bootstrap: str, client_id: str) -> None:
        """Connects nothing yet."""

    def writer(self) -> Writer:
        """A new writer."""
        raise NotImplementedError

    def reader(self, starts: Mapping[Partition, int]) -> Reader:
        """A new reader."""
        raise NotImplementedError

    def partitions(self, topic: str) -> Sequence[Partition]:
        """The partitions of a topic."""
        raise NotImplementedError

    def ends(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """The offset after the last record."""
        raise NotImplementedError

    def beginnings(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """The offset of the oldest record."""
        raise NotImplementedError

    def create(self, topics: Iterable[TopicSettings]) -> None:
        """Create what is missing."""
        raise NotImplementedError
