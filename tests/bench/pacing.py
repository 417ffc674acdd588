"""A producer that sends at a steady rate, as the edges do: idempotent, in order, all acknowledged.

``python -m tests.bench.pacing BOOTSTRAP TOPIC COUNT RATE``. What is to be sent is made before the
first is sent, its event times as far apart as the rate says.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from confluent_kafka import Producer

from midstage.eventlog.log import Message
from tests.bench.ledger import message_of
from tests.bench.payload import BEGIN, spread

_TICK_S = 0.01
_WITHIN_S = 60.0


def main(arguments: list[str]) -> int:
    """Send all; 0 when the broker has them."""
    bootstrap, topic, count, rate = arguments
    ready = list(_messages(topic, int(count), int(rate)))
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "linger.ms": 5,
        }
    )
    producer.list_topics(timeout=_WITHIN_S)  # connected, before the clock starts
    _paced(producer, ready, int(rate))
    return min(1, producer.flush(_WITHIN_S))


def _messages(topic: str, count: int, rate: int) -> Iterator[Message]:
    for number, event in enumerate(spread(count)):
        yield message_of(topic, replace(event, time=BEGIN + timedelta(seconds=number / rate)))


def _paced(producer: Producer, ready: list[Message], rate: int) -> None:
    """In ticks; what a late tick left is sent with the next one."""
    begin, sent = time.monotonic(), 0
    while sent < len(ready):
        due = min(len(ready), int((time.monotonic() - begin) * rate))
        for each in ready[sent:due]:
            while True:
                try:
                    producer.produce(each.topic, each.value, each.key, headers=list(each.headers))
                    break
                except BufferError:
                    producer.poll(_TICK_S)
        sent = due
        producer.poll(_TICK_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
