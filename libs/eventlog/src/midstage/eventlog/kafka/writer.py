"""Writes to Kafka: idempotent, on all in-sync replicas, and never given up in the middle.

A thread of its own serves acknowledgements, in order. While the broker is away messages wait in
the queue; when the queue is full, ``send`` waits. A fatal client error raises from every call.
"""

import threading
import time
from collections.abc import Callable, Mapping

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Acknowledged

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.topics import DEAD_LETTER_BYTES
from midstage.eventlog.kafka.errors import FatalClientError, meant, never_written, of
from midstage.eventlog.log import Delivered, Delivery, Message, Partition, Undelivered

SETTINGS: Mapping[str, str | int | bool] = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "message.timeout.ms": 0,  # for ever: a message given up in the middle would be a hole
    "topic.metadata.propagation.max.ms": 600_000,  # a restarting broker may not know its topics yet
    "message.max.bytes": DEAD_LETTER_BYTES + 1024 * 1024,  # each topic's own limit is checked here
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 64 * 1024,
}
_OVERHEAD_BYTES = 512  # of a record batch around one message
_CHECKED_FROM_BYTES = 512 * 1024  # no topic of ours takes less
_GLANCE_S = 0.001
LINGER_MS = 1

Done = Callable[[Delivery], None]


class KafkaWriter:
    """Implements ``log.Writer``; ``limit_of`` tells a topic's largest message in bytes."""

    def __init__(
        self,
        settings: Mapping[str, object],
        *,
        limit_of: Callable[[str], int],
        close_within_s: float,
        linger_ms: int = LINGER_MS,
    ) -> None:
        """Start the client and the thread that serves its acknowledgements.

        A message waits ``linger_ms`` for others that go with it.
        """
        self._limit_of = limit_of
        self._close_within_s = close_within_s
        self._fatal: str | None = None
        self._closing = threading.Event()
        self._producer = Producer(
            {**settings, **SETTINGS, "linger.ms": linger_ms, "error_cb": self.failed}
        )
        self._thread = threading.Thread(target=self._serve, name="kafka-writer", daemon=True)
        self._thread.start()

    def send(self, message: Message, done: Done | None = None) -> None:
        """See ``log.Writer.send``; FatalClientError when the client can't go on."""
        size = len(message.value or b"") + len(message.key or b"")
        if size > _CHECKED_FROM_BYTES:
            self._check_size(message)
        while not self._queued(message, done):
            self._closing.wait(_GLANCE_S)

    def flush(self, timeout_s: float) -> int:
        """See ``log.Writer.flush``; acknowledgements keep their one thread and their order."""
        deadline = time.monotonic() + timeout_s
        while (left := len(self._producer)) and time.monotonic() < deadline:
            self._check_alive()
            time.sleep(_GLANCE_S)
        self._check_alive()
        return left

    def close(self) -> None:
        """Wait some seconds for what is queued, then let go; ``done`` hears of what is left."""
        try:
            self.flush(self._close_within_s)
        finally:
            self._producer.purge()
            self._closing.set()
            self._thread.join()

    def failed(self, error: KafkaError) -> None:
        """The client tells of an error; only a fatal one matters, it mends the others itself."""
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._fatal = error.str()

    def _queued(self, message: Message, done: Done | None) -> bool:
        self._check_alive()
        if self._closing.is_set():
            raise UnavailableError("the writer is closed")
        try:
            self._producer.produce(
                message.topic,
                value=message.value,
                key=message.key,
                partition=-1 if message.partition is None else message.partition,
                headers=list(message.headers),
                on_delivery=None if done is None else _told(done),
            )
        except BufferError:
            return False
        except KafkaException as e:
            raise meant(of(e), f"sending to {message.topic}") from e
        return True

    def _check_size(self, message: Message) -> None:
        size = _size(message)
        limit = self._limit_of(message.topic)
        if size > limit:
            raise RefusedError(
                f"{size} bytes are above {message.topic}'s limit of {limit}; send less at once",
                status=413,
            )

    def _check_alive(self) -> None:
        if self._fatal is not None:
            raise FatalClientError(self._fatal)
        if not self._thread.is_alive() and not self._closing.is_set():
            raise FatalClientError("the thread that serves acknowledgements has died")

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(0.1)
        self._producer.poll(0)


def _told(done: Done) -> Callable[[KafkaError | None, Acknowledged], None]:
    def tell(error: KafkaError | None, at: Acknowledged) -> None:
        if error is not None:
            done(Undelivered(reason=error.str(), known=never_written(error)))
            return
        place = Partition(topic=at.topic() or "", number=at.partition() or 0)
        done(Delivered(partition=place, offset=at.offset() or 0))

    return tell


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value) + 10 for name, value in message.headers)
    return len(message.value or b"") + len(message.key or b"") + headers + _OVERHEAD_BYTES
