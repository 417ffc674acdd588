"""A whole throttle with a folder of rules: both ports, the reload, and what is hostile."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)

from midstage.contracts import topics
from midstage.testkit.waiting import within
from midstage.throttle.config import RuleSettings
from tests.throttle.conftest import Running, memory, running
from tests.throttle.ruled import sample

pytestmark = pytest.mark.slow
RULES = """
domain: d
descriptors:
  - key: k
    rate_limit: {unit: year, requests_per_unit: 2}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "rules"
    path.mkdir()
    (path / "d.yaml").write_text(RULES)
    return path


@pytest.fixture
def throttle(tmp_path: Path, folder: Path) -> Iterator[Running]:
    log = memory()
    rules = RuleSettings(folder=folder, headers="RateLimit")
    with running(log, topics.LIMITS, tmp_path, rules=rules) as served:
        yield served


def body(value: str = "v", *, domain: str = "d", key: str = "k") -> dict[str, object]:
    return {"domain": domain, "descriptors": [{"entries": [{"key": key, "value": value}]}]}


def post(throttle: Running, content: object) -> tuple[int, dict[str, object]]:
    # as that product's callers ask: without a token
    answer = throttle.http.post("/json", json=content, headers={"authorization": ""})
    return answer.status_code, answer.json()


def test_json_answers_as_the_port_does(throttle: Running) -> None:
    status, told = post(throttle, body())
    assert (status, told["overallCode"]) == (200, "OK")
    assert told["statuses"][0]["limitRemaining"] == 1  # type: ignore[index]  # a list of statuses
    assert [each["key"] for each in told["responseHeadersToAdd"]] == [  # type: ignore[attr-defined]  # headers
        "RateLimit-limit",
        "RateLimit-remaining",
        "RateLimit-reset",
    ]
    asked = rls_pb2.RateLimitRequest(domain="d")
    asked.descriptors.add().entries.add(key="k", value="v")
    assert throttle.envoy.ShouldRateLimit(asked, timeout=60).statuses[0].limit_remaining == 0
    status, told = post(throttle, body())
    assert (status, told["overallCode"]) == (429, "OVER_LIMIT")


def test_json_knows_the_platforms_own_domain_too(throttle: Running) -> None:
    slow = {"kind": "token_bucket", "period_s": 1_000_000, "burst": 1}
    assert throttle.put("acme-chat", amount=1, algorithm=slow).status_code == 200
    asked = {
        "domain": "midstage",
        "descriptors": [
            {"entries": [{"key": "customer", "value": "acme"}, {"key": "app", "value": "chat"}]}
        ],
    }
    within(60, lambda: post(throttle, asked)[0] == 429)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 50_000,
        b'{"unknown": 1}',
        b'{"domain": "d"}',
        b'{"descriptors": [{}]}',
        b'{"domain": "d", "hitsAddend": -1, "descriptors": [{}]}',
        b'{"domain": "d", "hitsAddend": 1e400, "descriptors": [{}]}',
        b'{"domain": "\\ud800", "descriptors": [{}]}',
        b'{"domain": "d", "descriptors": [{"limit": {"requestsPerUnit": 1}}]}',
    ],
)
def test_what_is_no_question_is_a_400(throttle: Running, content: bytes) -> None:
    answer = throttle.http.post("/json", content=content)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_absurd_questions_are_refused_and_the_next_is_answered(throttle: Running) -> None:
    for entries, value in ((10_000, "v"), (1, "v" * 1024 * 1024)):
        asked = rls_pb2.RateLimitRequest(domain="d")
        descriptor = asked.descriptors.add()
        for _ in range(entries):
            descriptor.entries.add(key="k", value=value)
        with pytest.raises(grpc.RpcError) as raised:
            throttle.envoy.ShouldRateLimit(asked, timeout=60)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert throttle.http.post("/json", json=body("v" * 70_000)).status_code == 413
    assert post(throttle, body("after"))[0] == 200


def test_healthcheck_is_theirs(throttle: Running) -> None:
    answer = throttle.http.get("/healthcheck")
    assert (answer.status_code, answer.text) == (200, "OK")


def test_files_are_taken_while_it_serves_and_bad_ones_harm_nothing(
    throttle: Running, folder: Path
) -> None:
    assert [post(throttle, body("r"))[0] for _ in range(3)] == [200, 200, 429]
    (folder / "d.yaml").write_text(RULES.replace("2}", "5}"))
    within(60, lambda: sample(throttle, "rule_loads_total", result="taken") == 2)
    assert [post(throttle, body("r"))[0] for _ in range(3)] == [200, 200, 429]  # 3 had counted
    (folder / "d.yaml").write_text(RULES.replace("unit", "until"))
    within(60, lambda: sample(throttle, "rules_stale") == 1)
    assert throttle.http.get("/readyz").status_code == 200
    assert post(throttle, body("r"))[0] == 429
    assert sample(throttle, "rule_hits_total", domain="d", key="k") == 7


def test_bad_files_at_the_start_leave_what_is_native_and_answer_the_rest_by_errors(
    tmp_path: Path, folder: Path
) -> None:
    (folder / "d.yaml").write_text("domain: [")
    log = memory()
    with running(log, topics.LIMITS, tmp_path, rules=RuleSettings(folder=folder)) as throttle:
        assert throttle.passes("acme", "chat")
        assert throttle.http.get("/readyz").status_code == 200
        status, told = post(throttle, body())
        assert status == 503
        assert "d.yaml: error loading config file" in str(told["detail"])
        asked = rls_pb2.RateLimitRequest(domain="d")
        with pytest.raises(grpc.RpcError) as raised:
            throttle.envoy.ShouldRateLimit(asked, timeout=60)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        (folder / "d.yaml").write_text(RULES)
        within(60, lambda: post(throttle, body())[0] == 200)
