"""Killed under load on a real Kafka: what a customer has used stays used."""

import pytest

from tests.throttle.crashes import ENOUGH, crashed


@pytest.mark.platform
@pytest.mark.slow
def test_a_crash_grants_nothing_twice_and_loses_little(kafka: str) -> None:
    told = crashed(kafka=kafka, kills=4, kept=True, seed=1)
    assert told.overshoot <= 0
    assert told.share >= ENOUGH


@pytest.mark.platform
@pytest.mark.slow
def test_without_room_taken_in_advance_a_crash_grants_twice(kafka: str) -> None:
    """The negative control: the same run with counters that die with the process."""
    assert crashed(kafka=kafka, kills=2, kept=False, seed=1).overshoot > 0
