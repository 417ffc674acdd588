"""Whose usage a key shows, and what the audit is told of each question."""

import json

import httpx
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
import pytest
from fastapi.testclient import TestClient

from midstage.contracts.audit import Queried
from midstage.eventlog.codec import Decoder
from midstage.testkit.waiting import within

from .asking import TOKEN, Asked, few_calls
from .conftest import DEADLINE_S, Bench, records, running


@pytest.fixture
def asked(bench: Bench) -> Asked:
    return few_calls(bench)


def test_a_customers_key_sees_its_own_usage_alone(asked: Asked) -> None:
    acme = asked.by("acmes-key")
    assert [row["customer"] for row in acme.rows("?group_by=customer")] == ["acme"]
    assert acme.rows()[0]["requests"] == 3
    assert acme.rows("?measures=customers")[0]["customers"] == 1
    assert acme.rows("?customer=acme") == acme.rows()
    for query in ("?customer=globex", "?customer=acme&customer=globex"):
        refused = acme(query)
        assert refused.status_code == 403
        assert "globex" not in refused.text
    assert acme.post({"where": {"customer": ["globex"]}}).status_code == 403
    assert acme.post({"group_by": ["customer"]}).json()["usage"][0]["customer"] == "acme"
    assert acme.rows("?customer=acme&customer=acme") == acme.rows()
    said = acme().json()
    assert said["positions"] == {}  # they would say how much all others use
    assert "globex" not in acme("?group_by=customer,app,label.team", accept="text/csv").text


def test_no_form_tells_a_customer_how_much_all_others_use(asked: Asked) -> None:
    acme = asked.by("acmes-key")
    assert json.loads(acme(accept="text/csv").headers["midstage-positions"]) == {}
    stream = acme(accept="application/vnd.apache.arrow.stream").content
    metadata = pa.ipc.open_stream(stream).schema.metadata
    assert json.loads(metadata[b"midstage"])["positions"] == {}
    own = "?group_by=app&customer=acme&limit=1"
    operators = asked(own).json()
    assert operators["positions"] != {}
    assert acme(f"{own}&after={operators['next']}").json()["positions"] == {}


def test_a_customers_page_is_nobody_elses(asked: Asked) -> None:
    following = asked.by("acmes-key")("?group_by=app&limit=1").json()["next"]
    assert following
    assert asked.by("globex-key")(f"?group_by=app&limit=1&after={following}").status_code == 400


@pytest.mark.parametrize("token", ["", "wrong", "acme", "acmes-key "])
def test_whom_we_do_not_know_is_told_nothing(asked: Asked, token: str) -> None:
    known = token.strip() == "acmes-key"  # blanks around a token are not part of it
    for answer in (asked.by(token)(), asked.by(token).post({})):
        assert answer.status_code == (200 if known else 401)
    assert asked.client.get("/v1/usage").status_code == 401


def test_a_withdrawn_key_ends_at_once(asked: Asked, bench: Bench) -> None:
    file = bench.directory / "api-keys.json"
    file.write_text(json.dumps({"globex-key": "globex"}))
    assert asked.by("acmes-key")().status_code == 401
    file.chmod(0o644)
    file.write_text("{}")
    assert asked.by("globex-key")().status_code == 503
    assert asked().status_code == 200


def test_each_question_goes_to_the_audit(bench: Bench) -> None:
    bench.write(bench.edge().line(1))
    ask = Asked(service := bench.start(), TestClient(service.app))
    with running(service):
        ask("?group_by=app")
        ask.by("acmes-key")("?customer=globex")
        ask.by("nobodys")("?group_by=app")
        ask.post({"zone": "Mars"})
        within(DEADLINE_S, lambda: len(audited(bench)) == 3)
    assert {(one.actor, one.method, one.query, one.status) for one in audited(bench)} == {
        ("operator", "GET", "group_by=app", 200),
        ("customer/acme", "GET", "customer=globex", 403),
        ("operator", "POST", '{"zone":"Mars"}', 400),
    }


def test_parts_are_for_other_shards_alone(asked: Asked) -> None:
    def part(token: str, body: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"}
        answer: httpx.Response = asked.client.post("/v1/usage/part", json=body, headers=headers)
        return answer

    question = {"question": {"wanted": {"columns": ["requests"]}, "group_by": ["app"]}}
    answer = part(TOKEN, question).json()
    assert {group["key"][0] for group in answer["groups"]} == {"chat", "ocr"}
    assert answer["standing"]["versions"]["0"] >= 1
    assert part(TOKEN, {"question": 7}).status_code == 400
    assert part("acmes-key", question).status_code == 401


def test_the_audit_names_service_and_route(bench: Bench) -> None:
    bench.write(bench.edge().line(1))
    ask = Asked(service := bench.start(), TestClient(service.app))
    with running(service):
        ask("?customer=acme&label.team=a", accept="text/csv")
        within(DEADLINE_S, lambda: len(audited(bench)) == 1)
    (told,) = audited(bench)
    assert (told.service, told.route, told.query) == (
        *("stats", "/v1/usage", "customer=acme&label.team=a"),
    )


def audited(bench: Bench) -> list[Queried]:
    read = Decoder(bench.topics.audit)
    facts = [read(record).data for record in records(bench.log, bench.topics.audit.name)]
    return [fact for fact in facts if isinstance(fact, Queried)]
