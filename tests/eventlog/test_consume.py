"""The consumer loop: at least once, in order, and nothing is lost or skipped on the way."""

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from midstage.contracts.errors import UnavailableError, UnreadableError
from midstage.eventlog.consume import Chunk, Consumer, Positions, Whole, WholeConsumer
from midstage.eventlog.dead_letters import REASON, TOMBSTONE, DeadLetterTopic
from midstage.eventlog.failpoint import nothing
from midstage.eventlog.kafka import GroupPositions, KafkaLog
from midstage.eventlog.log import BEGINNING, Message, Record
from midstage.eventlog.memory import MemoryLog, MemoryPositions
from midstage.testkit.waiting import within

from .conftest import topic_of
from .running import Running, running

TOPIC = "test.words.v1"


class CrashError(Exception):
    """A bug, or a kill: nothing that the loop may handle."""


class Effects:
    """An effect that keeps what it was given, and fails as often as it is told."""

    def __init__(self) -> None:
        self.chunks: list[Chunk[str]] = []
        self.failures: list[Exception] = []

    def __call__(self, chunk: Chunk[str]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.chunks.append(chunk)

    def words(self) -> list[str]:
        return [word for chunk in self.chunks for _, word in chunk.items]


def word(record: Record) -> str:
    if record.value is None or record.value.startswith(b"broken"):
        raise UnreadableError("it says broken")
    return record.value.decode()


@pytest.fixture
def log() -> MemoryLog:
    made = MemoryLog()
    made.create([topic_of(TOPIC), topic_of(f"{TOPIC}.test.dlq", partitions=1)])
    return made


@pytest.fixture
def positions(log: MemoryLog) -> MemoryPositions:
    return MemoryPositions(log.partitions(TOPIC))


def consumer(
    log: MemoryLog,
    effect: Callable[[Chunk[str]], None],
    positions: Positions,
    *,
    linger_s: float = 0.0,
    most: int = 100,
    reached: Callable[[str], None] = nothing,
) -> Consumer[str]:
    return Consumer(
        name="test",
        log=log,
        read=word,
        effect=effect,
        positions=positions,
        dead_letters=DeadLetterTopic(log=log, reader="test", within_s=0.2),
        most=most,
        linger_s=linger_s,
        reached=reached,
    )


def say(log: MemoryLog, *words: str, key: bytes = b"k") -> None:
    writer = log.writer()
    for each in words:
        headers = (("ms-sig", b"\x00\x01"),)
        writer.send(Message(topic=TOPIC, key=key, value=each.encode(), headers=headers))
    writer.close()


def dead(log: MemoryLog) -> Sequence[Record]:
    [place] = log.partitions(f"{TOPIC}.test.dlq")
    return log.reader({place: BEGINNING}).poll(most=100, timeout_s=0.01)


def test_each_record_has_its_effect_in_order_and_positions_follow(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    with running(consumer(log, effects, positions)):
        say(log, *"abc")
        within(5, lambda: effects.words() == ["a", "b", "c"])
        within(5, lambda: sum(max(0, at) for at in positions.starts().values()) == 3)


def test_a_chunk_says_where_it_begins_and_ends(log: MemoryLog, positions: MemoryPositions) -> None:
    say(log, *"abcde")
    effects = Effects()
    with running(consumer(log, effects, positions, most=2)):
        within(5, lambda: effects.words() == list("abcde"))
    [place] = {place for chunk in effects.chunks for place in chunk.ends}
    assert [(c.begins[place], c.ends[place]) for c in effects.chunks] == [(0, 2), (2, 4), (4, 5)]


def test_a_lingering_consumer_gathers_what_comes_meanwhile(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    with running(consumer(log, effects, positions, linger_s=10.0, most=3)):
        for each in "abc":
            say(log, each)
        within(5, lambda: effects.words() == ["a", "b", "c"])
    assert len(effects.chunks) == 1


def test_what_cannot_be_read_goes_to_the_dead_letters_as_it_was_and_the_next_goes_on(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    say(log, "good", "broken \x00é", "next")
    with running(consumer(log, effects, positions)):
        within(5, lambda: effects.words() == ["good", "next"])

    [letter] = dead(log)
    [broken] = [r for r in everything(log) if (r.value or b"").startswith(b"broken")]
    assert (letter.key, letter.value) == (broken.key, broken.value)
    assert letter.headers[: len(broken.headers)] == broken.headers
    told = dict(letter.headers)
    assert told[REASON] == b"it says broken"
    assert told["ms-dlq-topic"] == TOPIC.encode()
    assert int(told["ms-dlq-partition"]) == broken.partition.number
    assert int(told["ms-dlq-offset"]) == broken.offset
    assert TOMBSTONE not in told


def everything(log: MemoryLog) -> Sequence[Record]:
    return log.reader(dict.fromkeys(log.partitions(TOPIC), BEGINNING)).poll(
        most=1000, timeout_s=0.01
    )


def test_dead_letters_are_durable_before_the_effect_that_moves_positions(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    """An effect may move positions in its own transaction; nothing may be lost behind it."""
    seen: list[int] = []

    def effect(chunk: Chunk[str]) -> None:
        seen.append(len(dead(log)))
        assert not chunk.items
        positions.moved(chunk.ends)

    say(log, "broken")
    with running(consumer(log, effect, positions)):
        within(5, lambda: seen == [1])


def test_a_dead_letter_that_is_not_acknowledged_is_sent_again_and_nothing_moves_before(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    say(log, "broken", "good")
    log.lose_next_acknowledgement()
    with running(consumer(log, effects, positions)):
        within(5, lambda: effects.words() == ["good"])
    assert [letter.value for letter in dead(log)] == [b"broken", b"broken"]


def test_an_unavailable_effect_is_tried_again_with_the_same_chunk(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    effects.failures = [UnavailableError("the store is away")] * 3
    with running(consumer(log, effects, positions)):
        say(log, "a")
        within(5, lambda: not effects.failures)
        say(log, "b")
        within(5, lambda: effects.words() == ["a", "b"])


def test_while_it_backs_off_it_is_not_ready_and_says_why(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    away = threading.Event()
    away.set()
    effects = Effects()

    def effect(chunk: Chunk[str]) -> None:
        if away.is_set():
            raise UnavailableError("the store is away")
        effects(chunk)

    loop = consumer(log, effect, positions)
    assert loop.progress() == "not started yet"
    with running(loop):
        within(5, lambda: loop.progress() is None)
        say(log, "a")
        within(5, lambda: loop.progress() == "the store is away")
        away.clear()
        within(5, lambda: loop.progress() is None)
        assert effects.words() == ["a"]
    assert loop.progress() == "the loop has ended"


def test_positions_that_cannot_be_moved_are_tried_again_and_the_effect_is_not(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    failures = [UnavailableError("the coordinator is away")]

    class Shaky(MemoryPositions):
        def moved(self, ends: object) -> None:
            if failures:
                raise failures.pop()
            super().moved(ends)  # type: ignore[arg-type]  # the test does not look at it

    shaky = Shaky(log.partitions(TOPIC))
    effects = Effects()
    say(log, "a")
    with running(consumer(log, effects, shaky)):
        within(5, lambda: max(shaky.starts().values()) == 1)
    assert effects.words() == ["a"]


def test_a_crash_between_effect_and_position_gives_the_chunk_again(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    def killed(place: str) -> None:
        if place == "consume:effect-done":
            raise CrashError

    effects = Effects()
    say(log, "a", "b")
    first = Running(consumer(log, effects, positions, reached=killed))
    assert isinstance(first.ended(), CrashError)
    assert effects.words() == ["a", "b"]

    with running(consumer(log, effects, positions)):
        within(5, lambda: effects.words() == ["a", "b", "a", "b"])


def test_a_crash_before_the_effect_loses_nothing(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    def killed(place: str) -> None:
        if place == "consume:decoded":
            raise CrashError

    effects = Effects()
    say(log, "a")
    assert isinstance(
        Running(consumer(log, effects, positions, reached=killed)).ended(), CrashError
    )
    with running(consumer(log, effects, positions)):
        within(5, lambda: effects.words() == ["a"])


def test_who_is_told_to_stop_while_the_effect_is_unavailable_moves_nothing(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    say(log, "a")

    def away(_chunk: Chunk[str]) -> None:
        raise UnavailableError("the store is away")

    loop = consumer(log, away, positions)
    with running(loop):
        within(5, lambda: loop.progress() == "the store is away")
    assert set(positions.starts().values()) == {BEGINNING}


def test_any_other_error_ends_the_loop_with_positions_where_they_were(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    effects.failures = [CrashError("a bug")]
    say(log, "a")
    assert isinstance(Running(consumer(log, effects, positions)).ended(), CrashError)
    assert set(positions.starts().values()) == {BEGINNING}


def test_a_broker_that_goes_away_and_comes_back_loses_and_doubles_nothing(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    loop = consumer(log, effects, positions)
    with running(loop):
        say(log, "a")
        within(5, lambda: effects.words() == ["a"])
        log.cut()
        within(5, lambda: loop.progress() == "the broker is away")
        log.mend()
        say(log, "b")
        within(5, lambda: effects.words() == ["a", "b"])
        within(5, lambda: loop.progress() is None)


def test_a_broker_that_is_away_at_the_start_is_waited_for(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    say(log, "a")
    log.cut()
    loop = consumer(log, effects, positions)
    with running(loop):
        within(5, lambda: loop.progress() == "the broker is away")
        log.mend()
        within(5, lambda: effects.words() == ["a"])


def test_a_gap_is_never_skipped_and_keeps_it_not_ready(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    say(log, "a", "b", "c")
    [place] = [place for place, end in log.ends(log.partitions(TOPIC)).items() if end]
    positions.moved({place: 1})
    log.forget(place, 2)
    effects = Effects()
    loop = consumer(log, effects, positions)
    with running(loop):
        within(5, lambda: "does not hold offset 1" in (loop.progress() or ""))
    assert effects.words() == []
    assert positions.starts()[place] == 1


@pytest.mark.platform
def test_on_kafka_a_group_of_offsets_outlives_its_consumer(kafka: str) -> None:
    log = KafkaLog(bootstrap=kafka, client_id="test")
    topic = topic_of(f"{TOPIC}.{id(log):x}")
    log.create([topic])
    partitions = log.partitions(topic.name)
    writer = log.writer()
    for number in range(20):
        at = number % len(partitions)
        writer.send(Message(topic=topic.name, key=None, value=b"%d" % number, partition=at))
    assert writer.flush(20) == 0

    def one_run(effect: Callable[[Chunk[str]], None], done: Callable[[], bool], moved: int) -> None:
        positions = GroupPositions(
            bootstrap=kafka, client_id="test", group=f"g.{topic.name}", partitions=partitions
        )
        letters = DeadLetterTopic(log=log, reader="test")
        loop = Consumer(
            name="test",
            log=log,
            read=word,
            effect=effect,
            positions=positions,
            dead_letters=letters,
        )
        with running(loop):
            within(20, done)
            within(20, lambda: sum(positions.starts().values()) == moved)
        positions.close()

    first, second = Effects(), Effects()
    one_run(first, lambda: len(first.words()) == 20, 20)
    writer.send(Message(topic=topic.name, key=b"x", value=b"late"))
    writer.close()
    one_run(second, lambda: second.words() == ["late"], 21)
    assert sorted(first.words(), key=int) == [str(number) for number in range(20)]


class Gate:
    """An effect that waits until it is let through, and may then fail."""

    def __init__(self) -> None:
        self.began: list[list[bytes]] = []
        self.done: list[list[bytes]] = []
        self.open = threading.Event()
        self.failure: Exception | None = None

    def __call__(self, chunk: Whole[list[bytes]]) -> None:
        self.began.append(chunk.content)
        assert self.open.wait(5)
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
        within(5, lambda: read == [b"a", b"b"])
        assert gate.began == [[b"a"]]
        gate.open.set()
        within(5, lambda: gate.done == [[b"a"], [b"b"], [b"c"]])
        within(5, lambda: sum(max(0, at) for at in positions.starts().values()) == 3)


def test_after_an_effect_that_failed_nothing_that_was_read_ahead_has_its_effect(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    say(log, *"abc")
    gate, read = Gate(), list[bytes]()
    gate.failure = CrashError()
    consumer = going_ahead(log, gate, positions, read)
    with running(consumer) as loop:
        within(5, lambda: read == [b"a", b"b"])
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
        within(5, lambda: sum(len(chunk.content) for chunk in chunks) == 6)
    assert [chunk.content for chunk in chunks] == [["1", "3"], ["2"], ["9"], ["4", "1"]]
    for before, after in pairwise(chunks):
        assert before.ends == after.begins
    assert sorted(chunks[-1].ends.values()) == [6]
