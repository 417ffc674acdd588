"""Applications, replicas and keys change while requests run; replicas die and come back."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from midstage.contracts.requests import Outcome
from midstage.testkit.waiting import within
from tests import patient
from tests.ports import free_port

from .conftest import ACME, DEADLINE_S, Edge, MakeEdge
from .replica import Answering, Asked, Replica, running

pytestmark = pytest.mark.platform


def chat(*replicas: Replica) -> dict[str, object]:
    return {
        "name": "chat",
        "prefix": "/chat",
        "endpoints": [f"127.0.0.1:{replica.port}" for replica in replicas],
    }


def test_a_replica_that_is_gone_costs_no_request(edges: MakeEdge) -> None:
    with ExitStack() as first, running() as other:
        gone = first.enter_context(running())
        edge = edges(chat(gone, other))
        edge.settled("chat", 2)
        edge.answers("/chat/v1/before")
        first.close()

        answers = [edge.get("/chat/v1/x", f"gone-{n}").status_code for n in range(20)]
        edge.settled("chat", 1)

        assert answers == [200] * 20
        asked = [[one for one in each.asked if one.path == "/v1/x"] for each in (other, gone)]
        assert len(asked[0]) >= 20 - len(asked[1])
        for n in range(20):
            data = edge.event(f"gone-{n}").data
            assert (data.outcome, data.usage) == (Outcome.OK, {"requests": 1})


def test_a_replica_comes_back_at_the_same_address(edges: MakeEdge) -> None:
    port = free_port()
    with ExitStack() as life:
        life.enter_context(running(port))
        edge = edges({"name": "chat", "prefix": "/chat", "endpoints": [f"127.0.0.1:{port}"]})
        edge.settled("chat", 1)
    edge.settled("chat", 0)
    assert edge.get("/chat/v1/x", "none").status_code == 503

    with running(port):
        within(DEADLINE_S, lambda: edge.get("/chat/v1/x", "back").status_code == 200)


def test_requests_that_break_a_replica_take_it_from_nobody(edges: MakeEdge) -> None:
    def dies(asked: Asked, answering: Answering) -> None:
        answering.die()

    with running() as replica:
        edge = edges(chat(replica))
        edge.settled("chat", 1)
        edge.answers("/chat/v1/x")
        replica.on("/v1/poison", dies)
        statuses = [
            edge.get(f"/chat/v1/{path}").status_code for path in ("poison", "x", "poison", "x")
        ]

    assert statuses == [503, 200, 503, 200]


def test_a_new_replica_and_a_new_application_take_requests(edges: MakeEdge) -> None:
    with running() as old, running() as new:
        edge = edges(chat(old))
        edge.settled("chat", 1)
        edge.apps = [chat(new), {**chat(old), "name": "code", "prefix": "/code"}]
        edge.configure()
        within(DEADLINE_S, lambda: edge.get("/code/v1/old").status_code == 200)
        within(DEADLINE_S, lambda: edge.get("/chat/v1/new").is_success and new.asked)

        assert {asked.path for asked in new.asked} == {"/v1/new"}
        assert "/v1/old" in {asked.path for asked in old.asked}


def test_a_replica_that_is_taken_away_answers_what_it_has(edges: MakeEdge) -> None:
    with running() as old, running() as new:
        edge = edges(chat(old))
        edge.settled("chat", 1)

        def slowly(asked: Asked, answering: Answering) -> None:
            answering.events(b"one")
            edge.apps = [chat(new)]
            edge.configure()
            within(DEADLINE_S, lambda: edge.get("/chat/v1/x").is_success and new.asked)
            answering.chunk(b"data: two\n\n")
            answering.end()

        edge.answers("/chat/v1/x")
        old.on("/v1/slow", slowly)
        answer = edge.get("/chat/v1/slow", "slow")

    assert answer.text == "data: one\n\ndata: two\n\n"
    assert edge.event("slow").data.outcome is Outcome.OK


def test_an_application_that_is_removed_is_nobody_s(edges: MakeEdge) -> None:
    with running() as replica:
        edge = edges(chat(replica), {**chat(replica), "name": "code", "prefix": "/code"})
        edge.settled("code", 1)
        edge.answers("/chat/v1/x")
        edge.apps = [chat(replica)]
        edge.configure()

        within(DEADLINE_S, lambda: edge.get("/code/v1/x").status_code == 404)
        assert edge.get("/chat/v1/x").status_code == 200


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        '{"apps": [{"name": "chat"}]}',
        '{"apps": [{"name": "chat", "prefix": "/chat", "endpoints": ["nowhere"]}]}',
        '{"apps": [{"name": "Chat!", "prefix": "/chat"}]}',
        '{"apps": [{"name": "chat", "prefix": "chat"}]}',
        '{"apps": [{"name": "unknown", "prefix": "/x"}]}',
        '{"apps": [{"name": "a", "prefix": "/x"}, {"name": "b", "prefix": "/x"}]}',
        '{"apps": [{"name": "a", "prefix": "/x"}, {"name": "a", "prefix": "/y"}]}',
        '{"apps": [{"name": "a", "prefix": "/x", "weight": 3}]}',
        '{"apps": [{"name": "a", "prefix": "/x", "timeout_s": 0}]}',
    ],
)
def test_a_file_with_a_fault_changes_nothing(edge: Edge, broken: str) -> None:
    before = {file.name: file.read_bytes() for file in edge.config_dir.iterdir()}
    edge.apps_file.write_text(broken)

    edge.configuration.turn()

    assert {file.name: file.read_bytes() for file in edge.config_dir.iterdir()} == before
    assert b"midstage_gateway_config_rejected 1.0" in metrics(edge)
    assert edge.configuration.progress() is None  # the older one holds
    edge.configure()
    assert b"midstage_gateway_config_rejected 0.0" in metrics(edge)


def test_a_keys_file_that_others_can_read_changes_nothing(edge: Edge) -> None:
    edge.keys_file.chmod(0o644)
    edge.keys_file.write_text(json.dumps({"key-of-thief": "thief"}))

    edge.configuration.turn()

    assert b"config_rejected 1.0" in metrics(edge)
    assert "key-of-thief" not in (edge.config_dir / "rds.json").read_text()
    edge.keys_file.chmod(0o600)
    edge.configure()


def test_without_any_good_file_gateway_is_not_ready_and_says_why(
    edge: Edge, tmp_path: Path
) -> None:
    fresh = Edge(root=tmp_path, binary=edge.binary, port=free_port(), admin_port=free_port())
    fresh.configuration.turn()

    assert str(tmp_path / "apps.json") in str(fresh.configuration.progress())
    assert not (tmp_path / "config" / "bootstrap.json").exists()


def test_files_with_keys_are_for_their_owner(edge: Edge) -> None:
    modes = {file.stat().st_mode & 0o777 for file in edge.config_dir.iterdir()}

    assert modes == {0o600}


def test_envoy_s_admin_says_what_is_in_flight(edge: Edge, replica: Replica) -> None:
    def waits(asked: Asked, answering: Answering) -> None:
        within(DEADLINE_S, lambda: edge.admin.loads()["chat"].in_flight == 1)
        answering.plain(b"{}")

    replica.on("/v1/waits", waits)

    assert patient.get(edge.url("/chat/v1/waits"), headers=ACME).status_code == 200
    within(DEADLINE_S, lambda: edge.admin.loads()["chat"].in_flight == 0)


def metrics(edge: Edge) -> bytes:
    return generate_latest(edge.metrics.registry)
