"""Our eventlog as a contestant, through its public face only: Writer, Decoder, Consumer."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from midstage.contracts.fact import Event
from midstage.contracts.requests import RequestCompleted
from midstage.contracts.topics import REQUESTS
from midstage.eventlog.codec import Decoder, message
from midstage.eventlog.consume import Consumer
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import (
    BEGINNING,
    Delivered,
    Delivery,
    Message,
    Partition,
    Record,
)
from tests.bench.payload import SIGNING_KEY
from tests.bench.timed import Timed
from tests.bench.topics import PARTITIONS
from tests.bench.usage import Facts, Usage

_WITHIN_S = 30.0


def produced(bootstrap: str, batch: Sequence[Message], count: int) -> float:
    """Events a second, messages ready-made: from the first handed over to the last acknowledged."""
    return _sent(bootstrap, count, lambda number: batch[number % len(batch)])


def encoded(
    bootstrap: str, topic: str, batch: Sequence[Event[RequestCompleted]], count: int
) -> float:
    """Events a second with all that an edge does: encode, sign, send, hear of the delivery."""

    def made(number: int) -> Message:
        event = batch[number % len(batch)]
        return message(event, topic=topic, key=event.source, signing_key=SIGNING_KEY)

    return _sent(bootstrap, count, made)


def _sent(bootstrap: str, count: int, made: Callable[[int], Message]) -> float:
    writer = KafkaLog(bootstrap=bootstrap, client_id="bench").writer()
    lost: list[Delivery] = []

    def done(delivery: Delivery) -> None:
        if not isinstance(delivery, Delivered):
            lost.append(delivery)

    writer.send(made(0), done)
    writer.flush(_WITHIN_S)  # connected, before the clock starts
    begin = time.perf_counter()
    for number in range(count):
        writer.send(made(number), done)
    left = writer.flush(_WITHIN_S)
    seconds = time.perf_counter() - begin
    writer.close()
    if left or lost:
        raise RuntimeError(f"{left} events not delivered, {len(lost)} failed: {lost[:1]}")
    return count / seconds


def folded(bootstrap: str, topic: str, count: int, usage: Usage) -> float:
    """Events a second through the consumer loop: from the first batch that came to the last."""
    log = Timed(KafkaLog(bootstrap=bootstrap, client_id="bench"))
    stop = threading.Event()
    ends: list[float] = []

    def effect(chunk: Facts) -> None:
        usage(chunk)
        if usage.seen >= count:
            ends.append(time.perf_counter())
            stop.set()

    consumer = Consumer(
        name="bench",
        log=log,
        read=Decoder(replace(REQUESTS, name=topic)),
        effect=effect,
        positions=_Kept(topic),
        dead_letters=_None(),
        clock_monotonic=time.monotonic,
    )
    consumer.run(stop)
    if usage.requests != count:
        raise RuntimeError("the eventlog did not count every event once")
    return count / (ends[0] - log.begin)


class _Kept:
    """Positions of one run, kept in memory as stats keeps its own in a transaction."""

    def __init__(self, topic: str) -> None:
        self._ends = {
            Partition(topic=topic, number=number): BEGINNING for number in range(PARTITIONS)
        }

    def starts(self) -> Mapping[Partition, int]:
        return self._ends

    def moved(self, ends: Mapping[Partition, int]) -> None:
        self._ends = {**self._ends, **ends}


class _None:
    """Every event of the race can be read: a dead letter is a failure of the race."""

    def put(self, record: Record, reason: str) -> None:
        raise RuntimeError(f"{record.partition} {record.offset}: {reason}")

    def flush(self) -> None:
        pass
