"""A consumer that reads the next chunk while the last has its effect, and weighs what it reads."""

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise

from midstage.eventlog.consume import Positions, Whole, WholeConsumer
from midstage.eventlog.dead_letters import DeadLetterTopic
from midstage.eventlog.log import Record
from midstage.eventlog.memory import MemoryLog, MemoryPositions
from midstage.testkit.waiting import within

from .running import running
from .words import CrashError, say, word


class Gate:
    """An effect that waits until it is let through, and may then fail."""

    def __init__(self) -> None:
        self.began: list[list[bytes]] = []
        self.done: list[list[bytes]] = []
        self.open = threading.Event()
        self.failure: Exception | None = None

    def __call__(self, chunk: Whole[list[bytes]]) -> None:
        self.began.append(chunk.content)
        assert self.open.wait(60)
        if self.failure is not None:
            raise self.failure
        self.done.append(chunk.content)


def going_ahead(
    log: MemoryLog, gate: Gate, positions: Positions, read: list[bytes]
) -> WholeConsumer[list[bytes]]:
    def values(records: Sequence[Record], put: Callable[[Record, str], None]) -> list[bytes]:
        found = [record.value or b"" for record in records]
        read.extend(found)
        return found

    return WholeConsumer(
        name="test",
        log=log,
        read=values,
        effect=gate,
        positions=positions,
        dead_letters=DeadLetterTopic(log=log, reader="test", within_s=0.2),
        most=1,
        ahead=True,
    )


def test_one_chunk_is_read_while_the_last_has_its_effect_and_no_more(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    say(log, *"abc")
    gate, read = Gate(), list[bytes]()
    with running(going_ahead(log, gate, positions, read)):
        within(60, lambda: read == [b"a", b"b"])
        within(
            60, lambda: gate.began == [[b"a"]]
        )  # on a thread of its own, maybe after the reading
        assert read == [b"a", b"b"]
        gate.open.set()
        within(60, lambda: gate.done == [[b"a"], [b"b"], [b"c"]])
        within(60, lambda: sum(max(0, at) for at in positions.starts().values()) == 3)


def test_after_an_effect_that_failed_nothing_that_was_read_ahead_has_its_effect(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    say(log, *"abc")
    gate, read = Gate(), list[bytes]()
    gate.failure = CrashError()
    consumer = going_ahead(log, gate, positions, read)
    with running(consumer) as loop:
        within(60, lambda: read == [b"a", b"b"])
        log.cut()  # the reader waits for its broker, and must hear of the failure all the same
        gate.open.set()
        assert isinstance(loop.ended(), CrashError)
    assert (gate.began, gate.done) == ([[b"a"]], [])
    assert all(at <= 0 for at in positions.starts().values())


def test_what_is_too_heavy_together_is_read_in_further_chunks(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    """A few small records may hold very much; each chunk begins where the last one ended."""
    say(log, "1", "3", "2", "9", "4", "1")
    chunks: list[Whole[list[str]]] = []

    def words(records: Sequence[Record], put: Callable[[Record, str], None]) -> list[str]:
        return [word(record) for record in records]

    loop = WholeConsumer[list[str]](
        name="test",
        log=log,
        read=words,
        effect=chunks.append,
        positions=positions,
        dead_letters=DeadLetterTopic(log=log, reader="test", within_s=0.2),
        weigh=lambda record: int(word(record)),
        heaviest=5,
    )
    with running(loop):
        within(60, lambda: sum(len(chunk.content) for chunk in chunks) == 6)
    assert [chunk.content for chunk in chunks] == [["1", "3"], ["2"], ["9"], ["4", "1"]]
    for before, after in pairwise(chunks):
        assert before.ends == after.begins
    assert sorted(chunks[-1].ends.values()) == [6]


def test_what_is_heavy_enough_is_not_waited_with(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    say(log, "9")
    chunks: list[Whole[Sequence[Record]]] = []
    loop = WholeConsumer[Sequence[Record]](
        name="test",
        log=log,
        read=lambda records, put: records,
        effect=chunks.append,
        positions=positions,
        dead_letters=DeadLetterTopic(log=log, reader="test", within_s=0.2),
        linger_s=60,
        weigh=lambda record: int(word(record)),
        heaviest=5,
    )
    with running(loop):
        within(60, lambda: len(chunks) == 1)
