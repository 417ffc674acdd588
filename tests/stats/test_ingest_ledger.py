"""From a post to the ledger: what was acknowledged counts, however often it comes, once."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi.testclient import TestClient

from midstage.contracts import signature
from midstage.contracts.metered import METERED
from midstage.contracts.requests import REQUEST_COMPLETED
from midstage.eventlog import arrow
from midstage.eventlog.codec import Decoder, encode
from midstage.eventlog.memory import MemoryLog
from tests.kafka import kafka_log

from .conftest import KEY, NOON, Bench, made, records, request

MANY = "application/cloudevents-batch+json"
DATA = {
    "app": "chat",
    "customer": "acme",
    "status": 200,
    "outcome": "ok",
    "duration_ms": 12.5,
    "usage": {"requests": 1, "input_tokens": 3},
}


def event(event_id: str, **changed: object) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "jobs/1",
        "type": REQUEST_COMPLETED,
        "time": "2026-01-01T12:00:00Z",
        "data": DATA,
        **changed,
    }


class Way:
    """Who posts to a composed stats."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def post(
        self, body: object, kind: str = MANY, query: str = "", **headers: str
    ) -> httpx.Response:
        answer: httpx.Response = self._client.post(
            f"/v1/events{query}",
            content=body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={"content-type": kind, "authorization": "Bearer secret", **headers},
        )
        return answer


@contextmanager
def posting(bench: Bench) -> Iterator[Way]:
    service = bench.start()
    stop = threading.Event()
    loop = threading.Thread(target=service.ingest.run, args=(stop,))
    loop.start()
    try:
        yield Way(TestClient(service.app, raise_server_exceptions=False))
    finally:
        stop.set()
        loop.join()
        bench.stop()


def rows(bench: Bench) -> int:
    return bench.caught_up().ledger.queries().recorded(since=NOON).rows


def test_a_batch_of_a_thousand_and_one_id_a_thousand_times(bench: Bench) -> None:
    with posting(bench) as way:
        assert way.post([event(str(n)) for n in range(1000)]).status_code == 204
        for _ in range(10):
            assert way.post([event("the one")] * 100).status_code == 204
    assert rows(bench) == 1001
    assert bench.dead(bench.topics.requests) == []


def test_an_id_counts_once_whichever_way_it_came(bench: Bench) -> None:
    with posting(bench) as way:
        assert way.post([event("a")]).status_code == 204
    again = request("jobs/1", None, event_id="a")
    bench.write(arrow.batch([again], topic=bench.topics.requests.name))
    assert rows(bench) == 1


def test_a_lost_acknowledgement_is_sent_again_and_counts_once(bench: Bench) -> None:
    assert isinstance(bench.log, MemoryLog)
    with posting(bench) as way:
        bench.log.lose_next_acknowledgement()
        assert way.post([event("a"), event("b")]).status_code == 503
        assert way.post([event("a"), event("b")]).status_code == 204
    assert rows(bench) == 2


def test_detail_says_what_the_ledger_has_and_sends_it_all_the_same(bench: Bench) -> None:
    with posting(bench) as way:
        assert way.post([event("a")]).status_code == 204
    bench.write(bench.edge().line(1))
    assert rows(bench) == 2
    with posting(bench) as way:
        body = encode(request(bench.edge().source, 1))
        mac = signature.sign(key=KEY, source=bench.edge().source, value=body).decode()
        one = way.post(
            body, "application/cloudevents+json", "?detail=true", **{signature.HEADER: mac}
        )
        many = way.post([event("a"), event("b")], query="?detail=true")
        assert [told["state"] for told in one.json()["events"]] == ["known"]
        assert [told["state"] for told in many.json()["events"]] == ["known", "accepted"]
    assert rows(bench) == 3
    stands = Counter(
        (event.source, event.id)
        for event in map(
            Decoder(bench.topics.requests), records(bench.log, bench.topics.requests.name)
        )
    )
    numbered = (bench.edge().source, f"{bench.edge().source}/1")
    # what the ledger said it had may be lost with its disk: the log has it again
    assert stands == {("jobs/1", "a"): 2, ("jobs/1", "b"): 1, numbered: 2}


def test_what_is_taken_is_never_a_dead_letter(bench: Bench) -> None:
    large = {"x": 0.1, "y": 576460752305.0}
    posted = [
        event("a", data={**DATA, "usage": large, "later": [1, {"z": None}]}),
        event("b", time="2026-01-01T12:00:00.123456789+02:00", extension=1),
        event("c", type=METERED, data={"customer": "acme", "units": {"seats": 25}}),
        event("d", data={**DATA, "status": 200.0, "bytes_in": 0}),
    ]
    with posting(bench) as way:
        answers = [way.post([one]).status_code for one in posted]
    assert set(answers) <= {204, 400}
    assert answers.count(204) >= 3
    assert rows(bench) == answers.count(204)
    assert bench.dead(bench.topics.requests) == []


@pytest.mark.platform
@pytest.mark.slow
def test_on_kafka_an_answer_means_that_it_stands_there(
    kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each id that was answered with 204 counts; a topic that is not there answers 503."""
    bench = made(kafka_log(kafka), tmp_path_factory.mktemp("kafka"))
    with posting(bench) as way:
        for first in range(0, 300, 100):
            batch = [event(str(n)) for n in range(first, first + 100)]
            assert way.post(batch).status_code == 204
            assert way.post(batch).status_code == 204
    assert rows(bench) == 300
