"""A view that is kept current from a compacted topic and its stream, on both logs."""

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from midstage.contracts import topics
from midstage.contracts.cluster import POD_OBSERVED, Phase, PodObserved
from midstage.contracts.errors import UnavailableError, UnreadableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import Decoders, message
from midstage.eventlog.current import OVERLAP, Current, Since
from midstage.eventlog.log import Log, Message, Partition, Record
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.eventlog.conftest import Bench, topic_of
from tests.eventlog.running import running

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Seen:
    """What a loop has folded, in the order in which it came."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.calls = 0
        self.records: list[Record] = []

    def apply(self, event: Event[Fact], record: Record) -> None:
        self.records.append(record)
        assert isinstance(event.data, PodObserved)
        self.names.append(event.data.name)

    def change(self) -> None:
        self.calls += 1


class Pair:
    """A stream and its compacted topic on one log."""

    def __init__(self, log: Log, name: str) -> None:
        self.log = log
        self.stream = dataclasses.replace(topics.CLUSTER, name=name)
        self.newest = dataclasses.replace(topics.INVENTORY, name=f"{name}.newest")
        log.create([topic_of(self.newest.name)])
        self.writer = log.writer()

    def put(self, topic: Topic, *names: str) -> None:
        for name in names:
            self.writer.send(said(topic, name))
        assert self.writer.flush(60) == 0

    def loop(
        self, seen: Seen, *, since: Since = Since.END, whole: bool = True, overlap: int = OVERLAP
    ) -> Current[Event[Fact]]:
        return Current(
            name="view",
            log=self.log,
            stream=self.stream,
            compacted=self.newest if whole else None,
            read=Decoders(self.stream, self.newest),
            apply=seen.apply,
            since=since,
            overlap=overlap,
            on_change=seen.change,
        )


@pytest.fixture
def pair(bench: Bench) -> Iterator[Pair]:
    made = Pair(bench.log, bench.topic)
    yield made
    made.writer.close()


def said(topic: Topic, name: str) -> Message:
    fact = PodObserved(
        cluster="local",
        name=name,
        epoch=1,
        observed_at=NOON,
        phase=Phase.RUNNING,
        created_at=NOON,
    )
    event = Event(id=name, source="test", type=POD_OBSERVED, time=NOON, data=fact)
    return message(event, topic=topic.name, key=name)


@contextmanager
def current(loop: Current[Event[Fact]]) -> Iterator[Current[Event[Fact]]]:
    with running(loop):
        within(60, lambda: loop.caught_up() is None)
        yield loop


@pytest.mark.slow
def test_the_newest_first_then_the_stream(pair: Pair) -> None:
    pair.put(pair.stream, "old")
    pair.put(pair.newest, "a", "b", "c")
    seen = Seen()
    with current(pair.loop(seen, overlap=0)):
        assert sorted(seen.names) == ["a", "b", "c"]
        before = seen.calls
        assert before >= 1
        pair.put(pair.stream, "d")
        within(60, lambda: seen.calls > before)  # called after the fold, without the lock
        assert seen.names[-1] == "d"
        assert "old" not in seen.names


@pytest.mark.slow
def test_what_a_writer_has_not_brought_into_the_compacted_topic_yet(pair: Pair) -> None:
    """It writes to the stream first; a view that begins in between must not miss the fact."""
    pair.put(pair.newest, "a")
    pair.put(pair.stream, "a", "b")
    blind, seen = Seen(), Seen()
    with current(pair.loop(blind, overlap=0)), current(pair.loop(seen)) as loop:
        loop.wait_for_all(60)
        assert blind.names == ["a"]
        assert sorted(seen.names) == ["a", "a", "b"]
        again = [each for each in seen.records if each.partition.topic == pair.stream.name]
        assert [loop.replays(each) for each in again] == [True, True]
        pair.put(pair.stream, "c")
        loop.wait_for_all(60)
        assert seen.names[-1] == "c"
        assert not loop.replays(seen.records[-1])


@pytest.mark.slow
def test_a_stream_from_its_oldest_record(pair: Pair) -> None:
    pair.put(pair.stream, "a", "b")
    seen = Seen()
    with current(pair.loop(seen, since=Since.OLDEST, whole=False)) as loop:
        assert sorted(seen.names) == ["a", "b"]
        assert sum(loop.positions().values()) == 2
        pair.put(pair.stream, "c")
        loop.wait_for_all(60)
        assert seen.names[-1] == "c"
        assert sum(loop.positions().values()) == 3


@pytest.mark.slow
def test_a_stream_alone_begins_at_its_end(pair: Pair) -> None:
    pair.put(pair.stream, "old")
    seen = Seen()
    with current(pair.loop(seen, whole=False)) as loop:
        pair.put(pair.stream, "new")
        loop.wait_for_all(60)
        assert seen.names == ["new"]


@pytest.mark.slow
def test_what_cannot_be_read_is_skipped(pair: Pair) -> None:
    for topic in (pair.newest, pair.stream):
        pair.writer.send(Message(topic=topic.name, key=b"x", value=b"\xff not an event"))
    pair.put(pair.newest, "a")
    seen = Seen()
    with current(pair.loop(seen)) as loop:
        pair.writer.send(Message(topic=pair.stream.name, key=b"x", value=b"{}"))
        pair.put(pair.stream, "b")
        loop.wait_for_all(60)
        assert seen.names == ["a", "b"]


class Words:
    """A batch of values that are no JSON."""

    def __init__(self, seen: list[bytes], partition: Partition) -> None:
        self.seen = seen
        self.partition = partition
        self.added: list[bytes] = []

    def add(self, value: bytes) -> bool:
        if value.startswith(b"{"):
            return False
        self.added.append(value)
        return True

    def apply(self) -> None:
        self.seen += self.added


@pytest.mark.slow
def test_what_a_batch_takes_is_folded_in_its_place_among_the_others(pair: Pair) -> None:
    folded: list[bytes] = []
    place = pair.log.partitions(pair.stream.name)[0]

    def whole(record: Record) -> list[bytes]:
        if record.value == b"{unreadable":
            raise UnreadableError("as it says")
        return [b"whole " + (record.value or b"none")]

    loop = Current(
        name="view",
        log=pair.log,
        stream=pair.stream,
        read=whole,
        apply=lambda said, _: folded.append(said),
        batches=lambda partition: Words(folded, partition),
        since=Since.OLDEST,
    )
    values = (b"a", b"b", b"{1}", None, b"{unreadable", b"c", b"{2}")
    with running(loop):
        within(60, lambda: loop.caught_up() is None)
        for value in values:
            pair.writer.send(
                Message(topic=place.topic, key=b"k", value=value, partition=place.number)
            )
        assert pair.writer.flush(60) == 0
        loop.wait_for_all(60)
        with loop.changed:
            assert folded == [b"a", b"b", b"whole {1}", b"whole none", b"c", b"whole {2}"]


@pytest.mark.slow
def test_records_that_are_gone_make_it_begin_anew(bench: Bench, pair: Pair) -> None:
    """Its position fell out of what is held: the newest of each key fills the hole."""
    log = pair.log
    if not isinstance(log, MemoryLog):
        pytest.skip("only the fake forgets what a reader has not read yet")
    pair.put(pair.newest, "a")
    seen = Seen()
    with current(pair.loop(seen)) as loop:
        assert seen.names == ["a"]
        places = log.partitions(pair.stream.name)
        for place in places:
            log.forget(place, 5)
        for place in places:
            fill(pair, place, 6)
        within(60, lambda: seen.names.count("a") >= 2)  # once for each try while it is filled
        within(60, lambda: loop.caught_up() is None)


@pytest.mark.slow
def test_it_waits_for_a_broker_that_is_away() -> None:
    log = MemoryLog()
    log.create([topic_of("test.current")])
    pair = Pair(log, "test.current")
    pair.put(pair.newest, "a")
    log.cut()
    seen = Seen()
    loop = pair.loop(seen)
    with running(loop):
        within(60, lambda: loop.caught_up() == "the broker is away")
        with pytest.raises(UnavailableError):
            loop.wait_for_all(0.01)
        log.mend()
        within(60, lambda: loop.caught_up() is None)
        assert seen.names == ["a"]
    assert loop.caught_up() is not None
    pair.writer.close()


def test_it_ends_while_it_waits_for_a_topic() -> None:
    log = MemoryLog()
    loop = Current(
        name="view",
        log=log,
        stream=topics.CLUSTER,
        read=Decoders(topics.CLUSTER),
        apply=Seen().apply,
    )
    with running(loop) as thread:
        within(60, lambda: "does not exist" in (loop.caught_up() or ""))
        thread.stop()
    assert threading.active_count() >= 1


def fill(pair: Pair, place: Partition, count: int) -> None:
    for _ in range(count):
        pair.writer.send(Message(topic=place.topic, key=None, value=b"{}", partition=place.number))
    assert pair.writer.flush(60) == 0
