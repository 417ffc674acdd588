"""What the engine makes of a step of the load, learning what a replica carries as it goes."""

import pytest

from midstage.hpa.simulate.latency_step import bare_ratio, engine

BOUNDS = {15: (1.3, 120), 60: (1.6, 200), 180: (2.5, 380), 600: (5.3, 950)}


@pytest.mark.slow
@pytest.mark.parametrize("cold_start_s", BOUNDS)
def test_it_overshoots_little_and_is_late_no_longer_than_need_be(cold_start_s: int) -> None:
    overshoot, violation_s = BOUNDS[cold_start_s]
    step = engine(cold_start_s)
    assert step.overshoot <= overshoot
    assert step.violation_s <= violation_s


@pytest.mark.slow
@pytest.mark.parametrize(("cold_start_s", "times"), [(15, 24.6), (60, 60.5), (180, 12.1)])
def test_a_bare_ratio_of_latencies_orders_many_times_what_is_needed(
    cold_start_s: int, times: float
) -> None:
    assert bare_ratio(cold_start_s).overshoot == pytest.approx(times, abs=0.1)
