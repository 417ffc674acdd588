"""Ends of requests are read from the edges' facts, and only from those that are genuine."""

import dataclasses
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest

from midstage.contracts.fact import Event
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.contracts.topics import REQUESTS
from midstage.eventlog import arrow, codec
from midstage.eventlog.log import Message
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from midstage.throttle.decide.settling import ended
from midstage.throttle.model.checks import Ended
from midstage.throttle.stream.earlier import SLACK_NS, Earlier
from midstage.throttle.stream.endings import MOST_AT_ONCE, Endings

KEY = b"k" * 32
EDGE = "edges/one/file"


@pytest.fixture
def log() -> MemoryLog:
    made = MemoryLog()
    made.create(settings_of(REQUESTS))
    return made


@pytest.fixture
def endings(log: MemoryLog) -> Iterator[Endings]:
    reading = Endings(log=log, keys=lambda: {"one": KEY})
    stop = threading.Event()
    thread = threading.Thread(target=reading.loop.run, args=(stop,))
    thread.start()
    within(60, lambda: reading.loop.caught_up() is None)
    yield reading
    stop.set()
    thread.join(60)


def test_genuine_ends_are_read_each_once_in_their_order(log: MemoryLog, endings: Endings) -> None:
    put(log, signed("a"), signed("forged", key=b"x" * 32), unsigned("nameless"), plain("sdk"))
    put(log, signed("b"))
    read: list[str] = []

    def all_read() -> bool:
        read.extend(each.request for each in endings())
        return "b" in read

    within(60, all_read)
    assert read == ["a", "sdk", "b"]
    assert list(endings()) == []


def test_batches_are_read_whole_and_only_genuine(log: MemoryLog, endings: Endings) -> None:
    put(
        log,
        batched("a", "b", key=KEY),
        batched("forged", key=b"x" * 32),
        batched("nameless"),
        batched("c", "d", source="sdk/one"),
        msgspec.structs.replace(batched("broken", key=KEY), value=b"no batch"),
        signed("last"),
    )
    read: list[Ended] = []

    def all_read() -> bool:
        read.extend(endings())
        return bool(read) and read[-1].request == "last"

    within(60, all_read)
    assert [ended.request for ended in read] == ["a", "b", "c", "d", "last"]
    assert dict(read[0].used) == {"output_tokens": 7, "tokens": 7, "bytes": 3}
    assert (read[0].labels, read[0].key) == ({"key": "ci"}, "ci")


def test_of_many_some_are_told_at_once(log: MemoryLog, endings: Endings) -> None:
    names = [f"r{number}" for number in range(MOST_AT_ONCE + 1)]
    put(log, batched(*names, key=KEY))
    told: list[list[str]] = []

    def all_told() -> bool:
        told.append([ended.request for ended in endings()])
        return sum(map(len, told)) == len(names)

    within(60, all_told)
    assert [name for each in told for name in each] == names
    assert max(map(len, told)) <= MOST_AT_ONCE


def batched(*requests: str, source: str = EDGE, key: bytes | None = None) -> Message:
    """One record of many events; of an edge's they are numbered."""
    numbered = source == EDGE
    events = [
        Event(
            id=request,
            source=source,
            type=REQUEST_COMPLETED,
            time=NOON,
            seq=at if numbered else None,
            data=RequestCompleted(
                app="chat",
                customer="acme",
                status=200,
                outcome=Outcome.OK,
                duration_ms=1,
                bytes_in=3,
                usage={"output_tokens": 7},
                labels={"key": "ci"},
            ),
        )
        for at, request in enumerate(requests, 1)
    ]
    message = arrow.batch(events, topic=REQUESTS.name, signing_key=key)
    return msgspec.structs.replace(message, key=EDGE.encode())  # so that all are in one order


def signed(request: str, *, key: bytes = KEY) -> Message:
    return codec.message(event(request), topic=REQUESTS.name, key=EDGE, signing_key=key)


def unsigned(request: str) -> Message:
    return codec.message(event(request), topic=REQUESTS.name, key=EDGE)


