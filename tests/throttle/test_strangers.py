"""Callers who are new each time: memory stays bounded, and nobody who has used something gains."""

import gc
import tracemalloc
from collections.abc import Iterator
from itertools import count, islice

import pytest
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)
from prometheus_client import CollectorRegistry

from midstage.testkit.waiting import within
from midstage.throttle.model.checks import Check
from midstage.throttle.stream.gate import FOLLOW_S, SWEPT_IN
from midstage.throttle.stream.spent import placed_in
from tests import patient
from tests.throttle.conftest import ONCE, Running
from tests.throttle.gated import OK, Held, gate_over, limit

STRANGERS = 4_000
"""Each with a name and a request id that nobody had; in 240 ms of a million a minute come so many.

Enough for what a counter leaves behind to stand out from what a process takes anyhow.
"""
AT_ONCE = 200
SECOND = 1_000_000_000
PLACED = 16_384
LEFT = 128
"""Bytes that one may leave behind on the average; a counter alone is three times as much."""
EACH = {
    "customer": "*",
    "app": "flooded",
    "amount": 64,
    "algorithm": {"kind": "token_bucket", "period_s": 1, "burst": 64},
}


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def question(number: int) -> rls_pb2.RateLimitRequest:
    asked = rls_pb2.RateLimitRequest(domain="midstage")
    descriptor = asked.descriptors.add()
    descriptor.entries.add(key="customer", value=f"stranger-{number}")
    descriptor.entries.add(key="app", value="flooded")
    descriptor.entries.add(key="request_id", value=f"request-{number}")
    return asked


def flood(throttle: Running, numbers: Iterator[int]) -> None:
    """So many strangers ask once; each passes, and is counted by a limit."""
    for _ in range(STRANGERS // AT_ONCE):
        asked = [question(each) for each in islice(numbers, AT_ONCE)]
        calls = [throttle.envoy.ShouldRateLimit.future(each, timeout=60) for each in asked]
        answers = [call.result() for call in calls]
        assert {answer.overall_code for answer in answers} == {OK}
        assert all(is_counted(each) for each in answers)


def is_counted(answer: rls_pb2.RateLimitResponse) -> bool:
    return any("everyone" in each.value for each in answer.response_headers_to_add)


def counters(throttle: Running) -> float:
    metrics = patient.get(f"{throttle.http.base_url}/metrics").text
    [line] = [one for one in metrics.splitlines() if one.startswith("midstage_throttle_meters ")]
    return float(line.split()[1])


def held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_new_names_without_end_leave_nothing_behind(throttle: Running) -> None:
    """A bucket that is full again equals a new one, and is all of it let go, wherever it is kept.

    Whoever has used up something is not: strangers can't push out what it has used.
    """
    assert throttle.put("everyone", **EACH).status_code == 200
    assert throttle.put("spent", **ONCE, app="spent").status_code == 200
    within(60, lambda: not throttle.passes("acme", "spent"))
    numbers = count()
    for number in range(PLACED):  # what is remembered of so many at most
        placed_in(f"somebody-{number}", 6)
    within(60, lambda: is_counted(throttle.envoy.ShouldRateLimit(question(next(numbers)))))
    flood(throttle, numbers)
    within(60, lambda: counters(throttle) <= 1)
    before = held()
    for _ in range(2):
        flood(throttle, numbers)
        within(60, lambda: counters(throttle) <= 1)
    assert held() - before < 2 * STRANGERS * LEFT
    assert not throttle.passes("acme", "spent")


@pytest.mark.slow
def test_a_million_new_names_a_minute_are_let_go_as_they_come() -> None:
    """Whoever looks at them is done in ten seconds with all of them, and they are no more then."""
    now = [0]
    registry = CollectorRegistry()
    everyone = limit("*", "chat", rate_per_s=100.0, burst=10)
    gate, _ = gate_over(Held(everyone), registry, clock=lambda: now[0])
    gate.follow()
    each_turn = int(1_000_000 / 60 * FOLLOW_S)
    for turn in range(300):
        for number in range(each_turn):
            gate.check(Check(customer=f"{turn}-{number}", app="chat"), None)
        now[0] += int(FOLLOW_S * SECOND)
        for _ in gate.tend():
            pass
    kept = registry.get_sample_value("midstage_throttle_meters")
    assert kept is not None
    assert kept < SWEPT_IN * each_turn
