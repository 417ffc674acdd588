"""What Envoy asks throttle, and what callers see of the answer."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field

import grpc
import pytest
from envoy.config.core.v3.base_pb2 import (  # type: ignore[import-untyped]  # xds-protos has no types
    HeaderValue,
)
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
    rls_pb2_grpc,
)

from midstage.contracts.requests import Outcome
from midstage.gateway.views.routes import ESTIMATED
from midstage.testkit.waiting import within
from tests.ports import free_port

from .conftest import DEADLINE_S, THROTTLE_WITHIN_S, Edge
from .replica import Replica

pytestmark = pytest.mark.platform

OK = rls_pb2.RateLimitResponse.OK
OVER = rls_pb2.RateLimitResponse.OVER_LIMIT
Code = int
TOLD: Mapping[Code, Mapping[str, str]] = {
    OK: {"RateLimit": '"acme";r=3', "RateLimit-Policy": '"acme";q=5;w=10'},
    OVER: {
        "RateLimit": '"acme";r=0;t=7',
        "RateLimit-Policy": '"acme";q=5;w=10',
        "Retry-After": "7",
    },
}
"""As throttle's own adapter says it (tests/throttle)."""


def passes() -> Code:
    return int(OK)


def refuses() -> Code:
    return int(OVER)


@dataclass
class Throttle(rls_pb2_grpc.RateLimitServiceServicer):  # type: ignore[misc]  # no types
    """A rate-limit service that answers as it is told."""

    answer: Callable[[], Code] = passes
    asked: list[rls_pb2.RateLimitRequest] = field(default_factory=list)

    def ShouldRateLimit(  # noqa: N802  the protocol's name
        self, request: rls_pb2.RateLimitRequest, context: grpc.ServicerContext
    ) -> rls_pb2.RateLimitResponse:
        self.asked.append(request)
        code = self.answer()
        headers = [HeaderValue(key=name, value=value) for name, value in TOLD[code].items()]
        answer = rls_pb2.RateLimitResponse(
            overall_code=rls_pb2.RateLimitResponse.Code.ValueType(code),
            response_headers_to_add=headers,
        )
        if code == OVER:
            answer.dynamic_metadata["violated"] = ["acme", "gold"]
        return answer


@pytest.fixture(scope="module")
def throttle(edge: Edge) -> Iterator[Throttle]:
    """A throttle, and the edge told where it is."""
    throttle = Throttle()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    rls_pb2_grpc.add_RateLimitServiceServicer_to_server(throttle, server)
    port = server.add_insecure_port(f"127.0.0.1:{free_port()}")
    server.start()
    edge.moved_throttle(port)
    edge.answers("/tight/v1/x")
    yield throttle
    server.stop(0).wait()


def test_throttle_is_asked_once_with_customer_application_and_request(
    edge: Edge, throttle: Throttle
) -> None:
    for app in ("chat", "tight"):
        throttle.asked.clear()
        answer = edge.get(f"/{app}/v1/x", x_midstage_customer="victim")

        (asked,) = throttle.asked
        (descriptor,) = asked.descriptors
        assert asked.domain == "midstage"
        assert [(entry.key, entry.value) for entry in descriptor.entries] == [
            ("customer", "acme"),
            ("app", app),
            ("request_id", answer.headers["x-request-id"]),
        ]


def test_throttle_is_told_the_keys_name_and_what_the_caller_expects(
    edge: Edge, throttle: Throttle, replica: Replica
) -> None:
    edge.keys["key-of-ci"] = {"customer": "acme", "name": "ci"}
    edge.configure()
    named = {"authorization": "Bearer key-of-ci", "x_midstage_key": "of-another"}
    within(DEADLINE_S, lambda: edge.get("/chat/v1/x", **named).status_code == 200)
    throttle.asked.clear()
    edge.get(
        "/chat/v1/x",
        "named",
        **named,
        x_midstage_estimate_tokens="500",
        x_midstage_estimate_audio_seconds="12",
    )

    (asked,) = throttle.asked
    said = {entry.key: entry.value for entry in asked.descriptors[0].entries}
    assert said.pop("request_id")
    assert said == {
        "customer": "acme",
        "app": "chat",
        "key": "ci",
        "units.tokens": "500",
        "units.audio_seconds": "12",
    }
    data = edge.event("named").data
    assert (data.customer, data.labels) == ("acme", {"key": "ci"})
    seen = replica.asked[-1].headers
    assert (seen["x-midstage-customer"], seen["x-midstage-key"]) == ("acme", "ci")


