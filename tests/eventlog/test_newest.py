"""The newest records first: page by page all of them, in order, within bounds, moving nobody."""

import itertools
from collections.abc import Mapping, Sequence
from contextlib import closing

import pytest
from confluent_kafka import Consumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.log import Log, Message, Partition, Record
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.newest import Bounds, Newest, newest
from midstage.testkit.waiting import within
from tests.kafka import kafka_log

from .conftest import Bench, topic_of
from .words import TOPIC

PATIENT = Bounds(within_s=60.0)


def between(log: Log, places: Sequence[Partition]) -> Mapping[Partition, tuple[int, int]]:
    beginnings, ends = log.beginnings(places), log.ends(places)
    return {place: (beginnings[place], ends[place]) for place in places}


def write(log: Log, *messages: Message) -> None:
    with closing(log.writer()) as writer:
        for message in messages:
            writer.send(message)
        assert writer.flush(60.0) == 0


def said(record: Record) -> str | None:
    text = (record.value or b"").decode()
    return None if text.startswith("other") else text


def pages(
    log: Log, places: Sequence[Partition], *, most: int, bounds: Bounds = PATIENT
) -> list[Newest[tuple[Partition, int, str]]]:
    """All pages, to the last one."""
    whole = between(log, places)
    asked, found = whole, list[Newest[tuple[Partition, int, str]]]()
    while asked:
        page = newest(
            log,
            asked,
            keep=lambda record: (
                None if (text := said(record)) is None else (record.partition, record.offset, text)
            ),
            most=most,
            bounds=bounds,
        )
        assert page.below != {place: top for place, (_, top) in asked.items()}, "it stands still"
        found.append(page)
        asked = {place: (whole[place][0], top) for place, top in page.below.items()}
    return found


@given(
    written=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.booleans()), max_size=60),
    most=st.integers(1, 12),
    records=st.integers(1, 60),
)
def test_pages_together_are_all_of_it_once_and_in_order(
    written: list[tuple[int, int, bool]], most: int, records: int
) -> None:
    times = iter([at for _, at, _ in written])
    log = MemoryLog(now_ms=lambda: next(times))
    log.create([topic_of(TOPIC)])
    for number, (partition, _, meant) in enumerate(written):
        text = f"{number}" if meant else f"other {number}"
        message = Message(topic=TOPIC, key=None, value=text.encode(), partition=partition)
        write(log, message)
    found = pages(
        log, log.partitions(TOPIC), most=most, bounds=Bounds(records=records, within_s=60.0)
    )
    shown = [item for page in found for item in page.items]
    assert sorted(int(text) for _, _, text in shown) == [
        number for number, (_, _, meant) in enumerate(written) if meant
    ]
    for place in log.partitions(TOPIC):
        offsets = [offset for where, offset, _ in shown if where == place]
        assert offsets == sorted(offsets, reverse=True)
    assert all(len(page.items) <= most for page in found)


@given(partitions=st.lists(st.integers(0, 2), min_size=1, max_size=60), most=st.integers(1, 12))
def test_between_partitions_time_decides(partitions: list[int], most: int) -> None:
    clock = itertools.count(1)
    log = MemoryLog(now_ms=lambda: next(clock))
    log.create([topic_of(TOPIC)])
    for number, partition in enumerate(partitions):
        text = f"{number}".encode()
        write(log, Message(topic=TOPIC, key=None, value=text, partition=partition))
    found = pages(log, log.partitions(TOPIC), most=most)
    shown = [int(text) for page in found for _, _, text in page.items]
    assert shown == sorted(range(len(partitions)), reverse=True)


