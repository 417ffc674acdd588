"""The consumer loop: at least once, in order, and nothing is lost or skipped on the way."""

import threading
import uuid
from collections.abc import Callable, Sequence

import pytest

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.consume import Chunk, Consumer
from midstage.eventlog.dead_letters import REASON, TOMBSTONE, DeadLetterTopic
from midstage.eventlog.kafka import GroupPositions
from midstage.eventlog.log import BEGINNING, Message, Record
from midstage.eventlog.memory import MemoryLog, MemoryPositions
from midstage.testkit.waiting import within
from tests.kafka import kafka_log

from .conftest import topic_of
from .running import Running, running
from .words import TOPIC, CrashError, Effects, consumer, dead, say, word


def test_each_record_has_its_effect_in_order_and_positions_follow(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    with running(consumer(log, effects, positions)):
        say(log, *"abc")
        within(60, lambda: effects.words() == ["a", "b", "c"])
        within(60, lambda: sum(max(0, at) for at in positions.starts().values()) == 3)


def test_a_chunk_says_where_it_begins_and_ends(log: MemoryLog, positions: MemoryPositions) -> None:
    say(log, *"abcde")
    effects = Effects()
    with running(consumer(log, effects, positions, most=2)):
        within(60, lambda: effects.words() == list("abcde"))
    [place] = {place for chunk in effects.chunks for place in chunk.ends}
    assert [(c.begins[place], c.ends[place]) for c in effects.chunks] == [(0, 2), (2, 4), (4, 5)]


def test_a_lingering_consumer_gathers_what_comes_meanwhile(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    with running(consumer(log, effects, positions, linger_s=60.0, most=3)):
        for each in "abc":
            say(log, each)
        within(60, lambda: effects.words() == ["a", "b", "c"])
    assert len(effects.chunks) == 1


def test_what_cannot_be_read_goes_to_the_dead_letters_as_it_was_and_the_next_goes_on(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    say(log, "good", "broken \x00é", "next")
    with running(consumer(log, effects, positions)):
        within(60, lambda: effects.words() == ["good", "next"])

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
        within(60, lambda: seen == [1])


def test_a_dead_letter_that_is_not_acknowledged_is_sent_again_and_nothing_moves_before(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    say(log, "broken", "good")
    log.lose_next_acknowledgement()
    with running(consumer(log, effects, positions)):
        within(60, lambda: effects.words() == ["good"])
    assert [letter.value for letter in dead(log)] == [b"broken", b"broken"]


def test_an_unavailable_effect_is_tried_again_with_the_same_chunk(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    effects.failures = [UnavailableError("the store is away")] * 3
    with running(consumer(log, effects, positions)):
        say(log, "a")
        within(60, lambda: not effects.failures)
        say(log, "b")
        within(60, lambda: effects.words() == ["a", "b"])


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
        within(60, lambda: loop.progress() is None)
        say(log, "a")
        within(60, lambda: loop.progress() == "the store is away")
        away.clear()
        within(60, lambda: loop.progress() is None)
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
        within(60, lambda: max(shaky.starts().values()) == 1)
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
        within(60, lambda: effects.words() == ["a", "b", "a", "b"])


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
        within(60, lambda: effects.words() == ["a"])


def test_who_is_told_to_stop_while_the_effect_is_unavailable_moves_nothing(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    say(log, "a")

    def away(_chunk: Chunk[str]) -> None:
        raise UnavailableError("the store is away")

    loop = consumer(log, away, positions)
    with running(loop):
        within(60, lambda: loop.progress() == "the store is away")
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
        within(60, lambda: effects.words() == ["a"])
        log.cut()
        within(60, lambda: loop.progress() == "the broker is away")
        log.mend()
        say(log, "b")
        within(60, lambda: effects.words() == ["a", "b"])
        within(60, lambda: loop.progress() is None)


def test_a_broker_that_is_away_at_the_start_is_waited_for(
    log: MemoryLog, positions: MemoryPositions
) -> None:
    effects = Effects()
    say(log, "a")
    log.cut()
    loop = consumer(log, effects, positions)
    with running(loop):
        within(60, lambda: loop.progress() == "the broker is away")
        log.mend()
        within(60, lambda: effects.words() == ["a"])


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
        within(60, lambda: "does not hold offset 1" in (loop.progress() or ""))
    assert effects.words() == []
    assert positions.starts()[place] == 1


@pytest.mark.platform
def test_on_kafka_a_group_of_offsets_outlives_its_consumer(kafka: str) -> None:
    log = kafka_log(kafka)
    topic = topic_of(f"{TOPIC}.{uuid.uuid4().hex[:8]}")  # a broker may outlive this process
    log.create([topic])
    partitions = log.partitions(topic.name)
    writer = log.writer()
    for number in range(20):
        at = number % len(partitions)
        writer.send(Message(topic=topic.name, key=None, value=b"%d" % number, partition=at))
    assert writer.flush(60) == 0

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
            within(60, done)
            within(60, lambda: sum(positions.starts().values()) == moved)
        positions.close()

    first, second = Effects(), Effects()
    one_run(first, lambda: len(first.words()) == 20, 20)
    writer.send(Message(topic=topic.name, key=b"x", value=b"late"))
    writer.close()
    one_run(second, lambda: second.words() == ["late"], 21)
    assert sorted(first.words(), key=int) == [str(number) for number in range(20)]
