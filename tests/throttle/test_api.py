"""Limits over HTTP, by a whole process over a log in memory."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.throttle.conftest import LIMIT, ONCE, Running, problem


def test_a_limit_is_set_read_and_removed(throttle: Running) -> None:
    answer = throttle.put("one", "set-one", why="trial", on_failure="closed")
    assert answer.status_code == 200
    assert answer.json() == {
        "kind": "limit",
        "name": "one",
        "version": 1,
        "command_id": "set-one",
        "repeated": False,
    }
    held = throttle.http.get("/v1/limits/one").json()
    assert held.pop("at").endswith("Z")
    assert held == {
        "limit": "one",
        "customer": "acme",
        "aggregate": False,
        "key": "",
        "plan": "",
        "app": "chat",
        "match": {},
        "unit": "requests",
        "amount": 5,
        "says": "5 requests per 1 s, 10 at once",
        "algorithm": {
            "kind": "token_bucket",
            "period_s": 1.0,
            "burst": 10,
            "refill": "continuous",
        },
        "on_failure": "closed",
        "drain": False,
        "debt": 0,
        "shadow": False,
        "strict": False,
        "overrides": [],
        "by": "api",
        "why": "trial",
        "version": 1,
    }
    assert throttle.delete("one").json()["version"] == 2
    assert problem(throttle.http.get("/v1/limits/one"), 404) == "there is no limit 'one'"
    assert "to remove" in problem(throttle.delete("one"), 404)


def test_a_limit_over_all_customers_is_told_as_one(throttle: Running) -> None:
    terms = {"customer": "*", "app": "together", "aggregate": True, "on_failure": "closed"}
    once = {"amount": 9, "algorithm": {"kind": "lifetime"}}
    assert throttle.put("together", **terms, **once).status_code == 200
    held = throttle.http.get("/v1/limits/together").json()
    says = "9 requests for ever, over all customers"
    assert (held["aggregate"], held["says"]) == (True, says)
    within(60, lambda: left_of_all(throttle, "ann") == left_of_all(throttle, "bob") == 9)
    passed = sum(throttle.passes("ann", "together") for _ in range(3))
    assert left_of_all(throttle, "bob") == 9 - passed
    because = throttle.http.get("/v1/customers/bob/limits?app=together").json()["limits"]
    assert because[0]["because"] == "all customers together, application together"


def left_of_all(throttle: Running, customer: str) -> int | None:
    limits = throttle.http.get(f"/v1/customers/{customer}/limits?app=together").json()["limits"]
    return next((each["remaining"] for each in limits if each["limit"] == "together"), None)


@pytest.mark.parametrize(
    ("period_s", "said"),
    [(0.5, "0.5 s"), (90, "90 s"), (120, "2 min"), (3600, "1 h"), (7 * 86_400, "7 d")],
)
def test_a_period_is_told_in_its_longest_whole_unit(
    throttle: Running, period_s: float, said: str
) -> None:
    window = {"kind": "moving_window", "period_s": period_s}
    assert throttle.put("periodic", algorithm=window).status_code == 200
    assert throttle.http.get("/v1/limits/periodic").json()["says"] == f"5 requests in {said}"


def test_limits_are_listed_by_customer_and_application(throttle: Running) -> None:
    throttle.put("list-a", customer="lara", app="chat")
    throttle.put("list-b", customer="lara", app="ocr")
    throttle.put("list-c", customer="*", app="ocr-2")
    assert listed(throttle, customer="lara") == ["list-a", "list-b"]
    assert listed(throttle, customer="lara", app="ocr") == ["list-b"]
    assert listed(throttle, app="ocr-2") == ["list-c"]
    assert listed(throttle, customer="nobody") == []
    assert {"list-a", "list-b", "list-c"} <= set(listed(throttle))


def test_a_command_sent_again_has_its_first_outcome(throttle: Running) -> None:
    first = throttle.put("twice", "set-twice").json()
    again = throttle.put("twice", "set-twice", amount=5).json()
    assert again == {**first, "repeated": True}
    assert throttle.http.get("/v1/limits/twice").json()["version"] == 1
    assert throttle.http.get("/v1/commands/set-twice").json() == {**first, "repeated": True}


@pytest.mark.parametrize("changed", [{"amount": 11}, {"why": "other"}, {"customer": "bolt"}])
def test_a_command_id_belongs_to_one_body(throttle: Running, changed: dict[str, object]) -> None:
    name = f"body-{next(iter(changed))}"
    throttle.put(name, f"set-{name}")
    problem(throttle.put(name, f"set-{name}", **changed), 409)
    problem(throttle.put(f"{name}-other", f"set-{name}"), 409)
    problem(throttle.delete(name, f"set-{name}"), 409)
    assert throttle.http.get(f"/v1/limits/{name}").json()["version"] == 1


def test_a_removal_sent_again_has_its_first_outcome(throttle: Running) -> None:
    throttle.put("gone")
    first = throttle.delete("gone", "remove-gone").json()
    assert throttle.delete("gone", "remove-gone").json() == {**first, "repeated": True}


def test_an_unknown_command_is_not_found(throttle: Running) -> None:
    assert "never-sent" in problem(throttle.http.get("/v1/commands/never-sent"), 404)


def test_without_the_token_nothing_changes(throttle: Running) -> None:
    body = LIMIT
    for authorization in ("", "Bearer wrong"):
        headers = {"authorization": authorization}
        problem(throttle.http.put("/v1/limits/secret", json=body, headers=headers), 401)
        problem(throttle.http.delete("/v1/limits/one", headers=headers), 401)
    assert throttle.http.get("/v1/limits/secret").status_code == 404


def test_a_limit_is_in_force_within_a_second(throttle: Running) -> None:
    """A busy machine may add to it, so it counts where it was so once."""
    within(60, lambda: in_force_s(throttle) < 1)


def in_force_s(throttle: Running) -> float:
    """How long a limit that is set and one that is taken away take to hold, both together."""
    assert throttle.passes("fast", "chat")
    begun = time.monotonic()
    throttle.put("fast", customer="fast", **ONCE)
    within(60, lambda: not throttle.passes("fast", "chat"))
    throttle.delete("fast")
    within(60, lambda: throttle.passes("fast", "chat"))
    return time.monotonic() - begun


def test_many_at_once_get_a_version_each(throttle: Running) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda burst: throttle.put("busy", amount=burst).json(), range(1, 25))
        )
    assert sorted(answer["version"] for answer in answers) == list(range(1, 25))


def test_metrics_tell_verdicts_and_limits(throttle: Running) -> None:
    throttle.put("metered", customer="metered", **ONCE)
    within(60, lambda: not throttle.passes("metered", "chat"))
    text = throttle.http.get("/metrics").text
    for name in (
        'midstage_throttle_checks_total{verdict="admitted"}',
        'midstage_throttle_checks_total{verdict="refused"}',
        "midstage_throttle_answer_seconds_count",
        "midstage_throttle_meters",
        "midstage_throttle_limits",
        'midstage_throttle_late_total{rule="open"}',
    ):
        assert name in text


@pytest.mark.slow
def test_while_the_log_is_away_limits_hold_and_commands_wait(
    throttle: Running, memory_log: MemoryLog
) -> None:
    throttle.put("away", customer="away", **ONCE)
    within(60, lambda: not throttle.passes("away", "chat"))
    memory_log.cut()
    try:
        problem(throttle.put("away-2", "set-away-2"), 503)
        assert not throttle.passes("away", "chat")
        within(60, lambda: throttle.http.get("/readyz").status_code == 503)
    finally:
        memory_log.mend()
    within(60, lambda: throttle.http.get("/readyz").status_code == 200)
    assert throttle.put("away-2", "set-away-2").json()["version"] == 1


@pytest.mark.slow
def test_a_lost_acknowledgement_is_found_in_the_log(
    throttle: Running, memory_log: MemoryLog
) -> None:
    memory_log.lose_next_acknowledgement()
    first = throttle.put("unsure", "set-unsure")
    assert first.status_code in (200, 503)
    known = within(60, lambda: throttle.http.get("/v1/commands/set-unsure").json().get("version"))
    assert known == 1
    assert throttle.put("unsure", "set-unsure").json()["repeated"] is True


def test_a_customers_plan_brings_its_limits(throttle: Running) -> None:
    throttle.put("silver-all", customer="*", app="*", plan="silver", **ONCE)
    assert all(throttle.passes("sue", "silver-app") for _ in range(2))
    body = {"plan": "silver", "by": "ann", "why": "signed"}
    done = throttle.http.put("/v1/customers/sue/plan", json=body).json()
    assert (done["kind"], done["name"], done["version"]) == ("customer", "sue", 1)
    within(60, lambda: not throttle.passes("sue", "silver-app"))
    assert all(throttle.passes("tim", "silver-app") for _ in range(2))
    planned = throttle.http.get("/v1/customers/sue/plan").json()
    assert planned.pop("at").endswith("Z")
    assert planned == {"customer": "sue", **body, "version": 1}
    assert planned["customer"] in [
        each["customer"]
        for each in throttle.http.get("/v1/plans", params={"plan": "silver"}).json()["customers"]
    ]
    assert throttle.http.delete("/v1/customers/sue/plan?by=bob&why=left").json()["version"] == 2
    within(60, lambda: throttle.passes("sue", "silver-app"))
    problem(throttle.http.get("/v1/customers/sue/plan"), 404)
    problem(throttle.http.delete("/v1/customers/sue/plan"), 404)


def test_what_is_left_is_told_with_the_reason(throttle: Running) -> None:
    bucket = {"kind": "token_bucket", "period_s": 1e6}
    throttle.put("lee-all", customer="lee", app="*", amount=7, algorithm=bucket, why="trial")
    throttle.put("lee-chat", customer="lee", amount=3, algorithm=bucket, overrides=["lee-all"])
    within(60, lambda: len(own_left(throttle, "lee")) == 2)
    assert throttle.passes("lee", "chat")
    assert throttle.passes("lee", "ocr")
    whole, own = own_left(throttle, "lee")
    assert (whole["limit"], whole["used"], whole["remaining"]) == ("lee-all", 1, 6)
    assert (whole["overridden_by"], whole["why"]) == (["lee-chat"], "trial")
    assert whole["because"] == "customer lee, all applications together"
    assert 0 < whole["wait_s"] <= 1e6 / 7
    assert (own["limit"], own["quota"], own["used"], own["remaining"]) == ("lee-chat", 3, 1, 2)
    assert [each["limit"] for each in own_left(throttle, "lee", app="ocr")] == ["lee-all"]


def test_a_check_is_foreseen_and_charges_nothing(throttle: Running) -> None:
    throttle.put(
        "fay-tokens", customer="fay", unit="tokens", amount=100, algorithm={"kind": "lifetime"}
    )
    within(60, lambda: own_left(throttle, "fay"))
    for _ in range(3):
        passed = foreseen(throttle, tokens=100)
        assert (passed["admitted"], passed["violated"]) == (True, [])
        refused = foreseen(throttle, tokens=101)
        assert (refused["admitted"], refused["violated"]) == (False, ["fay-tokens"])
        assert refused["retry_after_s"] is None
    assert own_left(throttle, "fay")[0]["used"] == 0


def test_what_a_request_used_can_be_told(throttle: Running) -> None:
    lifetime = {"kind": "lifetime"}
    throttle.put("sam-tokens", customer="sam", unit="tokens", amount=100, algorithm=lifetime)
    within(60, lambda: own_left(throttle, "sam"))
    told = {"request": "r-1", "customer": "sam", "app": "chat", "units": {"tokens": 30}}
    for _ in range(2):
        answer = throttle.http.post("/v1/settlements", json=told)
        assert (answer.status_code, answer.json()) == (202, {"request": "r-1"})
        assert own_left(throttle, "sam")[0]["used"] == 30
    problem(throttle.http.post("/v1/settlements", json={**told, "units": {"tokens": -1}}), 422)
    anonymous = {"authorization": "Bearer wrong"}
    problem(throttle.http.post("/v1/settlements", json=told, headers=anonymous), 401)


def foreseen(throttle: Running, **units: int) -> dict[str, object]:
    body = {"customer": "fay", "app": "chat", "units": units}
    answer: dict[str, object] = throttle.http.post("/v1/checks/foreseen", json=body).json()
    return answer


def own_left(throttle: Running, customer: str, **query: str) -> list[dict[str, Any]]:
    """Without the limits for everybody that other tests have set."""
    answer = throttle.http.get(f"/v1/customers/{customer}/limits", params=query)
    assert answer.status_code == 200, answer.text
    limits: list[dict[str, Any]] = answer.json()["limits"]
    return [each for each in limits if each["limit"].startswith(customer)]


def listed(throttle: Running, **filters: str) -> list[str]:
    return [
        one["limit"] for one in throttle.http.get("/v1/limits", params=filters).json()["limits"]
    ]
