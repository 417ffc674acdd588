"""A replay of the real trace is counted to the last request; a platform has its folder alone."""

import os

import pytest

from midstage.local.errors import PlatformError
from midstage.local.platform import Platform

from .evidence import assert_exact

pytestmark = [pytest.mark.platform, pytest.mark.slow]

TRIES = 4


def test_a_replay_agrees_to_the_last_request_whoever_is_refused(platform: Platform) -> None:
    """A machine so busy that arrivals are late or throttle is may refuse nobody: it goes again."""

    def refused() -> int:
        report = platform.replay(trace="conv", requests=300, speed=20)
        assert_exact(report)
        assert (report.ends.offered, report.ends.ledger) == (300, 300)
        return report.ends.refused

    assert any(refused() for _ in range(TRIES))


def test_a_second_platform_in_the_folder_is_told_who_holds_it(platform: Platform) -> None:
    with pytest.raises(PlatformError, match=f"pid {os.getpid()}"):
        Platform(platform.layout.root).start()
