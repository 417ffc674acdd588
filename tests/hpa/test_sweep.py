"""Many policies at once decide as each alone does, also where nothing is known of the load."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.forecast import Forecast, Season
from midstage.contracts.policy import Policy
from midstage.hpa.simulate.money import hpa
from midstage.hpa.simulate.past import Past
from midstage.hpa.simulate.replay import judged, run
from midstage.hpa.simulate.scalers import Rule
from midstage.hpa.simulate.series import Series
from midstage.hpa.simulate.sweep import Sweep
from tests.hpa.test_simulate import DAY, daily, series

POLICIES = st.builds(
    lambda use, window_s, tolerance, least, most: msgspec.structs.replace(
        hpa(use, window_s, most=most), tolerance=tolerance, min=least
    ),
    use=st.sampled_from([0.5, 0.7, 0.83]),
    window_s=st.sampled_from([0.0, 20.0, 60.0, 300.0, 900.0]),
    tolerance=st.sampled_from([0.0, 0.02, 0.1]),
    least=st.sampled_from([1, 7]),
    most=st.sampled_from([20, 1000]),
)


def alike(load: Series, policies: list[Policy], cold_start_s: float) -> None:
    swept = Sweep(load, each=1.0, cold_start_s=cold_start_s)(policies)
    for column, policy in enumerate(policies):
        said = policy.forecast
        past = None if said is None else Past(load, said, cold_start_s=cold_start_s)
        alone = run(load, Rule(policy, past=past), each=1.0, cold_start_s=cold_start_s)
        found = swept.run(column)
        assert found.there.tolist() == alone.there.tolist(), policy
        assert found.ready.tolist() == alone.ready.tolist(), policy
        one, other = judged(found, begin=0), judged(alone, begin=0)
        assert (one.violation, one.cost) == (other.violation, other.cost)


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    cold_start_s=st.sampled_from([0.0, 15.0, 60.0, 600.0]),
    policies=st.lists(POLICIES, min_size=1, max_size=4),
    gap=st.sampled_from([0, 1, 30]),
)
def test_a_column_is_the_run_of_its_policy(
    seed: int, cold_start_s: float, policies: list[Policy], gap: int
) -> None:
    draw = np.random.default_rng(seed)
    load = np.abs(np.cumsum(draw.normal(0, 1.5, 250)) + 10)
    load[100 : 100 + gap] = np.nan
    alike(series(load), policies, cold_start_s)


@pytest.mark.slow
def test_forecasts_are_those_of_the_policy_alone() -> None:
    load = daily(5)
    load.values[:] *= np.random.default_rng(1).uniform(0.9, 1.1, len(load.values))
    said = (Forecast(), Forecast(margin=1.2, hold_s=3600), Forecast(season=Season.WEEK))
    alike(load, [msgspec.structs.replace(hpa(0.6, 900), forecast=one) for one in said], 180.0)


@pytest.mark.slow
def test_it_tells_how_far_it_is() -> None:
    shares: list[float] = []
    load = series(np.full(DAY, 5.0))
    Sweep(load, each=1.0, cold_start_s=60.0, told=shares.append)([hpa(0.7, 300)])
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
