"""What analysts and operators are answered, over the composed application."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from midstage.contracts.edges import Gauge
from midstage.contracts.load import LoadObserved
from midstage.contracts.requests import Outcome
from midstage.eventlog.codec import Decoder
from midstage.stats.main import Service
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S, NOON, Bench, records, running
from .test_outbox import Settable

SECOND = timedelta(seconds=1)

TOKEN = {"authorization": "Bearer secret"}


@dataclass
class Asked:
    """A stats that has read its log, and the one who asks."""

    service: Service
    client: TestClient

    def __call__(self, path: str, status: int = 200) -> dict[str, list[dict[str, object]]]:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        found: dict[str, list[dict[str, object]]] = answer.json()
        return found


@pytest.fixture
def asked(bench: Bench) -> Asked:
    edge = bench.edge()
    minute = timedelta(minutes=1)
    bench.write(
        edge.line(1, ref="a-1"),
        edge.line(2, ref="a-2", customer="globex", time=NOON + minute),
        edge.line(3, ref="b-1", app="ocr", usage={"images": 0.5}, time=NOON + minute),
        edge.line(4, ref="b_2", outcome=Outcome.REFUSED, status=429, usage={}),
        edge.line(6, ref="b-3", customer="unknown", outcome=Outcome.INVALID, status=400),
        edge.beat(7, at=NOON),
        edge.closed(7, torn=1),
    )
    service = bench.caught_up()
    return Asked(service, TestClient(service.app, headers=TOKEN))


def test_sources_name_what_is_missing(asked: Asked, bench: Bench) -> None:
    (source,) = asked("/v1/sources")["sources"]
    assert source == {
        "source": bench.edge().source,
        "edge": "edge-1",
        "highest": 7,
        "rows": 5,
        "holes": [[5, 5], [7, 7]],
        "closed": True,
        "torn": 1,
        "complete_until": None,
    }


def test_requests_come_page_by_page_each_once(asked: Asked) -> None:
    refs: list[object] = []
    after: object = 0
    while after is not None:
        page = asked(f"/v1/requests?limit=2&after={after}")
        refs += [row["ref"] for row in page["requests"]]
        after = page["next"]
    assert sorted(map(str, refs)) == ["a-1", "a-2", "b-1", "b-3", "b_2"]


def test_requests_are_found_by_the_beginning_of_the_callers_number(asked: Asked) -> None:
    found = asked("/v1/requests?ref_prefix=b_")["requests"]
    (row,) = found
    assert (row["ref"], row["status"], row["outcome"]) == ("b_2", 429, "refused")
    assert (row["billed"], row["usage"], row["seq"]) == (False, {}, 4)
    assert row["time"] == "2026-01-01T12:00:00Z"
    (unknown,) = asked("/v1/requests?ref_prefix=b-3")["requests"]
    assert unknown["usage"] == {"requests": 1, "input_tokens": 3}


def test_what_looks_like_a_statement_is_a_name_like_any_other(bench: Bench) -> None:
    name = "'; DROP TABLE requests; -- 客户 %_"
    bench.write(bench.edge().line(1, customer=name, app=name, ref=name), bench.edge().line(2))
    client = TestClient(bench.caught_up().app, headers=TOKEN)
    (used,) = client.get(
        "/v1/usage",
        params={"customer": name, "app": name},
    ).json()["usage"]
    assert used["requests"] == 1
    (row,) = client.get("/v1/requests", params={"ref_prefix": name[:20]}).json()["requests"]
    assert (row["ref"], row["customer"], row["app"]) == (name, name, name)
    assert client.get("/v1/requests", params={"ref_prefix": "%"}).json()["requests"] == []
    assert client.get("/v1/status").json()["rows"] == 2


def test_a_page_of_too_many_rows_is_refused(asked: Asked) -> None:
    asked("/v1/requests?limit=10001", status=422)
    asked("/v1/requests?limit=0", status=422)
    asked("/v1/requests?limit=-1", status=422)
    asked("/v1/requests?after=-1", status=422)
    asked("/v1/requests?after=99999999999999999999", status=422)


def test_the_status_says_lag_rows_and_freshness(asked: Asked) -> None:
    status: dict[str, object] = {**asked("/v1/status")}
    assert status["rows"] == 5
    assert status["lag_records"] == 0
    freshness = status["freshness_ms_p50"]
    assert isinstance(freshness, float)
    assert freshness > 0


def test_load_facts_reach_the_log_and_the_api(bench: Bench) -> None:
    """Its clock stands, for an edge that is silent for 5 s carries what is not known."""
    edge, now = bench.edge(), NOON + SECOND / 2
    bench.clock = clock = Settable(NOON + SECOND)
    bench.write(
        edge.line(1, time=now, ttft_ms=20.0),
        edge.beat(1, at=now, gauges=(Gauge(app="ocr", in_flight=2, pending=1),)),
    )
    service = bench.caught_up()
    ask = Asked(service, TestClient(service.app, headers=TOKEN))
    clock.at = NOON + 2 * SECOND
    with running(service):
        shown = within(DEADLINE_S, lambda: {one["app"]: one for one in ask("/v1/load")["load"]})
        within(DEADLINE_S, lambda: "chat" in {one["app"] for one in ask("/v1/load")["load"]})
        within(DEADLINE_S, lambda: counted(bench) == 1)
    assert set(shown) <= {"chat", "ocr"}
    facts = written(bench)
    chat = [fact for fact in facts if fact.app == "chat" and fact.outcomes]
    assert [fact.outcomes for fact in chat] == [{"ok": 1}]
    assert chat[0].units == {"requests": 1_000_000, "input_tokens": 3_000_000}
    assert chat[0].complete_until == now
    carrying = {(fact.in_flight, fact.pending) for fact in facts if fact.app == "ocr"}
    assert carrying == {(2, 1)}


def test_a_restarted_stats_goes_on_with_the_load_of_its_ledger(bench: Bench) -> None:
    """Its facts of the last minute are those of before, and what edges said still stands."""
    edge, now = bench.edge(), NOON + SECOND
    bench.clock = Settable(now)  # by which the request's second is not told yet
    bench.write(edge.line(1, time=NOON, app="ocr"))
    bench.write(edge.beat(1, at=now))
    bench.caught_up()
    bench.stop()
    facts = bench.start().loads.facts(NOON + 3 * SECOND)
    (again,) = [fact for fact in facts if fact.outcomes]
    assert (again.app, again.outcomes, again.revision) == ("ocr", {"ok": 1}, 1)
    assert again.complete_until == now


def test_nothing_is_told_or_changed_without_the_token(asked: Asked) -> None:
    stranger = TestClient(asked.service.app)
    assert stranger.post("/v1/usage").status_code == 401
    for path in ("sources", "requests", "load", "status", "availability", "periods", "nowhere"):
        assert stranger.get(f"/v1/{path}").status_code == 401, path


def test_ready_is_making_progress(bench: Bench) -> None:
    service = bench.start()
    ask = Asked(service, TestClient(service.app))
    assert "counting" in str(ask("/readyz", status=503))
    with running(service):
        within(DEADLINE_S, lambda: ask.client.get("/readyz").status_code == 200)
    assert "midstage_stats_rows_total" in ask.client.get("/metrics").text


def counted(bench: Bench) -> int:
    return sum(1 for fact in written(bench) if fact.outcomes)


def written(bench: Bench) -> list[LoadObserved]:
    read = Decoder(bench.topics.load)
    facts = [read(record).data for record in records(bench.log, bench.topics.load.name)]
    return [fact for fact in facts if isinstance(fact, LoadObserved)]
