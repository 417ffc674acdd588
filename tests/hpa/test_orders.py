"""A whole hpa that takes orders: what the count does, what people are told, what is refused."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from midstage.contracts.audit import Queried
from midstage.contracts.policy import Policy, Rate, Targets
from midstage.eventlog.codec import Decoder
from midstage.eventlog.memory import MemoryLog
from midstage.hpa.stream.due import AT_LEAST_EVERY_S
from midstage.hpa.stream.folding import Topics
from midstage.testkit.waiting import within
from tests.hpa.conftest import TOKEN, Others, Running, created, follows, now, records, running
from tests.hpa.test_process import all_again, evaluated_anew

pytestmark = pytest.mark.slow
POLICY = Policy(
    min=1,
    max=8,
    targets=Targets(concurrency=2),
    stabilise_down_s=0,
    window_s=1,
    up=Rate(pods=100),
    down=Rate(pods=100),
)
APPS = ("chat", "prompt", "paused", "tried", "over", "again", "unscaled", "ending", "odd")


@pytest.fixture(scope="module")
def others() -> Others:
    """A log where each story has an application of its own."""
    log = MemoryLog()
    created(log, Topics())
    return Others(log=log, names=Topics())


@pytest.fixture(scope="module")
def hpa(others: Others, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Each has two replicas; all that it evaluated is made again in the end."""
    others.reach()
    for app in APPS:
        others.specify(app, None if app == "unscaled" else POLICY, replicas=2)
    with running(others.log, others.names, tmp_path_factory.mktemp("hpa")) as served:
        within(60, lambda: all(served.counts(app) == [2] for app in APPS if app != "unscaled"))
        yield served
    all_again(others)


def put(
    hpa: Running, path: str, body: Any, *, command: str | None = None, token: str = TOKEN
) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    given = headers if command is None else {**headers, "idempotency-key": command}
    return hpa.http.put(f"/v1/apps/{path}", json=body, headers=given)


def delete(hpa: Running, path: str) -> httpx.Response:
    return hpa.http.delete(f"/v1/apps/{path}", headers={"authorization": f"Bearer {TOKEN}"})


def soon(**delta: float) -> str:
    return (now() + timedelta(**delta)).isoformat()


def test_an_override_is_carried_out_before_the_evaluation_of_each_five_seconds(
    hpa: Running,
) -> None:
    """A busy machine may take longer for one of them, but not for each."""
    assert any(at_once(hpa, count) for count in range(3, 8))


def at_once(hpa: Running, count: int) -> bool:
    begun = evaluated_anew(hpa, "prompt")["evaluation"]["inputs"]["now"]
    assert put(hpa, "prompt/override", {"replicas": count}).status_code == 200
    within(60, lambda: hpa.counts("prompt")[-1] == count)
    took = datetime.fromisoformat(hpa.decisions("prompt")[-1]["at"]) - datetime.fromisoformat(begun)
    return took < timedelta(seconds=AT_LEAST_EVERY_S)


def test_an_override_is_carried_out_and_lifted(others: Others, hpa: Running) -> None:
    """Beyond the policy's maximum too."""
    end = soon(hours=2)
    done = put(hpa, "chat/override?by=anna", {"replicas": 12, "until": end, "why": "a fair"})
    assert done.status_code == 200, done.text
    within(60, lambda: hpa.counts("chat") == [2, 12])
    [_, decision] = hpa.decisions("chat")
    assert decision["reason"].endswith("(a fair)")
    assert "exactly 12 ordered by anna" in decision["reason"]
    told = hpa.http.get("/v1/apps/chat/override").json()
    assert (told["what"], told["in_force"], told["by"]) == ("exactly 12", True, "anna")
    assert datetime.fromisoformat(told["until"]) == datetime.fromisoformat(end)
    [order] = hpa.http.get("/v1/decisions?app=chat").json()["orders"]
    assert order == told
    lifted = delete(hpa, "chat/override?by=ben&why=over")
    assert lifted.json()["version"] == done.json()["version"] + 2
    within(60, lambda: hpa.counts("chat") == [2, 12, 8])
    assert hpa.http.get("/v1/apps/chat/override").status_code == 404
    assert hpa.http.get("/v1/decisions?app=chat").json()["orders"] == []


