"""What every log promises; the suite takes a log and knows no implementation."""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.log import (
    BEGINNING,
    Delivered,
    Delivery,
    GapError,
    Log,
    Message,
    Partition,
    Reader,
    Record,
    Run,
)
from midstage.eventlog.murmur2 import partition_of
from midstage.testkit.waiting import within

from .conftest import Bench

WITHIN_S = 60.0


def written(log: Log, *messages: Message) -> list[Delivered]:
    heard: list[Delivery] = []
    writer = log.writer()
    for message in messages:
        writer.send(message, heard.append)
    assert writer.flush(WITHIN_S) == 0
    writer.close()
    delivered = [each for each in heard if isinstance(each, Delivered)]
    assert len(delivered) == len(messages), heard
    return delivered


def read(reader: Reader, count: int) -> list[Record]:
    deadline = time.monotonic() + WITHIN_S
    records: list[Record] = []
    while len(records) < count:
        assert time.monotonic() < deadline, f"only {len(records)} of {count} records came"
        records.extend(reader.poll(most=100, timeout_s=0.2))
    return records


def read_in_runs(reader: Reader, count: int) -> list[Run]:
    deadline = time.monotonic() + WITHIN_S
    runs: list[Run] = []
    while sum(len(run.values) for run in runs) < count:
        assert time.monotonic() < deadline, f"only {runs} of {count} values came"
        runs.extend(reader.runs(most=100, timeout_s=0.2))
    return runs


def from_the_beginning(log: Log, topic: str) -> Reader:
    return log.reader(dict.fromkeys(log.partitions(topic), BEGINNING))


def words(
    topic: str, *values: str, key: bytes | None = b"k", partition: int | None = None
) -> list[Message]:
    return [
        Message(topic=topic, key=key, value=value.encode(), partition=partition) for value in values
    ]


def values(records: Sequence[Record]) -> list[str]:
    return [(record.value or b"").decode() for record in records]


def test_what_is_written_is_read_as_it_was(bench: Bench) -> None:
    headers = (("content-type", b"text/plain"), ("empty", b""), ("content-type", b"again"))
    before_ms = time.time_ns() // 1_000_000
    [at] = written(
        bench.log, Message(topic=bench.topic, key=b"k", value=b"\x00\xff", headers=headers)
    )

    [record] = read(from_the_beginning(bench.log, bench.topic), 1)

    assert (record.partition, record.offset) == (at.partition, at.offset)
    assert (record.key, record.value, record.headers) == (b"k", b"\x00\xff", headers)
    assert before_ms - 1000 <= record.timestamp_ms <= time.time_ns() // 1_000_000 + 1000


def test_a_partition_keeps_its_order_and_a_key_its_partition(bench: Bench) -> None:
    sent = [f"{number}" for number in range(500)]
    places = written(bench.log, *words(bench.topic, *sent))

    records = read(from_the_beginning(bench.log, bench.topic), 500)

    assert values(records) == sent
    assert {record.partition for record in records} == {places[0].partition}
    assert [record.offset for record in records] == list(range(500))


def test_the_partition_of_a_key_is_murmur2s(bench: Bench) -> None:
    keys = [f"edges/edge-1/{number}".encode() for number in range(40)] + [b"\xff", "é".encode()]
    written(bench.log, *[Message(topic=bench.topic, key=key, value=key) for key in keys])
    records = read(from_the_beginning(bench.log, bench.topic), len(keys))
    assert {record.key: record.partition.number for record in records} == {
        key: partition_of(key, 3) for key in keys
    }


def test_a_named_partition_overrules_the_key(bench: Bench) -> None:
    [at] = written(bench.log, *words(bench.topic, "a", partition=2))
    assert at.partition == Partition(topic=bench.topic, number=2)


def test_acknowledgements_come_in_order_from_another_thread(bench: Bench) -> None:
    heard: list[tuple[Delivery, int]] = []
    writer = bench.log.writer()
    for message in words(bench.topic, *map(str, range(200))):
        writer.send(message, lambda delivery: heard.append((delivery, threading.get_ident())))
    assert writer.flush(WITHIN_S) == 0
    offsets = [each.offset for each, _ in heard if isinstance(each, Delivered)]
    assert offsets == list(range(200))
    assert threading.get_ident() not in {thread for _, thread in heard}
    writer.close()


