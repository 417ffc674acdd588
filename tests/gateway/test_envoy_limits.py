"""Limits of a whole throttle, as callers of gateway's Envoy meet them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from midstage.contracts import topics
from midstage.testkit.waiting import within
from tests.ports import free_port
from tests.throttle.conftest import ONCE, Running, memory, running

from .conftest import DEADLINE_S, Edge

pytestmark = [pytest.mark.platform, pytest.mark.slow]


@pytest.fixture
def throttle(edge: Edge, tmp_path: Path) -> Iterator[Running]:
    """A throttle that the edge asks."""
    port = free_port()
    with running(memory(), topics.LIMITS, tmp_path, grpc_port=port) as throttle:
        edge.keys |= {
            "key-of-ci": {"customer": "acme", "name": "ci"},
            "key-of-web": {"customer": "acme", "name": "web"},
        }
        edge.moved_throttle(port)
        edge.answers("/tight/v1/x")  # it fails closed, so throttle is asked
        yield throttle


def test_a_limit_of_one_key_holds_for_callers_with_that_key_alone(
    edge: Edge, throttle: Running
) -> None:
    assert throttle.put("ci-once", app="tight", key="ci", **ONCE).status_code == 200

    def status(key: str) -> int:
        return edge.get("/tight/v1/x", authorization=f"Bearer {key}").status_code

    within(DEADLINE_S, lambda: status("key-of-ci") == 429)
    assert {status("key-of-web"), status("key-of-acme")} == {200}


def test_what_a_caller_expects_is_reserved(edge: Edge, throttle: Running) -> None:
    tokens = {"unit": "tokens", "amount": 1000, "algorithm": {"kind": "lifetime"}}
    assert throttle.put("ci-tokens", app="tight", key="ci", **tokens).status_code == 200

    def asked(tokens: str) -> tuple[int, str]:
        answer = edge.get(
            "/tight/v1/x", authorization="Bearer key-of-ci", x_midstage_estimate_tokens=tokens
        )
        return answer.status_code, answer.headers.get("ratelimit", "")

    within(DEADLINE_S, lambda: "ci-tokens" in asked("-1")[1])
    assert asked("600") == (200, '"ci-tokens";r=400')
    assert asked("600")[0] == 429
    assert asked("400, 600") == (200, '"ci-tokens";r=400'), "what is no number says nothing"
