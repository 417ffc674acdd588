"""Ends of requests are read from the edges' facts, and only from those that are genuine."""

import dataclasses
import threading
from collections.abc import Iterator

import pytest

from midstage.contracts.fact import Event
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.contracts.topics import REQUESTS
from midstage.eventlog import codec
from midstage.eventlog.log import Message
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from midstage.throttle.stream.endings import Endings

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
        read.extend(ended.request for ended in endings())
        return "b" in read

    within(60, all_read)
    assert read == ["a", "sdk", "b"]
    assert list(endings()) == []


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
