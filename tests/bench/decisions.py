"""The race of the versioned log: a command decided, appended and read back, beside the bare client.

The peer appends the same number of bytes and waits until it has read them back itself: what the
broker alone costs. The rest is ours: state, version, command id, fold, answer.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from midstage.contracts.algorithms import TokenBucket
from midstage.contracts.limits import (
    CustomerPlanned,
    CustomerUnplanned,
    LimitFact,
    LimitRemoved,
    LimitSet,
)
from midstage.contracts.topics import LIMITS, Topic
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of
from midstage.eventlog.versions import Versions
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved, quantile
from tests.bench.topics import PARTITIONS, created, removed

GROUP = "versions"
P50 = Measure(name="append and read back, p50", unit="ms", more_is_better=False)
P99 = Measure(name="append and read back, p99", unit="ms", more_is_better=False)
BARE, OURS = "bare confluent-kafka", "midstage execute"
_KEYS = 100
_RECORD = b"-" * 600  # about what one LimitSet weighs as a record
_WITHIN_S = 30.0
_WARM = 5

Limit = LimitSet | None
Command = Callable[[int], None]
"""Carries out the command of that number and returns when it is known to stand in the log."""


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """One command after the other, spread over a hundred keys."""
    del directory
    topic = replace(LIMITS, name=f"bench.{LIMITS.name}.{uuid.uuid4().hex[:8]}")
    standing = settings_of(topic)
    KafkaLog(bootstrap=bootstrap, client_id="bench").create(standing)
    with _bare(bootstrap) as bare, _ours(bootstrap, topic) as ours:
        taken = interleaved(
            [
                Contestant(name=BARE, run=lambda: _timed(bare, size.commands)),
                Contestant(name=OURS, run=lambda: _timed(ours, size.commands)),
            ],
            group=GROUP,
            rounds=size.rounds,
        )
    removed(bootstrap, *(each.name for each in standing))
    counts = dict.fromkeys((BARE, OURS), f"{size.commands:,} commands")
    return figures(group=GROUP, measures=[P50, P99], taken=taken, peers=(BARE,), counts=counts)


def _timed(command: Command, count: int) -> Mapping[str, float]:
    for number in range(_WARM):
        command(number)
    took_ms: list[float] = []
    for number in range(count):
        begin = time.perf_counter()
        command(number)
        took_ms.append((time.perf_counter() - begin) * 1000)
    return {P50.name: quantile(took_ms, 0.5), P99.name: quantile(took_ms, 0.99)}


@contextmanager
def _ours(bootstrap: str, topic: Topic) -> Iterator[Command]:
    """``Versions.execute`` while its loop folds in a thread, as in throttle."""
    versions = Versions[Limit, LimitFact](
        log=KafkaLog(bootstrap=bootstrap, client_id="bench"),
        topic=topic,
        initial=None,
        evolve=_evolve,
        engine="bench/1",
        now=lambda: datetime.now(UTC),
        monotonic=time.monotonic,
        answer_within_s=_WITHIN_S,
    )
    stop = threading.Event()
    folding = threading.Thread(target=versions.run, args=(stop,), name="versions")
    folding.start()

    def execute(number: int) -> None:
        limit = _limit(number)
        versions.execute(
            key=f"limit/{limit.limit}",
            command_id=uuid.uuid4().hex,
            payload=b"",
            decide=lambda _held: [limit],
        )

    try:
        yield execute
    finally:
        stop.set()
        folding.join()


@contextmanager
def _bare(bootstrap: str) -> Iterator[Command]:
    """Produce, and poll until one's own record comes back, in a topic of its own."""
    topic = created(bootstrap, "append")
    to_broker = {"bootstrap.servers": bootstrap}
    producer = Producer({**to_broker, "enable.idempotence": True, "linger.ms": 0})
    consumer = Consumer({**to_broker, "group.id": topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])

    def append(number: int) -> None:
        own = uuid.uuid4().bytes
        producer.produce(topic, value=own + _RECORD, key=f"limit/bench-{number % _KEYS}")
        deadline = time.monotonic() + _WITHIN_S
        while time.monotonic() < deadline:
            read = consumer.poll(_WITHIN_S)
            if read is not None and (read.value() or b"").startswith(own):
                return
        raise TimeoutError(f"a record was not read back within {_WITHIN_S:.0f} s")

    try:
        yield append
    finally:
        consumer.close()
        producer.flush(_WITHIN_S)
        removed(bootstrap, topic)


def _evolve(_held: Limit, fact: LimitFact) -> Limit:
    match fact:
        case LimitSet():
            return fact
        case LimitRemoved() | CustomerPlanned() | CustomerUnplanned():
            return None


def _limit(number: int) -> LimitSet:
    name = f"bench-{number % _KEYS}"
    return LimitSet(
        limit=name,
        customer=name,
        app="chat",
        amount=10,
        algorithm=TokenBucket(period_s=1.0, burst=20),
        why="a limit of the bench",
        at=datetime.now(UTC),
    )