@pytest.mark.parametrize("unit", ESTIMATED)
@pytest.mark.parametrize("said", ["9" * 20_000, "9" * 16, "-1", "5, 6", "many"])
def test_an_estimate_that_is_no_number_is_not_asked_for(
    edge: Edge, throttle: Throttle, unit: str, said: str
) -> None:
    throttle.asked.clear()
    header = f"x_midstage_estimate_{unit}"
    assert edge.get("/chat/v1/x", **{header: said}).status_code == 200
    assert edge.get("/chat/v1/x", **{header: "9" * 15}).status_code == 200

    refused, asked = (
        {entry.key: entry.value for entry in one.descriptors[0].entries} for one in throttle.asked
    )
    assert refused.keys() == {"customer", "app", "request_id"}
    assert asked[f"units.{unit}"] == "9" * 15


def test_nobody_can_say_the_name_of_a_key_that_has_none(edge: Edge, throttle: Throttle) -> None:
    throttle.asked.clear()
    edge.get("/chat/v1/x", "unnamed", x_midstage_key="ci")

    (asked,) = throttle.asked
    assert "key" not in {entry.key for entry in asked.descriptors[0].entries}
    assert edge.event("unnamed").data.labels == {}


def test_nobody_is_asked_for_a_caller_without_a_key(edge: Edge, throttle: Throttle) -> None:
    throttle.asked.clear()

    assert edge.get("/chat/v1/x", authorization="Bearer wrong").status_code == 401
    assert throttle.asked == []


@pytest.mark.parametrize("app", ["chat", "tight"])
def test_what_throttle_refuses_reaches_no_replica(
    edge: Edge, throttle: Throttle, replica: Replica, app: str
) -> None:
    before = len(replica.asked)
    throttle.answer = refuses
    answer = edge.get(f"/{app}/v1/x", f"refused {app}")
    throttle.answer = passes

    data = edge.event(f"refused {app}").data
    assert answer.status_code == 429
    assert {name: answer.headers[name] for name in TOLD[OVER]} == TOLD[OVER]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"].endswith("#quota-exceeded")
    assert (problem["status"], problem["violated-policies"]) == (429, ["acme", "gold"])
    assert "limit is reached" in problem["detail"]
    assert (data.app, data.customer, data.status) == (app, "acme", 429)
    assert (data.outcome, data.usage) == (Outcome.REFUSED, {})
    assert len(replica.asked) == before


def test_a_request_that_passes_is_told_what_is_left(edge: Edge, throttle: Throttle) -> None:
    answer = edge.get("/chat/v1/x", "told")

    assert {name: answer.headers[name] for name in TOLD[OK]} == TOLD[OK]
    assert "retry-after" not in answer.headers


def test_a_throttle_that_is_late_is_not_waited_for(edge: Edge, throttle: Throttle) -> None:
    let_go = threading.Event()

    def late() -> Code:
        let_go.wait()
        return int(OVER)

    throttle.answer = late
    with futures.ThreadPoolExecutor(2) as callers:
        try:
            opened = callers.submit(edge.get, "/chat/v1/x", "late open")
            closed = callers.submit(edge.get, "/tight/v1/x", "late closed")
            assert (opened.result().status_code, closed.result().status_code) == (200, 503)
        finally:
            throttle.answer = passes
            let_go.set()

    data = edge.event("late open").data
    assert data.outcome is Outcome.OK
    assert data.duration_ms >= THROTTLE_WITHIN_S * 1000
    assert edge.event("late closed").data.outcome is Outcome.ERROR
    assert edge.stat("cluster.chat.ratelimit.open.failure_mode_allowed") >= 1
