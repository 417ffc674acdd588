"""Trouble on the way: what is too large, what can't be sent now, a broker that leaves."""

import threading
from collections.abc import Callable, Mapping, Sequence

import pytest

from midstage.contracts.errors import UnavailableError
from midstage.contracts.topics import DEAD_LETTER_BYTES
from midstage.eventlog.dead_letters import CUT, REASON, DeadLetterTopic
from midstage.eventlog.log import Delivery, Message, Partition, Record
from midstage.eventlog.memory import MemoryLog, MemoryPositions
from midstage.eventlog.memory.clients import MemoryReader, MemoryWriter
from midstage.testkit.waiting import within

from .conftest import topic_of
from .running import running
from .words import TOPIC, Effects, consumer, dead, say


@pytest.mark.parametrize(
    ("value", "headers"),
    [(b"broken" + b"x" * DEAD_LETTER_BYTES, ()), (b"broken", (("h", b"x" * DEAD_LETTER_BYTES),))],
    ids=["value", "headers"],
)
def test_what_is_too_large_for_any_dead_letter_is_cut_and_the_next_goes_on(
    value: bytes, headers: tuple[tuple[str, bytes], ...]
) -> None:
    """Kafka limits what is compressed: a few bytes there can be many megabytes here."""
    log = MemoryLog()
    log.create(
        [
            topic_of(TOPIC, message_bytes=4 * DEAD_LETTER_BYTES),
            topic_of(f"{TOPIC}.test.dlq", partitions=1, message_bytes=DEAD_LETTER_BYTES),
        ]
    )
    writer = log.writer()
    writer.send(Message(topic=TOPIC, key=b"k" * 5000, value=value, headers=headers))
    writer.close()
    say(log, "next", key=b"k" * 5000)
    effects = Effects()
    with running(consumer(log, effects, MemoryPositions(log.partitions(TOPIC)))):
        within(60, lambda: effects.words() == ["next"])

    [letter] = dead(log)
    assert value.startswith(letter.value or b"?")
    assert letter.key != b"k" * 5000
    told = dict(letter.headers)
    assert (told[REASON], told[CUT]) == (b"it says broken", b"%d" % len(value))
    assert "h" not in told


def test_a_dead_letter_that_can_not_be_sent_now_is_sent_later() -> None:
    class Full(MemoryLog):
        def writer(self) -> MemoryWriter:
            return FullOnce(self)

    class FullOnce(MemoryWriter):
        refusals = 2

        def send(self, message: Message, done: Callable[[Delivery], None] | None = None) -> None:
            if self.refusals:
                self.refusals -= 1
                raise UnavailableError("the writer can't take it now")
            super().send(message, done)

    full = Full()
    full.create([topic_of(TOPIC), topic_of(f"{TOPIC}.test.dlq", partitions=1)])
    [place, *_] = full.partitions(TOPIC)
    letters = DeadLetterTopic(log=full, reader="test")
    letters.put(Record(partition=place, offset=0, key=None, value=b"one"), "it says one")
    letters.put(Record(partition=place, offset=1, key=None, value=b"two"), "it says two")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="now"):
            letters.flush()
    letters.flush()
    letters.close()
    assert sorted(letter.value or b"" for letter in dead(full)) == [b"one", b"two"]


def test_a_broker_that_goes_while_a_chunk_is_gathered_takes_nothing_along() -> None:
    """What was polled already has its effect; the reader would never give it again."""
    taken = threading.Event()

    class Leaving(MemoryLog):
        def reader(self, starts: Mapping[Partition, int]) -> MemoryReader:
            return CutAfterOne(self, super().reader(starts).positions())

    class CutAfterOne(MemoryReader):
        def poll(self, *, most: int, timeout_s: float) -> Sequence[Record]:
            if taken.is_set():
                raise UnavailableError("the broker is away")
            records = super().poll(most=1, timeout_s=timeout_s)
            if records:
                taken.set()
            return records

    leaving = Leaving()
    leaving.create([topic_of(TOPIC), topic_of(f"{TOPIC}.test.dlq", partitions=1)])
    say(leaving, "a")
    effects = Effects()
    positions = MemoryPositions(leaving.partitions(TOPIC))
    with running(consumer(leaving, effects, positions, linger_s=5.0)):
        within(60, lambda: effects.words() == ["a"])
