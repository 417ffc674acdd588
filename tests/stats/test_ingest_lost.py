"""Nothing is acknowledged that is not in the log, whatever becomes of Kafka meanwhile."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from midstage.contracts.topics import REQUESTS
from midstage.eventlog.log import Delivery, Message
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.memory.clients import MemoryWriter
from midstage.eventlog.topics import settings_of
from midstage.stats.api import events
from midstage.testkit.waiting import within
from tests import patient

from .conftest import DEADLINE_S, records
from .posting import DATA, MANY, ONE, Ways, event, opened, ways


class LossyLog(MemoryLog):
    """A log that loses what it is told to, all or what has ``only``: not written, no word of it."""

    def __init__(self) -> None:
        super().__init__()
        self.losing = False
        self.only = b""

    def writer(self) -> "LossyWriter":  # type: ignore[override]  # it stands in for the fake's own
        return LossyWriter(self, super().writer())


@dataclass
class LossyWriter:
    """Loses while its log says so."""

    log: LossyLog
    inner: MemoryWriter
    silent: list[Message] = field(default_factory=list)

    def send(self, message: Message, done: Callable[[Delivery], None] | None = None) -> None:
        if self.log.losing and self.log.only in (message.value or b""):
            self.silent.append(message)
            return
        self.inner.send(message, done)

    def flush(self, timeout_s: float) -> int:
        return self.inner.flush(timeout_s)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture
def failing() -> Iterator[tuple[LossyLog, Ways]]:
    log = LossyLog()
    with ways(log, within_s=1.0) as way:
        yield log, way


def taken(way: Ways, body: object) -> None:
    """Posted until it is acknowledged, as senders do: a busy machine may take longer than 1 s."""
    within(DEADLINE_S, lambda: way.post(body).status_code == 204)


def test_a_retry_after_a_lost_write_is_written_not_just_acknowledged(
    failing: tuple[LossyLog, Ways],
) -> None:
    """Elsewhere the key was claimed before the row was durable, and the retry was swallowed."""
    log, way = failing
    log.losing = True
    first = way.post(event("a"))
    assert first.status_code == 503
    assert "same ids" in first.json()["detail"]
    assert way.written() == []
    assert way.post(event("a")).status_code == 503
    log.losing = False
    taken(way, event("a"))
    assert set(way.ids()) == {"a"}


@pytest.mark.parametrize("lost", ["a", "b", "c"])
def test_a_body_is_acknowledged_when_its_last_event_is(
    failing: tuple[LossyLog, Ways], lost: str
) -> None:
    log, way = failing
    taken(way, event("before"))
    log.losing, log.only = True, f'"id": "{lost}"'.encode()
    body = [event("a"), event("b"), event("c")]
    for query in ("", "?detail=true"):
        assert way.post(body, MANY, query=query).status_code == 503
    assert set(way.ids()) == {"before", "a", "b", "c"} - {lost}


def test_a_lost_acknowledgement_is_no_acknowledgement(way: Ways) -> None:
    way.log.lose_next_acknowledgement()
    assert way.post([event("a"), event("b")], MANY).status_code == 503
    assert way.post([event("a"), event("b")], MANY).status_code == 204
    assert way.ids() == ["a", "a", "b", "b"]


def test_while_kafka_is_away_nothing_is_claimed_and_nothing_waits_for_ever(
    failing: tuple[LossyLog, Ways],
) -> None:
    log, way = failing
    taken(way, event("a"))
    log.cut()
    assert way.post(event("b")).status_code == 503
    log.mend()
    taken(way, event("b"))
    assert set(way.ids()) == {"a", "b"}


def test_with_detail_nothing_is_said_to_be_accepted_that_kafka_has_not(
    failing: tuple[LossyLog, Ways],
) -> None:
    log, way = failing
    log.losing = True
    body = [event("a"), event("b", time="yesterday")]
    answer = way.post(body, MANY, query="?detail=true")
    assert (answer.status_code, "accepted" in answer.json()) == (503, False)
    assert way.written() == []


def test_what_waits_for_kafka_is_bounded(failing: tuple[LossyLog, Ways]) -> None:
    log, way = failing
    log.losing = True
    batch = [event(str(n), data={**DATA, "labels": {"x": "y" * 1_000_000}}) for n in range(4)]
    details = [way.post(batch, MANY).json()["detail"] for _ in range(9)]
    assert "not acknowledged" in details[7]
    assert "too much waits" in details[8]


def test_an_event_is_not_known_by_the_very_post_that_brings_it() -> None:
    """However soon the ledger has it: it is asked before anything is sent."""
    log = MemoryLog()
    log.create(settings_of(REQUESTS))
    at_once = opened(log, held=lambda events: [bool(records(log, REQUESTS.name)) for _ in events])
    for state in ("accepted", "known"):
        answer = at_once.post(event("a"), query="?detail=true")
        assert [one["state"] for one in answer.json()["events"]] == [state]


def test_what_is_refused_by_the_log_is_told() -> None:
    way = opened(MemoryLog())
    answer = way.post(event())
    assert answer.status_code == 503
    assert "does not exist" in answer.json()["detail"]


def test_bodies_wait_for_their_turn_and_not_without_end(way: Ways) -> None:
    """While Kafka is away some are worked on, some wait, and the others are told at once."""
    most = events.AT_ONCE + events.MOST_WAITING
    headers = {"content-type": ONE, "authorization": "Bearer secret"}

    async def posted() -> list[int]:
        transport = httpx.ASGITransport(app=way.client.app)
        async with patient.async_client(transport=transport, base_url="http://stats") as client:
            posts = [
                asyncio.create_task(client.post("/v1/events", json=event(str(n)), headers=headers))
                for n in range(most + 1)
            ]
            done, _ = await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
            assert [post.result().status_code for post in done] == [503]
            way.log.mend()
            return [post.result().status_code for post in (await asyncio.wait(posts))[0]]

    way.log.cut()
    assert sorted(asyncio.run(posted())) == [204] * most + [503]


def test_what_was_sent_is_flushed_at_the_end_and_nothing_more_is_taken(way: Ways) -> None:
    stop = threading.Event()
    stop.set()
    assert way.post(event("a")).status_code == 204
    way.ingest.run(stop)
    answer = way.post(event("b"))
    assert answer.status_code == 503
    assert "stopping" in answer.json()["detail"]
    assert way.ids() == ["a"]
