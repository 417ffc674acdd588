"""The two logs under one roof: what a conformance test may ask of each."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from midstage.eventlog.log import Log, Partition, TopicSettings
from midstage.eventlog.memory import MemoryLog, MemoryPositions
from tests.kafka import kafka_log

from .words import TOPIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A log with a fresh topic of three partitions, and the hand that ages its records."""

    log: Log
    topic: str
    forget: Callable[[Partition, int], None]

    def another(self, **changed: int) -> TopicSettings:
        return topic_of(f"{self.topic}.{uuid.uuid4().hex[:6]}", **changed)


def topic_of(name: str, *, partitions: int = 3, message_bytes: int = 1024 * 1024) -> TopicSettings:
    return TopicSettings(
        name=name, partitions=partitions, retention_ms=-1, message_bytes=message_bytes
    )


def forgetting(bootstrap: str) -> Callable[[Partition, int], None]:
    def forget(partition: Partition, before: int) -> None:
        admin = AdminClient({"bootstrap.servers": bootstrap})
        place = TopicPartition(partition.topic, partition.number, before)
        admin.delete_records([place])[place].result()

    return forget


@pytest.fixture(
    params=[
        "memory",
        pytest.param("kafka", marks=pytest.mark.platform),
        pytest.param("kafka, a client for each partition", marks=pytest.mark.platform),
    ]
)
def bench(request: pytest.FixtureRequest) -> Bench:
    name = f"test.eventlog.{uuid.uuid4().hex[:10]}"
    if request.param == "memory":
        memory = MemoryLog()
        made = Bench(log=memory, topic=name, forget=memory.forget)
    else:
        address: str = request.getfixturevalue("kafka")
        log = kafka_log(address, together=None if request.param == "kafka" else 1)
        made = Bench(log=log, topic=name, forget=forgetting(address))
    made.log.create([topic_of(name)])
    return made


@pytest.fixture
def log() -> MemoryLog:
    """A log with words to consume, and a place for those that can't be read."""
    made = MemoryLog()
    made.create([topic_of(TOPIC), topic_of(f"{TOPIC}.test.dlq", partitions=1)])
    return made


@pytest.fixture
def positions(log: MemoryLog) -> MemoryPositions:
    """Where a consumer of words stands."""
    return MemoryPositions(log.partitions(TOPIC))