def plain(request: str) -> Message:
    """Of a source that is no edge and numbers nothing."""
    told = dataclasses.replace(event(request), source="sdk/one", seq=None)
    return codec.message(told, topic=REQUESTS.name, key=EDGE)


def event(request: str) -> Event[RequestCompleted]:
    return Event(
        id=request,
        source=EDGE,
        type=REQUEST_COMPLETED,
        time=NOON,
        seq=1,
        data=RequestCompleted(
            app="chat", customer="acme", status=200, outcome=Outcome.OK, duration_ms=1
        ),
    )


def put(log: MemoryLog, *messages: Message) -> None:
    writer = log.writer()
    for each in messages:
        writer.send(each)
    assert writer.flush(60) == 0
    writer.close()


def test_ends_from_before_are_told_of_those_that_are_asked_for_alone(log: MemoryLog) -> None:
    put(log, signed("a"), signed("forged", key=b"x" * 32), plain("b"), signed("other"))
    follows: list[str | None] = ["not yet"]
    told: list[str] = []
    earlier = Earlier(
        log=log,
        keys=lambda: {"one": KEY},
        follows=lambda: follows[0],
        told=lambda ended: told.append(ended.request),
    )
    stop = threading.Event()
    thread = threading.Thread(target=earlier.run, args=(stop,))
    thread.start()
    earlier.look_back({"a", "b", "forged"}, 0)
    earlier.look_back({"other"}, 0)
    put(log, signed("a"))
    assert told == [], "what is written from now on might be followed by nobody"
    follows[0] = None
    within(60, lambda: "other" in told)
    assert told == ["a", "b", "a", "other"]
    stop.set()
    thread.join(60)


def test_ends_from_before_are_told_of_customers_of_whom_it_is_asked(log: MemoryLog) -> None:
    put(log, signed("a"), signed("forged", key=b"x" * 32), plain("b"))
    told: list[Ended] = []
    earlier = Earlier(log=log, keys=lambda: {"one": KEY}, follows=lambda: None, told=told.append)
    stop = threading.Event()
    thread = threading.Thread(target=earlier.run, args=(stop,))
    thread.start()
    earlier.look_back_for({"umbrella"}, NOON)
    earlier.look_back_for({"acme"}, NOON)
    earlier.look_back({"b"}, 0)
    within(60, lambda: len(told) == 3)
    assert [(each.request, each.earlier) for each in told] == [
        ("a", True),
        ("b", True),
        ("b", False),
    ]
    stop.set()
    thread.join(60)


def test_what_ended_before_they_began_is_not_read(log: MemoryLog) -> None:
    put(log, signed("a"))
    told: list[str] = []
    earlier = Earlier(
        log=log,
        keys=lambda: {"one": KEY},
        follows=lambda: None,
        told=lambda ended: told.append(ended.request),
    )
    stop = threading.Event()
    thread = threading.Thread(target=earlier.run, args=(stop,))
    thread.start()
    earlier.look_back({"a"}, time.time_ns() + 10 * SLACK_NS)
    earlier.look_back({"a"}, 0)
    within(60, lambda: told != [])
    stop.set()
    thread.join(60)
    assert told == ["a"]


@pytest.mark.parametrize(
    ("outcome", "pod", "from_edge", "passed"),
    [
        (Outcome.OK, "", True, True),
        (Outcome.REFUSED, "", True, False),
        (Outcome.REFUSED, "", False, False),
        (Outcome.ERROR, "", True, False),
        (Outcome.ERROR, "", False, True),
        (Outcome.ERROR, "chat-1", True, True),
        (Outcome.CANCELLED, "", True, False),
        (Outcome.CANCELLED, "chat-1", True, True),
        (Outcome.INVALID, "", True, True),
    ],
)
def test_a_fact_says_whether_a_request_may_have_passed(
    outcome: Outcome, pod: str, *, from_edge: bool, passed: bool
) -> None:
    fact = RequestCompleted(
        app="chat", customer="acme", status=0, outcome=outcome, duration_ms=1, pod=pod
    )
    assert ended("a", fact, names_replicas=from_edge).passed is passed
