"""Completeness, periods and the recount over the composed application, and from the client."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from midstage.chassis.clock import Clock
from midstage.eventlog.topics import settings_of
from midstage.stats.main import Service
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S, Bench

OCTOBER = datetime(2026, 10, 10, tzinfo=UTC)
TOKEN = {"authorization": "Bearer secret"}


@dataclass
class At(Clock):
    """A clock that stands."""

    time: datetime

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return 0.0


@contextmanager
def billing(service: Service) -> Iterator[None]:
    """The log of billing is followed; nothing else runs."""
    log, stop = service.billing.log, threading.Event()
    thread = threading.Thread(target=log.run, args=(stop,))
    thread.start()
    try:
        within(DEADLINE_S, lambda: log.caught_up() is None)
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.slow
def test_a_month_is_closed_shown_and_counted_again(bench: Bench) -> None:
    bench.log.create(settings_of(bench.topics.billing))
    now = datetime(2026, 11, 1, 0, 5, tzinfo=UTC)
    bench.clock = At(now)
    edge = bench.edge()
    bench.write(
        edge.line(1, time=OCTOBER),
        edge.line(2, time=OCTOBER + timedelta(hours=3), usage={"images": 0.5}),
        edge.line(4, time=OCTOBER + timedelta(hours=4)),
        edge.beat(4, at=now),
    )
    service = bench.caught_up()
    client = TestClient(service.app)
    with billing(service):
        asked = {"from": "2026-10-10T00:00:00Z", "to": "2026-10-10T05:00:00Z"}
        found = client.get("/v1/completeness", params=asked, headers=TOKEN).json()
        assert [(hour["rows"], hour["missing"], hour["state"]) for hour in found["hours"]] == [
            (1, 0, "complete"),
            (0, 0, "complete"),
            (0, 0, "complete"),
            (1, 1, "missing"),
            (1, 1, "missing"),
        ]
        close = "/v1/periods/2026-10/close"
        assert client.post(close, json={}).status_code == 401
        refused = client.post(close, json={}, headers=TOKEN)
        assert (refused.status_code, "edges/edge-1/a 3" in refused.text) == (409, True)
        over = {"accept_gaps": True, "by": "ann", "why": "the disk is lost"}
        closed = client.post(close, json=over, headers=TOKEN)
        assert closed.status_code == 200, closed.text
        assert client.post(close, json={}, headers=TOKEN).json() == closed.json()
        assert client.get("/v1/periods", headers=TOKEN).json()["periods"] == [closed.json()]
        assert client.get("/v1/periods/2026-10", headers=TOKEN).json() == closed.json()
        assert client.get("/v1/periods/2026-09", headers=TOKEN).status_code == 404
        statement = "/v1/periods/2026-10/statement"
        assert client.get(statement).status_code == 401
        kept = client.get(statement, headers=TOKEN).content
        again = client.get(statement, params={"from_rows": "true"}, headers=TOKEN).content
        assert again == kept
        assert json.loads(kept)["accepted"] == {"by": "ann", "why": "the disk is lost"}
        table = client.get(statement, params={"form": "csv"}, headers=TOKEN).text
        assert "2026-10,2026-10,acme,chat,unit,images,0.5,500000\n" in table
        days = client.post("/v1/recount/day", headers=TOKEN).json()
        assert (days["rows"], days["differences"], days["next"]) == (3, 0, None)
        assert client.post("/v1/recount/whole", headers=TOKEN).json()["differences"] == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/completeness", 422),
        ("/v1/completeness?from=x&to=y", 422),
        ("/v1/completeness?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 422),
        ("/v1/completeness?from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:00Z", 422),
        ("/v1/periods/..%2Fx", 404),
        ("/v1/periods/nope/statement", 404),
    ],
)
def test_what_can_not_be_answered_is_a_problem(bench: Bench, path: str, status: int) -> None:
    client = TestClient(bench.start().app)
    assert client.get(path, headers=TOKEN).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"zone":"Mars"}',
        b'{"from":"2026-10-01"}',
        b'{"accept_gaps":"yes"}',
        b'{"more":1}',
        b'{"zone":"../../etc/passwd"}',
    ],
)
def test_what_is_no_order_to_close_is_refused(bench: Bench, body: bytes) -> None:
    client = TestClient(bench.start().app)
    for path in ("/v1/periods/2026-10/close", "/v1/shard/seal", "/v1/shard/part"):
        answer = client.post(
            path, content=body, headers={**TOKEN, "content-type": "application/json"}
        )
        assert 400 <= answer.status_code < 500, answer.text
