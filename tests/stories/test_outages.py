"""Half a minute without Kafka, or without stats: nothing is lost, and what waited is counted."""

import threading
from collections.abc import Callable

import pytest

from midstage.local.platform import Platform
from midstage.testkit.waiting import within

from .evidence import assert_exact, bytes_behind, ready, replayed_through

pytestmark = [pytest.mark.platform, pytest.mark.slow]

AWAY_S = 30.0
SECONDS_OF_LINES = 20_000
"""Bytes of the request log that some seconds of this replay fill."""


def away(platform: Platform, name: str, *, meanwhile: Callable[[], None]) -> None:
    """Stop a process for good, and start it again half a minute later."""
    child = platform.supervisor.child(name)
    platform.supervisor.stop([name], within_s=5)
    try:
        threading.Event().wait(AWAY_S)
        meanwhile()
    finally:
        platform.supervisor.start(child)


@pytest.mark.parametrize("name", ["kafka", "stats"])
def test_half_a_minute_without_it_loses_nothing(platform: Platform, name: str) -> None:
    seen: list[int] = []

    def deed() -> None:
        away(platform, name, meanwhile=lambda: seen.append(bytes_behind(platform)))

    report = replayed_through(platform, deed, requests=400, speed=2)
    assert_exact(report)
    assert (seen[0] > SECONDS_OF_LINES) == (name == "kafka")
    assert report.found.rows
    slowest = max(row.recorded_ms_after for row in report.found.rows)
    assert slowest > (AWAY_S - 10) * 1000
    within(60, lambda: ready(platform.addresses.stats) and ready(platform.addresses.gateway))