def test_while_it_is_paused_load_changes_nothing(others: Others, hpa: Running) -> None:
    assert put(hpa, "paused/pause", {"direction": "up", "why": "a test"}).status_code == 200
    others.pods("paused", 2)

    def held() -> bool:
        others.load("paused", in_flight=8)
        made = hpa.evaluation("paused").get("evaluation", {})
        return "not raised: paused by api" in made.get("reason", "")

    within(60, held, every=0.1)
    assert hpa.counts("paused") == [2]
    told = hpa.http.get("/v1/apps/paused/pause").json()
    assert (told["what"], told["direction"]) == ("not raised", "up")
    assert delete(hpa, "paused/pause").status_code == 200
    follows(hpa, others, "paused", 8, [2, 4])


def test_a_dry_run_says_what_would_be_and_appends_nothing(hpa: Running) -> None:
    for path, body, count, step in (
        ("tried/override?dry_run=true", {"replicas": 6}, 6, "exactly 6 ordered by api"),
        ("tried/override?dry_run=true", {"max": 1}, 1, "at most 1 ordered by api"),
        ("tried/pause?dry_run=true", {}, 2, ""),
    ):
        made = put(hpa, path, body).json()
        assert (made["app"], made["decided"]) == ("tried", False)
        assert made["evaluation"]["replicas"] == count
        assert step in made["evaluation"]["reason"]
    assert hpa.http.get("/v1/apps/tried/override").status_code == 404
    assert hpa.counts("tried") == [2]
    assert put(hpa, "tried/override?dry_run=true", {"min": 9, "max": 3}).status_code == 422


def test_another_policy_is_tried_on_what_is_known_now(hpa: Running) -> None:
    def evaluated(app: str, body: str) -> httpx.Response:
        return hpa.http.post(
            f"/v1/apps/{app}/evaluate",
            content=body,
            headers={"authorization": f"Bearer {TOKEN}"},
        )

    made = evaluated("tried", '{"min": 5, "max": 9, "targets": {"concurrency": 1}}').json()
    assert made["evaluation"]["replicas"] == 5
    assert made["evaluation"]["inputs"]["policy"]["max"] == 9
    assert evaluated("unscaled", '{"min": 3, "max": 9}').json()["evaluation"]["replicas"] == 3
    assert hpa.counts("tried") == [2]
    for app, body, status, said in (
        ("nobody", '{"max": 9}', 404, "there is no application 'nobody'"),
        ("tried", '{"max": 9, "maxi": 1}', 422, "maxi: unknown field"),
        ("tried", '{"max": 9, "up": {"pod": 1}}', 422, "up.pod: unknown field"),
        ("tried", '{"max": 9, "timed": [{"name": "a", "flor": 1}]}', 422, "timed[0].flor"),
        ("tried", '{"min": 9, "max": 3}', 422, "min: 9 is more than max 3"),
        ("tried", '{"max": 0}', 422, "$.max"),
        ("tried", "[]", 422, "no policy"),
        ("tried", "{", 400, "not JSON"),
        ("tried", "[" * 5000, 400, "not JSON"),
    ):
        refused = evaluated(app, body)
        assert refused.status_code == status, refused.text
        assert said in refused.json()["detail"]


def test_what_is_over_is_told_to_be_and_does_nothing(hpa: Running) -> None:
    put(hpa, "over/override", {"min": 5, "until": soon(hours=1)})
    within(60, lambda: hpa.counts("over") == [2, 5])

    def over() -> bool:
        return not hpa.http.get("/v1/apps/over/override").json()["in_force"]

    for seconds in (2, 8, 30):  # a busy machine may be too late for the first
        put(hpa, "over/override", {"max": 3, "until": soon(seconds=seconds)})
        within(60, lambda: hpa.counts("over") == [2, 5, 3] or over())
        if hpa.counts("over") == [2, 5, 3]:
            break
    within(60, over)
    assert hpa.counts("over") == [2, 5, 3]
    at = now()
    within(60, lambda: hpa.evaluated_after("over", at))
    assert hpa.evaluation("over")["evaluation"]["inputs"]["override"] is None
    late = delete(hpa, "over/override")
    assert late.status_code == 404
    assert "was over at" in late.json()["detail"]


def test_a_command_sent_again_has_the_first_outcome(hpa: Running) -> None:
    body = {"max": 7}
    first = put(hpa, "again/override", body, command="order-1").json()
    second = put(hpa, "again/override", body, command="order-1").json()
    assert (second["repeated"], second["version"]) == (True, first["version"])
    assert put(hpa, "again/override", {"max": 6}, command="order-1").status_code == 409
    assert put(hpa, "again/pause", {}, command="order-1").status_code == 409
    known = hpa.http.get("/v1/commands/order-1").json()
    assert (known["app"], known["version"]) == ("again", first["version"])
    assert hpa.http.get("/v1/commands/order-2").status_code == 404


