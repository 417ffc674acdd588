"""Who reads evenly is behind in all partitions alike, and loses nothing of what it took."""

import os
from collections import Counter

import pytest

from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.kafka.evenly import EvenReader, shared_out
from midstage.eventlog.log import GapError, Message, Partition, Record
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.murmur2 import partition_of
from midstage.stats.main import TOGETHER
from tests.kafka import kafka_log

from .conftest import topic_of

MANY_KB = 6 * 1024
"""More than some answers of the broker have of one partition."""


def places(topic: str, count: int) -> list[Partition]:
    return [Partition(topic=topic, number=number) for number in range(count)]


def test_few_of_a_topic_go_together_and_others_go_with_them() -> None:
    many, few, one = places("many", 9), places("few", 2), places("one", 1)
    assert shared_out([*many, *few, *one], together=4) == [
        [many[0], many[3], many[6], few[0], one[0]],
        [many[1], many[4], many[7], few[1]],
        [many[2], many[5], many[8]],
    ]
    assert shared_out(few, together=4) == [few]
    assert shared_out([], together=4) == [[]]


@pytest.fixture
def log() -> MemoryLog:
    made = MemoryLog()
    made.create([topic_of("t")])
    return made


def said(log: MemoryLog, counts: dict[int, int]) -> None:
    """So many records in each partition."""
    keys = {partition_of(b"%d" % n, 3): b"%d" % n for n in range(50)}
    writer = log.writer()
    for number, count in counts.items():
        for n in range(count):
            writer.send(Message(topic="t", key=keys[number], value=b"%d" % n))
    writer.close()


def by_partition(records: list[Record]) -> dict[int, int]:
    return dict(Counter(record.partition.number for record in records))


def test_of_each_is_read_by_how_many_wait(log: MemoryLog) -> None:
    counts = {0: 300, 1: 20, 2: 80}
    said(log, counts)
    reader = EvenReader([log.reader({place: 0}) for place in log.partitions("t")])
    first = list(reader.poll(most=40, timeout_s=0))
    assert by_partition(first) == {0: 30, 1: 2, 2: 8}
    assert sum(reader.lag().values()) == 400 - 40
    rest = list(reader.poll(most=1000, timeout_s=0))
    assert by_partition(first + rest) == counts
    assert {place.number: at for place, at in reader.positions().items()} == counts


def test_what_one_has_no_more_of_others_have_room_for(log: MemoryLog) -> None:
    said(log, {0: 5, 1: 5, 2: 5})
    reader = EvenReader([log.reader({place: 0}) for place in log.partitions("t")])
    assert len(reader.poll(most=16, timeout_s=0)) == 15
    said(log, {2: 7})
    assert len(reader.poll(most=7, timeout_s=0)) == 7


def test_even_one_at_a_time_none_is_left_out(log: MemoryLog) -> None:
    said(log, {0: 50, 1: 50, 2: 50})
    reader = EvenReader([log.reader({place: 0}) for place in log.partitions("t")])
    found = [reader.poll(most=1, timeout_s=0)[0] for _ in range(30)]
    assert by_partition(found) == {0: 10, 1: 10, 2: 10}


def test_what_was_taken_comes_before_what_went_wrong_beside_it(log: MemoryLog) -> None:
    said(log, {0: 3, 1: 3, 2: 3})
    log.forget(Partition(topic="t", number=1), 2)
    reader = EvenReader([log.reader({place: 0}) for place in log.partitions("t")])
    found, gaps = list[Record](), list[int]()
    while len(found) < 6 or len(gaps) < 2:  # the gap stays, and stops nobody else
        try:
            found += reader.poll(most=2, timeout_s=0)
        except GapError as gap:
            gaps.append(gap.partition.number)
    assert set(gaps) == {1}
    assert by_partition(found) == {0: 3, 2: 3}


@pytest.mark.platform
def test_of_few_partitions_each_is_in_every_answer_and_others_with_them(kafka: str) -> None:
    """One client of twelve had all of the first partitions before anything of the last."""
    name = f"test.evenly.{os.urandom(4).hex()}"
    topics = [topic_of(f"{name}.{which}", partitions=TOGETHER) for which in ("many", "few")]
    log = kafka_log(kafka, together=TOGETHER)
    log.create(topics)
    filled(log, topics[0].name, each_kb=MANY_KB)
    filled(log, topics[1].name, each_kb=1)
    reader = log.reader({place: 0 for topic in topics for place in log.partitions(topic.name)})
    assert not isinstance(reader, EvenReader)
    found = Counter[Partition]()
    while max(found.values(), default=0) < MANY_KB:
        found.update(record.partition for record in reader.poll(most=64, timeout_s=60))
    reader.close()
    assert len(found) == 2 * TOGETHER


def filled(log: KafkaLog, topic: str, *, each_kb: int) -> None:
    """So many records of 1 KiB in each partition, which no compression makes smaller."""
    keys = {partition_of(b"%d" % n, TOGETHER): b"%d" % n for n in range(500)}
    writer = log.writer()
    for _ in range(each_kb):
        for key in keys.values():
            writer.send(Message(topic=topic, key=key, value=os.urandom(1024)))
    assert writer.flush(60) == 0
    writer.close()
