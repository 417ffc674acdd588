"""The bare peer of ``deciding``: each load fact read and sent on, in a process of its own.

``python -m tests.bench.forwarder BOOTSTRAP FROM TO`` says ``ready`` once it reads; SIGTERM ends it.
"""

import signal
import sys
import threading
from typing import Final

from confluent_kafka import Consumer, Producer, TopicPartition

_WITHIN_S: Final = 10.0
_POLL_S: Final = 0.2


def main(arguments: list[str]) -> None:
    """Forward until the end."""
    bootstrap, source, sink = arguments
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    to_broker = {"bootstrap.servers": bootstrap}
    consumer = Consumer({**to_broker, "group.id": source, "enable.auto.commit": False})
    producer = Producer({**to_broker, "enable.idempotence": True, "linger.ms": 0})
    found = consumer.list_topics(source, timeout=_WITHIN_S).topics[source].partitions
    consumer.assign([TopicPartition(source, number, 0) for number in found])
    consumer.poll(0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not over.is_set():
        message = consumer.poll(_POLL_S)
        if message is not None and message.error() is None:
            producer.produce(sink, value=message.value(), key=message.key())
        producer.poll(0)
    producer.flush(_WITHIN_S)
    consumer.close()


if __name__ == "__main__":
    main(sys.argv[1:])
