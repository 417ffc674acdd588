"""What is asked of the broker about topics: which, how many partitions, from where to where."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports without __all__
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.kafka.errors import meant, of
from midstage.eventlog.log import Partition, TopicSettings

_GLANCE_S = 0.05
_MADE_WITHIN_S = 120.0  # hundreds of partitions at once take a busy machine long
_TRY_S = 1.0  # a question that began before the leaders were there hears of them too late
Setting = str | int | float
V = TypeVar("V")


class Broker:
    """The broker as one asks it; connects on the first question, safe to share by threads."""

    def __init__(self, settings: Mapping[str, Setting], *, within_s: float) -> None:
        """Connect nothing yet."""
        self._within_s = within_s
        self._settings = settings
        self._lock = threading.Lock()
        self._client: AdminClient | None = None
        self._limits: dict[str, int] = {}

    def partitions(self, topic: str) -> Sequence[Partition]:
        """The partitions of a topic; UnavailableError when it does not exist yet."""
        count = self._counts().get(topic)
        if count is None:
            raise UnavailableError(f"topic {topic} does not exist yet; create it first")
        return tuple(Partition(topic=topic, number=number) for number in range(count))

    def ends(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """The offset after the last record of each partition."""
        return self._offsets(partitions, OffsetSpec.latest(), within_s=self._within_s)  # type: ignore[no-untyped-call]  # untyped there

    def beginnings(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """The offset of the oldest record of each partition."""
        return self._offsets(partitions, OffsetSpec.earliest(), within_s=self._within_s)  # type: ignore[no-untyped-call]  # untyped there

    def offsets_at(self, partitions: Iterable[Partition], at: datetime) -> Mapping[Partition, int]:
        """The offset of the first record from ``at`` on of each partition; else its end."""
        spec = OffsetSpec.for_timestamp(max(0, int(at.timestamp() * 1000)))
        found = self._offsets(partitions, spec, within_s=self._within_s)
        return {**found, **self.ends(place for place, offset in found.items() if offset < 0)}

    def limit_of(self, topic: str) -> int:
        """The topic's largest message in bytes."""
        known = self._limits.get(topic)
        if known is None:
            resource = ConfigResource(ResourceType.TOPIC, topic)
            asked = self._admin().describe_configs([resource], request_timeout=self._within_s)
            config = _answer(asked[resource], f"the settings of {topic}")
            known = self._limits[topic] = int(config["max.message.bytes"].value)
        return known

    def create(self, topics: Iterable[TopicSettings]) -> None:
        """See ``log.Log.create``."""
        wanted = {topic.name: topic for topic in topics}
        missing = [wanted[name] for name in wanted.keys() - self._counts().keys()]
        if missing:
            made = self._admin().create_topics(
                [_new(topic) for topic in missing], operation_timeout=_MADE_WITHIN_S
            )
            for name, future in made.items():
                _created(future, name)
            self._wait_for_leaders(missing)
        counts = self._counts()
        for name, topic in wanted.items():
            count = counts.get(name)
            if count is not None and count != topic.partitions:
                raise RefusedError(
                    f"topic {name} has {count} partitions instead of {topic.partitions}; "
                    f"a keyed topic's number never changes, so make it anew or fix the setting"
                )

    def _wait_for_leaders(self, topics: Iterable[TopicSettings]) -> None:
        """A topic that was just made has no leader for a moment; return when all can be read."""
        places = [
            Partition(topic=topic.name, number=number)
            for topic in topics
            for number in range(topic.partitions)
        ]
        deadline = time.monotonic() + _MADE_WITHIN_S
        while True:
            try:
                self._offsets(places, OffsetSpec.latest(), within_s=_TRY_S)  # type: ignore[no-untyped-call]  # untyped there
            except UnavailableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_GLANCE_S)
            else:
                return

    def _offsets(
        self, partitions: Iterable[Partition], at: OffsetSpec, *, within_s: float
    ) -> dict[Partition, int]:
        places = {TopicPartition(p.topic, p.number): p for p in partitions}
        if not places:
            return {}
        asked = self._admin().list_offsets(dict.fromkeys(places, at), request_timeout=within_s)
        try:
            return {places[tp]: _answer(future, tp.topic).offset for tp, future in asked.items()}
        except UnavailableError:
            self._counts()  # makes the client forget a leader that it believed in wrongly
            raise

    def _counts(self) -> Mapping[str, int]:
        try:
            listed = self._admin().list_topics(timeout=self._within_s)
        except KafkaException as e:
            raise meant(of(e), "asking for the topics") from e
        return {name: len(topic.partitions) for name, topic in listed.topics.items()}

    def _admin(self) -> AdminClient:
        with self._lock:
            if self._client is None:
                # its log would go past ours to stderr; what fails is told by the answers
                self._client = AdminClient({**self._settings, "log_level": 0})
            return self._client


def _answer(future: "Future[V]", about: str) -> V:
    try:
        return future.result()
    except KafkaException as e:
        raise meant(of(e), f"asking about {about}") from e


def _created(future: "Future[None]", name: str) -> None:
    try:
        future.result()
    except KafkaException as e:
        if of(e).code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise meant(of(e), f"creating topic {name}") from e


def _new(topic: TopicSettings) -> NewTopic:
    config = {
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.message_bytes),
        "cleanup.policy": "compact" if topic.compacted else "delete",
        **topic.extra,
    }
    return NewTopic(topic.name, num_partitions=topic.partitions, config=config)