def test_a_look_costs_little_where_much_is_held(bench: Bench) -> None:
    places = bench.log.partitions(bench.topic)
    write(
        bench.log,
        *(
            Message(topic=bench.topic, key=None, value=f"{number}".encode(), partition=number % 3)
            for number in range(1_500)
        ),
    )
    found = newest(bench.log, between(bench.log, places), keep=said, most=5, bounds=PATIENT)
    assert len(found.items) == 5
    assert found.looked_at <= 100
    whole = pages(bench.log, places, most=500)
    assert sum(len(page.items) for page in whole) == 1_500


def test_what_is_large_is_read_a_few_at_a_time(bench: Bench) -> None:
    large = b"x" * 900_000
    place = bench.log.partitions(bench.topic)[0]
    texts = [f"{number} ".encode() + large for number in range(40)]
    write(
        bench.log,
        *(Message(topic=bench.topic, key=None, value=text, partition=0) for text in texts),
    )
    bounds = Bounds(within_s=60.0, window_bytes=2_000_000, records=9)
    found = newest(bench.log, between(bench.log, [place]), keep=said, most=40, bounds=bounds)
    assert [text.split()[0] for text in found.items] == [f"{39 - n}" for n in range(10)]
    assert found.below == {place: 30}


def test_what_can_not_be_had_in_time_says_so_and_what_could_is_kept(bench: Bench) -> None:
    places = bench.log.partitions(bench.topic)[:1]
    write(
        bench.log,
        *(
            Message(topic=bench.topic, key=None, value=f"{n}".encode(), partition=0)
            for n in range(100)
        ),
    )
    with pytest.raises(UnavailableError, match="ask again"):
        newest(
            bench.log,
            between(bench.log, places),
            keep=said,
            most=50,
            monotonic=itertools.count(0.0, 10.0).__next__,
        )

    now = 0.0

    def late(record: Record) -> str | None:
        """The last 8 are looked at in no time, then time flies."""
        nonlocal now
        now = 100.0 if record.offset < 92 else now
        return said(record)

    found = newest(bench.log, between(bench.log, places), keep=late, most=50, monotonic=lambda: now)
    assert found.items[:8] == [f"{99 - n}" for n in range(8)]
    assert found.below[places[0]] in {60, 92}
    assert len(found.items) <= 50


def test_what_was_deleted_meanwhile_is_asked_for_again(bench: Bench) -> None:
    places = bench.log.partitions(bench.topic)[:1]
    write(
        bench.log,
        *(
            Message(topic=bench.topic, key=None, value=f"{n}".encode(), partition=0)
            for n in range(20)
        ),
    )
    before = between(bench.log, places)
    bench.forget(places[0], 19)
    with pytest.raises(UnavailableError, match="deleted meanwhile"):
        newest(bench.log, before, keep=said, most=10, bounds=PATIENT)
    found = newest(bench.log, between(bench.log, places), keep=said, most=10, bounds=PATIENT)
    assert (list(found.items), len(found.below), found.looked_at) == (["19"], 0, 1)


def test_nothing_is_found_in_nothing(bench: Bench) -> None:
    places = bench.log.partitions(bench.topic)
    found = newest(bench.log, between(bench.log, places), keep=said, most=10)
    assert (list(found.items), len(found.below), found.looked_at) == ([], 0, 0)


@pytest.mark.platform
def test_no_group_is_moved(kafka: str) -> None:
    log = kafka_log(kafka)
    name = topic_of(f"{TOPIC}.newest").name
    log.create([topic_of(name, partitions=1)])
    [place] = log.partitions(name)
    write(log, *(Message(topic=name, key=None, value=b"%d" % n) for n in range(10)))
    with closing(
        Consumer({"bootstrap.servers": kafka, "group.id": "test", "enable.auto.commit": False})
    ) as group:

        def committed() -> int:
            return int(group.committed([TopicPartition(name, 0)], 60)[0].offset)

        group.commit(offsets=[TopicPartition(name, 0, 3)], asynchronous=False)
        found = newest(log, between(log, [place]), keep=said, most=5, bounds=PATIENT)
        assert len(found.items) == 5
        within(60, lambda: committed() == 3)
