"""A consumer that is behind, or busy, makes one chunk of several readings."""

import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import pytest

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.consume import Positions, Whole, WholeConsumer
from midstage.eventlog.dead_letters import DeadLetterTopic
from midstage.eventlog.log import Log, Partition, Reader, Record
from midstage.eventlog.memory import MemoryLog, MemoryPositions
from midstage.testkit.waiting import within

from .conftest import topic_of
from .running import running
from .words import TOPIC, say, word

Chunks = list[Whole[list[str]]]


@pytest.fixture
def log() -> MemoryLog:
    made = MemoryLog()
    made.create([topic_of(TOPIC), topic_of(f"{TOPIC}.test.dlq", partitions=1)])
    return made


@pytest.fixture
def positions(log: MemoryLog) -> MemoryPositions:
    return MemoryPositions(log.partitions(TOPIC))


def consumer(
    log: Log,
    positions: Positions,
    chunks: Chunks,
    *,
    read: list[int],
    weigh: Callable[[Record], int] = lambda record: 1,
    ahead: bool = False,
) -> WholeConsumer[list[str]]:
    """Two records are read at once, and five become a chunk where many wait."""

    def words(records: Sequence[Record], put: Callable[[Record, str], None]) -> list[str]:
        read.append(len(records))
        return [word(record) for record in records]

    return WholeConsumer[list[str]](
        name="test",
        log=log,
        read=words,
        effect=chunks.append,
        positions=positions,
        dead_letters=DeadLetterTopic(log=log, reader="test", within_s=0.2),
        most=2,
        weigh=weigh,
        join=lambda parts: [each for part in parts for each in part],
        gathered=5,
        ahead=ahead,
    )


def test_while_many_wait_several_readings_are_one_chunk(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    said = [str(number) for number in range(20)]
    say(log, *said)
    chunks, read = Chunks(), list[int]()
    with running(consumer(log, positions, chunks, read=read)):
        within(60, lambda: sum(len(chunk.content) for chunk in chunks) == 20)
    assert sorted(each for chunk in chunks for each in chunk.content) == sorted(said)
    sizes = [len(chunk.content) for chunk in chunks]
    assert sizes[:2] == [6, 4]  # as many readings as it takes, of a quarter of what waits
    assert sizes[-1] == 2  # few wait: nothing is waited for
    assert max(read) == 2
    for before, after in pairwise(chunks):
        for place, begin in after.begins.items():
            assert begin == before.ends.get(place, begin)
    ends = {place: end for chunk in chunks for place, end in chunk.ends.items()}
    assert sum(ends.values()) == 20


def test_what_weighs_enough_is_a_chunk(log: MemoryLog, positions: MemoryPositions) -> None:
    say(log, *(str(number) for number in range(20)))
    chunks, read = Chunks(), list[int]()
    with running(consumer(log, positions, chunks, read=read, weigh=lambda record: 3)):
        within(60, lambda: sum(len(chunk.content) for chunk in chunks) == 20)
    assert {len(chunk.content) for chunk in chunks} == {2}


def test_what_waits_is_told_by_its_weight_too(log: MemoryLog, positions: MemoryPositions) -> None:
    say(log, *(str(number) for number in range(20)))
    waited = list[tuple[int, int]]()

    class Asking(list[Whole[list[str]]]):
        def append(self, chunk: Whole[list[str]]) -> None:
            waited.append((loop.lag(), loop.waiting()))

    loop = consumer(log, positions, Asking(), read=[], weigh=lambda record: 3)
    with running(loop):
        within(60, lambda: len(waited) == 10)
    assert waited == [(left, 3 * left) for left in range(18, -1, -2)]


class Held(list[Whole[list[str]]]):
    """An effect that takes until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def append(self, chunk: Whole[list[str]]) -> None:
        self.go.wait()
        super().append(chunk)


def test_what_comes_while_a_chunk_has_its_effect_is_the_next_one(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    """Few wait, but none of them could have its effect before."""
    say(log, *(str(number) for number in range(6)))
    held, read = Held(), list[int]()
    with running(consumer(log, positions, held, read=read, ahead=True)):
        within(60, lambda: sum(read) == 6)
        assert held == []
        held.go.set()
        within(60, lambda: len(held) == 2)
    assert [len(chunk.content) for chunk in held] == [2, 4]


class OnceAway:
    """A log whose second poll finds no broker."""

    def __init__(self, inner: MemoryLog) -> None:
        self._inner = inner
        self.writer, self.create = inner.writer, inner.create
        self.partitions, self.ends = inner.partitions, inner.ends
        self.beginnings, self.offsets_at = inner.beginnings, inner.offsets_at

    def reader(self, starts: Mapping[Partition, int]) -> Reader:
        return _OnceAway(self._inner.reader(starts))


class _OnceAway:
    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._polls = 0
        self.positions, self.lag, self.close = inner.positions, inner.lag, inner.close
        self.runs = inner.runs

    def poll(self, *, most: int, timeout_s: float) -> Sequence[Record]:
        self._polls += 1
        if self._polls == 2:
            raise UnavailableError("the broker is away")
        return self._inner.poll(most=most, timeout_s=timeout_s)


def test_what_was_read_has_its_effect_though_the_broker_is_away_for_the_rest(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    say(log, *(str(number) for number in range(20)))
    chunks, read = Chunks(), list[int]()
    with running(consumer(OnceAway(log), positions, chunks, read=read)):
        within(60, lambda: sum(len(chunk.content) for chunk in chunks) == 20)
    assert len(chunks[0].content) == 2
