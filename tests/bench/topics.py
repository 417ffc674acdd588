"""Fresh topics for the races, and one topic that every reader reads: the same bytes for all.

What is read was written without compression, because Faust's client can unpack lz4 only with a
library that the environment does not have; that is the same for all contestants.
"""

import uuid
from collections.abc import Iterable

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from midstage.contracts.topics import REQUESTS
from midstage.eventlog import codec
from midstage.eventlog.log import Message
from tests.bench.payload import SIGNING_KEY, events

PARTITIONS = REQUESTS.partitions
_WITHIN_S = 30.0


def created(bootstrap: str, purpose: str) -> str:
    """The name of a new empty topic with as many partitions as the request topic."""
    name = f"bench.{purpose}.{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = NewTopic(name, num_partitions=PARTITIONS, replication_factor=1)
    admin.create_topics([new])[name].result(_WITHIN_S)
    return name


def removed(bootstrap: str, *names: str) -> None:
    """Take the topics away, so that the broker's disk holds one round at a time."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.delete_topics(list(names)).values():
        done.result(_WITHIN_S)


def removed_of(bootstrap: str, application: str) -> None:
    """Take away what a Faust application made for itself: changelogs and assignments."""
    known = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=_WITHIN_S).topics
    own = [name for name in known if name.startswith(f"{application}-")]
    if own:
        removed(bootstrap, *own)


def filled(bootstrap: str, purpose: str, count: int) -> str:
    """A new topic that holds ``count`` signed request events, keyed by their source."""
    topic = created(bootstrap, purpose)
    write(bootstrap, messages(topic, count))
    return topic


def messages(topic: str, count: int) -> Iterable[Message]:
    """The request events as an edge writes them: structured, keyed by source, signed."""
    for event in events(count):
        yield codec.message(event, topic=topic, key=event.source, signing_key=SIGNING_KEY)


def write(bootstrap: str, batch: Iterable[Message]) -> None:
    """Write everything, and know that the broker has it."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for number, each in enumerate(batch):
        producer.produce(each.topic, value=each.value, key=each.key, headers=list(each.headers))
        if number % 5_000 == 0:
            producer.poll(0)
    left = producer.flush(_WITHIN_S)
    if left:
        raise TimeoutError(f"{left} events were not delivered within {_WITHIN_S:.0f} s")
