"""Each process but the supervisor and the caller dies by kill -9 in a replay: 0, 0, 0.

A run counts only where the kill bit: something was sent or read again, or calls were open. A kill
at a random moment may miss; then there is another replay, and a story whose kills all miss fails.
"""

import signal
import threading
from collections.abc import Callable

import pytest

from midstage.local.platform import Platform
from midstage.local.replay.findings import Report
from midstage.testkit.waiting import within

from .evidence import (
    Orders,
    assert_exact,
    bytes_behind,
    counted_from,
    envoy_counter,
    ready,
    replayed_through,
    resent,
    second,
    sources,
    written,
)
from .loop import fault, pods

pytestmark = [pytest.mark.platform, pytest.mark.slow]

REQUESTS = 400
TRIES = 4
OPEN_ON_THROTTLE = "cluster.midstage-throttle.upstream_cx_destroy_with_active_rq"


def replayed(platform: Platform, deed: Callable[[], None]) -> Report:
    return replayed_through(platform, deed, requests=REQUESTS)


def until_it_bit(attempt: Callable[[], bool]) -> None:
    assert any(attempt() for _ in range(TRIES)), f"none of {TRIES} kills bit"


def test_a_killed_shipper_sends_again_and_nothing_counts_twice(platform: Platform) -> None:
    def attempt() -> bool:
        before = resent(platform)
        assert_exact(replayed(platform, lambda: void(platform.kill("gateway"))))
        return resent(platform) > before

    until_it_bit(attempt)


def test_a_killed_stats_reads_again_and_nothing_counts_twice(platform: Platform) -> None:
    def attempt() -> bool:
        ends: list[int] = []

        def deed() -> None:
            ends.append(written(platform))
            platform.kill("stats")

        lives = len(counted_from(platform))
        restarts = platform.restarts.get("stats", 0)
        assert_exact(replayed(platform, deed))
        begun = counted_from(platform)
        assert len(begun) == lives + 1
        assert platform.restarts["stats"] == restarts + 1
        return begun[-1] < ends[0]

    until_it_bit(attempt)


def test_a_killed_kafka_gets_what_it_did_not_acknowledge_again(platform: Platform) -> None:
    behind: list[int] = []

    def deed() -> None:
        platform.kill("kafka")
        behind.append(within(60, lambda: bytes_behind(platform)))

    assert_exact(replayed(platform, deed))
    assert behind
    assert behind[0] > 0
    # what the ledger has, the shipper may not have heard of yet
    within(60, lambda: bytes_behind(platform) == 0)


def test_calls_open_on_a_killed_throttle_pass_as_their_route_says(platform: Platform) -> None:
    def attempt() -> bool:
        before = envoy_counter(platform, OPEN_ON_THROTTLE)

        def deed() -> None:
            platform.kill("throttle", signal.SIGSTOP)  # so that calls are open when it dies
            threading.Event().wait(0.04)
            platform.kill("throttle")

        report = replayed(platform, deed)
        assert_exact(report)
        assert report.platform.throttle_restarts == 1
        return envoy_counter(platform, OPEN_ON_THROTTLE) > before

    until_it_bit(attempt)


def test_requests_open_on_a_killed_replica_fail_and_are_counted_so(platform: Platform) -> None:
    def attempt() -> bool:
        report = replayed(platform, lambda: killed_pod(platform, "chat"))
        assert_exact(report)
        return report.ends.failed > 0

    until_it_bit(attempt)


def test_a_shipper_killed_before_its_lines_left_loses_none(
    platform: Platform, orders: Orders
) -> None:
    assert_exact(replayed(platform, lambda: orders("gateway", "ship:sent", nth=3)))
    assert not orders.left("gateway")


@pytest.mark.parametrize(
    ("place", "after_s"),
    [
        ("ship:sent", 0.3),  # Kafka has the lines, the shipper has not heard of it
        ("ship:acknowledged", 0.0),
    ],
)
def test_a_shipper_killed_at_a_named_place_sends_again(
    platform: Platform, orders: Orders, place: str, after_s: float
) -> None:
    def attempt() -> bool:
        before = resent(platform)
        assert_exact(replayed(platform, lambda: orders("gateway", place, nth=3, after_s=after_s)))
        assert not orders.left("gateway")
        return resent(platform) > before

    until_it_bit(attempt)


@pytest.mark.parametrize(
    ("place", "read_again"),
    [
        ("consume:decoded", True),
        ("ledger:inserted", True),
        ("ledger:committed", False),
        ("consume:effect-done", False),
    ],
)
def test_stats_killed_at_a_named_place_counts_once(
    platform: Platform, orders: Orders, place: str, *, read_again: bool
) -> None:
    lives = len(counted_from(platform))
    ends: list[int] = []

    def deed() -> None:
        orders("stats", place, nth=2)
        within(60, lambda: not orders.left("stats"))
        ends.append(written(platform))

    assert_exact(replayed(platform, deed))
    begun = counted_from(platform)
    assert len(begun) == lives + 1
    assert begun[-1] < ends[0] or not read_again


def test_a_shipper_that_wakes_after_its_successor_doubles_nothing(platform: Platform) -> None:
    woken: list[bool] = []

    def deed() -> None:
        zombie = platform.kill("gateway", signal.SIGSTOP)
        with second(platform, "gateway") as successor:
            within(60, lambda: ready(successor))
            platform.kill("gateway", signal.SIGCONT)
            within(60, lambda: platform.supervisor.pid("gateway") != zombie)
            woken.append(True)

    assert_exact(replayed(platform, deed))
    assert woken


def test_envoys_own_kill_loses_what_was_open_and_names_each(platform: Platform) -> None:
    before = len(sources(platform))
    report = replayed(platform, lambda: void(platform.kill("envoy")))
    assert (report.duplicated, report.different) == ((), ())
    assert report.missing
    assert not report.agrees
    assert report.ends.ledger + len(report.missing) == report.ends.offered
    seen_to_end = [row for row in report.missing if row.status == 200]
    assert len(seen_to_end) < len(report.missing)
    assert len(sources(platform)) == before + 1
    within(60, lambda: sum(not source["closed"] for source in sources(platform)) == 1)


def killed_pod(platform: Platform, app: str) -> None:
    """Kill the process of the ready pod that comes first, as if from outside.

    Not of one that drains: it may be gone before it is killed.
    """
    pod = next(pod for pod in pods(platform, app) if pod.ready and not pod.draining)
    fault(platform, fault="kill_pod", pod=pod.name)


def void(_: object) -> None:
    """A deed gives nothing back."""
