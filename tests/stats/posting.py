"""The way in over HTTP alone, on a log in memory, and who posts to it."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import msgspec
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.audited import Audit
from midstage.chassis.clock import SystemClock
from midstage.chassis.readiness import Readiness
from midstage.contracts.fact import Event, Fact
from midstage.contracts.requests import REQUEST_COMPLETED
from midstage.contracts.topics import REQUESTS, Topic
from midstage.eventlog.log import Record
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.stats.api import events
from midstage.stats.api.encodings import BODY_BYTES
from midstage.stats.metrics import Metrics
from midstage.stats.stream.incoming.checking import Checking
from midstage.stats.stream.ingest import Held, Ingest

from .conftest import KEY, records

ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"
JSON = "application/json"
EDGE = "edges/edge-1/a"
DATA = {
    "app": "chat",
    "customer": "acme",
    "status": 200,
    "outcome": "ok",
    "duration_ms": 12.5,
    "usage": {"requests": 1, "input_tokens": 3},
}


def event(event_id: str = "e-1", **changed: object) -> dict[str, object]:
    """An event; a change to None takes the attribute out."""
    plain = {
        "specversion": "1.0",
        "id": event_id,
        "source": "jobs/1",
        "type": REQUEST_COMPLETED,
        "time": "2026-01-01T12:00:00Z",
        "data": DATA,
        **changed,
    }
    return {name: value for name, value in plain.items() if value is not None}


def with_data(**changed: object) -> dict[str, object]:
    return event(data={**DATA, **changed})


@dataclass
class Ways:
    """The way in alone, on a log in memory, and who posts to it with the operators' token."""

    log: MemoryLog
    topic: Topic
    ingest: Ingest
    client: TestClient

    def post(
        self,
        body: object,
        kind: str = ONE,
        *,
        token: str = "secret",
        query: str = "",
        **headers: str,
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer: httpx.Response = self.client.post(
            f"/v1/events{query}",
            content=content,
            headers={"content-type": kind, "authorization": f"Bearer {token}", **named},
        )
        return answer

    def records(self) -> list[Record]:
        return records(self.log, self.topic.name)

    def written(self) -> list[dict[str, object]]:
        """What stands in the log, by id."""
        events = [
            msgspec.json.decode(record.value or b"", type=dict[str, object])
            for record in self.records()
        ]
        return sorted(events, key=lambda each: str(each["id"]))

    def ids(self) -> list[object]:
        return [each["id"] for each in self.written()]


def none_held(events: Sequence[Event[Fact]]) -> Sequence[bool]:
    """A ledger that has nothing."""
    return [False] * len(events)


def opened(
    log: MemoryLog, *, within_s: float = 20.0, topic: Topic = REQUESTS, held: Held = none_held
) -> Ways:
    registry = CollectorRegistry()
    ingest = Ingest(
        log=log,
        check=Checking(topic=topic, keys=lambda: {"edge-1": KEY}, now=SystemClock().now),
        held=held,
        counted=Metrics(registry).posted,
        within_s=within_s,
    )
    audit = Audit(service="stats", note=lambda _: None, now=SystemClock().now)
    door = events.Door(
        taking=ingest,
        customers=lambda: {"key-of-acme": "acme", "key-of-eu": "acme/eu"},
        audit=audit,
    )
    app = http.build(
        service="stats",
        version="0",
        readiness=Readiness(),
        registry=registry,
        token="secret",
        routers=[events.router(door)],
        own_keys=[events.PATH],
        bodies={events.PATH: BODY_BYTES},
    )
    return Ways(log, topic, ingest, TestClient(app, raise_server_exceptions=False))


@contextmanager
def ways(log: MemoryLog, *, within_s: float = 20.0) -> Iterator[Ways]:
    log.create(settings_of(REQUESTS))
    way = opened(log, within_s=within_s)
    stop = threading.Event()
    loop = threading.Thread(target=way.ingest.run, args=(stop,))
    loop.start()
    try:
        yield way
    finally:
        stop.set()
        loop.join()


def refused(answer: httpx.Response) -> tuple[object, object]:
    """Where the first fault is: index and pointer."""
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    first = answer.json()["errors"][0]
    return first.get("index"), first["pointer"]