def test_a_reader_starts_where_it_is_told_and_says_where_it_stands(bench: Bench) -> None:
    [place, *_] = bench.log.partitions(bench.topic)
    written(bench.log, *words(bench.topic, "a", "b", "c", "d", partition=place.number))

    reader = bench.log.reader({place: 2})
    assert reader.positions() == {place: 2}
    assert values(read(reader, 2)) == ["c", "d"]
    assert reader.positions() == {place: 4}
    assert reader.lag() == {place: 0}
    assert reader.poll(most=10, timeout_s=0.05) in ((), [])
    reader.close()


def test_a_poll_takes_no_more_than_it_was_asked_for(bench: Bench) -> None:
    [place, *_] = bench.log.partitions(bench.topic)
    written(bench.log, *words(bench.topic, *map(str, range(10)), partition=place.number))
    reader = bench.log.reader({place: BEGINNING})
    taken: list[Record] = []
    while len(taken) < 10:
        some = reader.poll(most=3, timeout_s=1.0)
        assert len(some) <= 3
        taken.extend(some)
        assert reader.positions() == {place: len(taken)}
    assert values(taken) == [str(number) for number in range(10)]


def test_a_reader_waits_for_what_is_written_later(bench: Bench) -> None:
    reader = bench.log.reader(bench.log.ends(bench.log.partitions(bench.topic)))
    assert list(reader.poll(most=10, timeout_s=0.05)) == []
    written(bench.log, *words(bench.topic, "late"))
    assert values(read(reader, 1)) == ["late"]


def test_offsets_are_found_by_the_time_of_writing(bench: Bench) -> None:
    [place, empty, _] = bench.log.partitions(bench.topic)
    written(bench.log, *words(bench.topic, "a", "b", partition=place.number))
    between = datetime.now(UTC) + timedelta(milliseconds=5)
    within(60, lambda: datetime.now(UTC) > between + timedelta(milliseconds=5))
    written(bench.log, *words(bench.topic, "c", "d", partition=place.number))

    long_ago = datetime(1990, 1, 1, tzinfo=UTC)
    assert bench.log.offsets_at([place, empty], long_ago) == {place: 0, empty: 0}
    assert bench.log.offsets_at([place, empty], between) == {place: 2, empty: 0}
    later = datetime.now(UTC) + timedelta(hours=1)
    assert bench.log.offsets_at([place], later) == {place: 4}
    bench.forget(place, 3)
    assert bench.log.offsets_at([place], long_ago) == {place: 3}
    assert bench.log.offsets_at([], later) == {}


def test_lag_is_what_is_still_to_be_read(bench: Bench) -> None:
    [place, *_] = bench.log.partitions(bench.topic)
    written(bench.log, *words(bench.topic, *map(str, range(10)), partition=place.number))
    reader = bench.log.reader({place: 4})
    assert reader.lag() == {place: 6}
    read(reader, 6)
    assert reader.lag() == {place: 0}


def test_ends_and_beginnings(bench: Bench) -> None:
    [place, other, _] = bench.log.partitions(bench.topic)
    written(bench.log, *words(bench.topic, "a", "b", "c", partition=place.number))
    bench.forget(place, 2)

    assert bench.log.ends([place, other]) == {place: 3, other: 0}
    assert bench.log.beginnings([place, other]) == {place: 2, other: 0}
    assert bench.log.ends([]) == {}


def test_an_offset_that_is_gone_is_an_error_by_name_and_nothing_is_skipped(bench: Bench) -> None:
    [place, *_] = bench.log.partitions(bench.topic)
    written(bench.log, *words(bench.topic, "a", "b", "c", partition=place.number))
    bench.forget(place, 2)
    reader = bench.log.reader({place: 1})

    gap = the_gap(reader)

    assert (gap.partition, gap.offset) == (place, 1)
    assert bench.topic in str(gap)
    assert reader.positions() == {place: 1}
    with pytest.raises(GapError):
        reader.poll(most=10, timeout_s=0.1)
    assert values(read(bench.log.reader({place: BEGINNING}), 1)) == ["c"]