def test_an_order_ends_with_the_applications_scaling(others: Others, hpa: Running) -> None:
    put(hpa, "ending/override", {"replicas": 3})
    within(60, lambda: hpa.counts("ending") == [2, 3])
    others.specify("ending", None)
    within(60, lambda: hpa.http.get("/v1/apps/ending/override").status_code == 404)
    others.specify("ending", POLICY, replicas=2)
    within(60, lambda: hpa.counts("ending") == [2, 3, 2])


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("nobody/override", {"replicas": 3}, 404, "there is no application 'nobody'"),
        ("unscaled/override", {"replicas": 3}, 409, "has no scaling policy"),
        ("unscaled/pause", {}, 409, "has no scaling policy"),
        ("odd/override", {}, 422, "give replicas, or min, max or both"),
        ("odd/override", {"replicas": 3, "min": 1}, 422, "either replicas or min and max"),
        ("odd/override", {"replicas": 0}, 422, "body.replicas"),
        ("odd/override", {"replicas": 1001}, 422, "body.replicas"),
        ("odd/override", {"replicas": "3"}, 422, "body.replicas"),
        ("odd/override", {"replica": 3}, 422, "body.replica"),
        ("odd/override", {"max": 3, "until": "2026-01-01T00:00:00"}, 422, "body.until"),
        ("odd/override", {"max": 3, "until": "2020-01-01T00:00:00Z"}, 422, "is over"),
        ("odd/override", {"max": 3, "until": "9999-12-31T23:59:59Z"}, 422, "30 days"),
        ("odd/override", {"max": 3, "why": "x" * 501}, 422, "body.why"),
        ("odd/override?by=", {"max": 3}, 422, "by"),
        ("odd/pause", {"direction": "sideways"}, 422, "body.direction"),
        ("no%20app/pause", {}, 422, "app"),
    ],
)
def test_what_can_not_be_ordered_is_refused(
    hpa: Running, path: str, body: Any, status: int, said: str
) -> None:
    refused = put(hpa, path, body)
    assert refused.status_code == status, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert said in refused.json()["detail"]


def test_orders_need_the_token(hpa: Running) -> None:
    assert put(hpa, "odd/override", {"replicas": 3}, token="wrong").status_code == 401
    assert hpa.http.delete("/v1/apps/odd/pause").status_code == 401
    assert hpa.http.post("/v1/apps/odd/evaluate", content="{}").status_code == 401
    assert hpa.http.get("/v1/apps/odd/override").status_code == 404


def test_each_order_goes_to_the_audit_with_what_became_of_it(others: Others, hpa: Running) -> None:
    put(hpa, "odd/override?by=anna", {"max": 7, "why": "an audit"})
    put(hpa, "odd/pause?dry_run=true", {})
    put(hpa, "odd/override", {"min": 9, "max": 3})
    tried = '{"max": 6, "targets": {"concurrency": 2}}'
    headers = {"authorization": f"Bearer {TOKEN}"}
    for body in (tried, "rubbish"):
        hpa.http.post("/v1/apps/odd/evaluate", content=body, headers=headers)
    others_tried = tried.replace("6", "7")
    hpa.http.post("/v1/apps/odd/evaluate", content=others_tried)  # by nobody that we know
    delete(hpa, "odd/override?why=enough")
    route = "/v1/apps/{app}/override"
    within(60, lambda: ("DELETE", route, "app=odd&why=enough", 200) in audited(others))
    told = audited(others)
    assert ("PUT", route, 'app=odd&by=anna&{"max":7,"why":"an audit"}', 200) in told
    assert ("PUT", route, 'app=odd&{"min":9,"max":3,"why":""}', 422) in told
    pause = 'app=odd&dry_run=true&{"direction":"both","why":""}'
    assert ("PUT", "/v1/apps/{app}/pause", pause, 200) in told
    assert {each[2:] for each in told if each[1] == "/v1/apps/{app}/evaluate"} >= {
        (f"app=odd&{tried}", 200),
        ("app=odd&rubbish", 400),
    }
    assert f"app=odd&{others_tried}" not in {each[2] for each in told}


def audited(others: Others) -> set[tuple[str, str, str, int]]:
    topic = others.names.audit
    read = Decoder(topic)
    found = [read(record).data for record in records(others.log, topic)]
    return {
        (one.method, one.route, one.query, one.status)
        for one in found
        if isinstance(one, Queried) and (one.actor, one.service) == ("operator", "hpa")
    }
