"""How far consumer groups of any service are behind, as the broker knows it: asked, never joined.

What was committed is asked first and the ends last, so no lag is below 0. A lag is never more than
what the log still holds. A partition that holds records of which nothing was committed, or whose
end is before what was committed, makes the group's lag unknown: it is never taken for 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports without __all__
    AdminClient,
    ConsumerGroupDescription,
)

from midstage.contracts.errors import UnavailableError
from midstage.contracts.signals import PartitionLag
from midstage.eventlog.kafka.errors import meant, of
from midstage.eventlog.kafka.topics import Broker, Setting
from midstage.eventlog.log import Partition

_NOTHING = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLag:
    """The partitions by topic and number; ``consumers`` that have some of them, None: not known."""

    partitions: Sequence[PartitionLag]
    consumers: int | None = None

    @property
    def total(self) -> int:
        """Records not done yet."""
        return sum(each.lag for each in self.partitions)


class GroupLags:
    """Asks one Kafka; connects on the first question. For one thread at a time."""

    def __init__(self, *, bootstrap: str, client_id: str, within_s: float = 10.0) -> None:
        """Connect nothing yet."""
        self._settings: Mapping[str, Setting] = {
            "bootstrap.servers": bootstrap,
            "client.id": client_id,
            "reconnect.backoff.max.ms": 1000,
        }
        self._within_s = within_s
        self._broker = Broker(self._settings, within_s=within_s)
        self._client: AdminClient | None = None

    def of(self, group: str, topics: Iterable[str]) -> GroupLag:
        """The group's lag in all partitions of ``topics``; UnavailableError: it is not known."""
        places = [
            place for topic in sorted(set(topics)) for place in self._broker.partitions(topic)
        ]
        committed = self._committed(group, places)
        beginnings = self._broker.beginnings(places)
        ends = self._broker.ends(places)
        return GroupLag(
            partitions=[
                lag_of(
                    place,
                    committed=committed.get(place, _NOTHING),
                    beginning=beginnings[place],
                    end=ends[place],
                )
                for place in places
            ],
            consumers=self._consumers(group, {place.topic for place in places}),
        )

    def _committed(self, group: str, places: Sequence[Partition]) -> Mapping[Partition, int]:
        """Asked as a consumer of the group that joins it never.

        The administrator's question for offsets ends the process (confluent-kafka 2.16.1) where the
        broker answers it with an error, as one that has just started does.
        """
        consumer = Consumer({**self._settings, "group.id": group, "enable.auto.commit": False})
        try:
            found = consumer.committed(
                [TopicPartition(place.topic, place.number) for place in places], self._within_s
            )
        except KafkaException as e:
            raise meant(of(e), f"asking for the offsets of {group}") from e
        finally:
            consumer.close()
        for each in found:
            if each.error is not None:
                raise meant(each.error, f"asking for the offsets of {group}")
        return {Partition(topic=each.topic, number=each.partition): each.offset for each in found}

    def _consumers(self, group: str, topics: set[str]) -> int | None:
        """Members with a partition of ``topics``; None where the broker does not tell."""
        asked: Mapping[str, Future[ConsumerGroupDescription]] = (
            self._admin().describe_consumer_groups([group], request_timeout=self._within_s)
        )
        try:
            members = asked[group].result().members
        except KafkaException:
            return None
        return sum(
            any(each.topic in topics for each in member.assignment.topic_partitions)
            for member in members
            if member.assignment is not None
        )

    def _admin(self) -> AdminClient:
        if self._client is None:
            self._client = AdminClient({**self._settings, "log_level": 0})
        return self._client


def lag_of(place: Partition, *, committed: int, beginning: int, end: int) -> PartitionLag:
    """The lag of one partition, ``committed`` below 0: nothing is; UnavailableError: not known."""
    where = f"{place.topic}[{place.number}]"
    if committed < 0 and end > beginning:
        raise UnavailableError(f"nothing of {where} is committed, and it holds records")
    if committed > end:
        raise UnavailableError(f"{where} ends before what is committed: it was made anew")
    done = max(committed, beginning)
    return PartitionLag(
        topic=place.topic,
        number=place.number,
        committed=max(committed, 0),
        beginning=beginning,
        end=end,
        lag=end - done,
    )