def test_an_offset_beyond_the_end_is_the_same_error(bench: Bench) -> None:
    [place, *_] = bench.log.partitions(bench.topic)
    written(bench.log, *words(bench.topic, "a", partition=place.number))
    assert the_gap(bench.log.reader({place: 50})).offset == 50


def the_gap(reader: Reader) -> GapError:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        try:
            assert not reader.poll(most=10, timeout_s=0.2)
        except GapError as gap:
            return gap
    raise AssertionError("no gap was ever named")


def test_two_readers_read_the_same_each_for_itself(bench: Bench) -> None:
    written(bench.log, *words(bench.topic, "a", "b"))
    first, second = (from_the_beginning(bench.log, bench.topic) for _ in range(2))
    assert values(read(first, 2)) == values(read(second, 2)) == ["a", "b"]


def test_a_message_above_the_topics_limit_is_refused_and_the_next_goes_on(bench: Bench) -> None:
    small = bench.another(message_bytes=1024 * 1024)
    bench.log.create([small])
    writer = bench.log.writer()
    with pytest.raises(RefusedError, match="limit"):
        writer.send(Message(topic=small.name, key=b"k", value=b"x" * (1024 * 1024 + 1)))
    writer.close()
    written(bench.log, *words(small.name, "fits"))
    assert values(read(from_the_beginning(bench.log, small.name), 1)) == ["fits"]


def test_creating_twice_changes_nothing_and_another_partition_count_is_refused(
    bench: Bench,
) -> None:
    settings = bench.another(partitions=2)
    bench.log.create([settings])
    written(bench.log, *words(settings.name, "kept"))
    bench.log.create([settings])
    assert values(read(from_the_beginning(bench.log, settings.name), 1)) == ["kept"]
    more = type(settings)(
        name=settings.name, partitions=4, retention_ms=-1, message_bytes=settings.message_bytes
    )
    with pytest.raises(RefusedError, match=settings.name):
        bench.log.create([more])


def test_a_topic_that_does_not_exist_is_unavailable(bench: Bench) -> None:
    with pytest.raises(UnavailableError, match="nowhere"):
        bench.log.partitions(f"{bench.topic}.nowhere")


def test_a_closed_writer_delivered_what_it_was_given(bench: Bench) -> None:
    writer = bench.log.writer()
    for message in words(bench.topic, *map(str, range(50))):
        writer.send(message)
    writer.close()
    assert len(read(from_the_beginning(bench.log, bench.topic), 50)) == 50


def test_runs_say_what_records_say(bench: Bench) -> None:
    """Values alone, in the order of their partitions, and the whole record of those asked for."""
    log, topic = bench.log, bench.topic
    places = log.partitions(topic)
    marks = [Message(topic=topic, key=b"k", value=None, partition=p.number) for p in places]
    texts = [
        each for place in places for each in words(topic, "a", "b", "c", partition=place.number)
    ]
    written(log, *texts, *marks)
    count = len(texts) + len(marks)
    records = read(from_the_beginning(log, topic), count)

    reader = from_the_beginning(log, topic)
    runs = read_in_runs(reader, count)

    whole = [run.whole(number) for run in runs for number in range(len(run.values))]
    assert [value for run in runs for value in run.values] == [each.value for each in whole]
    for place in places:
        assert [each for each in whole if each.partition == place] == [
            each for each in records if each.partition == place
        ]
    assert all(each.partition == run.partition for run in runs for each in [run.whole(0)])
    assert reader.positions() == log.ends(places)


def test_runs_go_on_where_records_ended_and_name_a_gap(bench: Bench) -> None:
    log = bench.log
    place = log.partitions(bench.topic)[0]
    written(log, *words(bench.topic, "a", "b", partition=place.number))
    reader = log.reader({place: 0})
    assert values(reader.poll(most=1, timeout_s=WITHIN_S)) == ["a"]
    [run] = read_in_runs(reader, 1)
    assert run.values == [b"b"]
    beyond = log.reader({place: 9})
    with pytest.raises(GapError):
        read_in_runs(beyond, 1)
