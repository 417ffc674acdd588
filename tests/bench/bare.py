"""The peer with nothing in between: confluent-kafka as its own documentation uses it."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka import Message as Raw

from midstage.eventlog.log import Message
from tests.bench.topics import PARTITIONS

BATCH = 10_000
_WITHIN_S = 30.0


class _Data(msgspec.Struct):
    customer: str
    usage: dict[str, int]


class Request(msgspec.Struct):
    """As little of a request event as a fold of usage needs."""

    data: _Data


def produced(bootstrap: str, batch: Sequence[Message], count: int) -> float:
    """Events a second, from the first one handed over to the last one acknowledged.

    The guarantees are those of the edges: idempotent, in order, each delivery heard of.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "linger.ms": 5,
        }
    )
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Raw) -> None:
        if error is not None:
            failures.append(error)

    ready = [(each.topic, each.value, each.key, _headers(each)) for each in batch]
    producer.produce(*ready[0][:3], on_delivery=delivered)
    producer.flush(_WITHIN_S)  # connected, before the clock starts
    begin = time.perf_counter()
    for number in range(count):
        topic, value, key, headers = ready[number % len(ready)]
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=delivered, headers=headers)
                break
            except BufferError:
                producer.poll(0.01)
        if number % 1_000 == 0:
            producer.poll(0)
    left = producer.flush(_WITHIN_S)
    seconds = time.perf_counter() - begin
    if left or failures:
        raise RuntimeError(f"{left} events not delivered, {len(failures)} failed")
    return count / seconds


def _headers(message: Message) -> list[tuple[str, str | bytes | None]]:
    return list(message.headers)


def consumed(bootstrap: str, topic: str, count: int) -> float:
    """Events a second, bytes only: from the first batch that arrived to the last event."""
    return read(bootstrap, topic, count, lambda _batch: None)


def folded(bootstrap: str, topic: str, count: int) -> float:
    """Events a second with the least that counts usage: decode two fields, add to a dictionary."""
    decoder = msgspec.json.Decoder(Request)
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def fold(batch: Sequence[Raw]) -> None:
        for raw in batch:
            value = raw.value()
            if value is None:
                continue
            data = decoder.decode(value).data
            sum_of_customer = sums[data.customer]
            for name, amount in data.usage.items():
                sum_of_customer[name] += amount * 1_000_000

    rate = read(bootstrap, topic, count, fold)
    if sum(each["requests"] for each in sums.values()) != count * 1_000_000:
        raise RuntimeError("the bare client did not see every event once")
    return rate


def read(bootstrap: str, topic: str, count: int, effect: Callable[[Sequence[Raw]], None]) -> float:
    """Events a second through ``effect``, from the first batch that arrived to the last event."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{topic}.bare",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    try:
        first = consumer.consume(1, _WITHIN_S)
        begin = time.perf_counter()
        effect(first)
        seen = len(first)
        while seen < count:
            batch = consumer.consume(min(BATCH, count - seen), _WITHIN_S)
            if not batch:
                raise TimeoutError(f"{count - seen} of {count} events did not come")
            effect(batch)
            seen += len(batch)
        return count / (time.perf_counter() - begin)
    finally:
        consumer.close()
