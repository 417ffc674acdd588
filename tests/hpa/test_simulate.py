"""Series replayed: the settings of the comparison, and the engine and its rule decide alike."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.errors import UnreadableError
from midstage.contracts.forecast import Forecast
from midstage.contracts.load import LoadObserved
from midstage.contracts.policy import Policy, Rate, Targets
from midstage.hpa.decide.forecast.seasons import Column
from midstage.hpa.simulate.cluster import Cluster, Limits
from midstage.hpa.simulate.engine import Engine
from midstage.hpa.simulate.logged import carried
from midstage.hpa.simulate.money import at_cost, hpa
from midstage.hpa.simulate.past import Past
from midstage.hpa.simulate.replay import Figures, judged, run
from midstage.hpa.simulate.scalers import Rule, Static
from midstage.hpa.simulate.series import STEP_S, Series, read

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400 // STEP_S


def series(values: Column) -> Series:
    return Series(begun=BEGUN, values=np.asarray(values, dtype=np.float64))


def figures(**changed: float) -> Figures:
    names = Figures.__dataclass_fields__
    return Figures(**{**dict.fromkeys(names, 0.0), **changed})


def test_csv_files_of_any_clock_are_the_same_series() -> None:
    seconds = read(["ts,value", "1767225600,4", "1767225660,8"])
    clock = read(["timestamp,count", "2026-01-01 00:01:00,8", "2026-01-01 00:00:00,4"])
    assert seconds.values.tolist() == clock.values.tolist() == [4, 4, 4, 4, 8]
    assert seconds.begun == clock.begun == BEGUN


def test_what_was_not_measured_is_unknown_not_zero() -> None:
    found = read(["ts,value", "0,4", "3600,8"])
    assert found.values[59] == 4
    assert np.isnan(found.values[60:240]).all()


@pytest.mark.parametrize("line", ["soon,1", "5", "7,-1", "8,nan", "inf,1"])
def test_a_line_that_is_no_sample_is_named(line: str) -> None:
    with pytest.raises(UnreadableError, match="line 3 has no"):
        read(["ts,value", "0,4", line])


def test_a_series_of_nothing_is_refused() -> None:
    with pytest.raises(UnreadableError, match="two samples"):
        read(["ts,value"])


def test_replicas_serve_after_the_cold_start_and_those_that_start_go_first() -> None:
    cluster = Cluster(ready=2, cold_start_s=60)
    cluster.scale(5, 0)
    cluster.scale(4, 1)
    cluster.at(3)
    assert (cluster.ready, cluster.coming) == (2, 2)
    cluster.at(4)
    assert (cluster.ready, cluster.coming, cluster.waits_s) == (4, 0, [60.0])
    cluster.scale(1, 5)
    assert (cluster.ready, cluster.coming) == (1, 0)


def test_a_cluster_with_limits_starts_slowly_and_has_an_end() -> None:
    cluster = Cluster(ready=1, cold_start_s=15, limits=Limits(room=5, starts_per_minute=2))
    cluster.scale(100, 0)
    assert cluster.coming == 4
    served = []
    for step in range(12):
        cluster.at(step)
        served.append(cluster.ready)
    assert served == [1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5]


def test_figures_count_what_is_above_capacity_and_what_it_costs() -> None:
    load = series(np.array([1.4] * 100 + [4.0] * 100))
    found = judged(run(load, Static(2), each=1.0, cold_start_s=0), begin=0)
    assert found.violation == pytest.approx(0.5)
    assert found.lost == pytest.approx(200 / 540)
    assert found.cost == pytest.approx(400 / 800)
    assert found.replica_hours == pytest.approx(400 * STEP_S / 3600)


def test_the_load_is_seen_late_and_as_a_mean() -> None:
    """A step to five at 20 is whole in the mean of 60 s only 90 s later."""
    load = series(np.array([0.7] * 20 + [3.5] * 60))
    asked = run(load, Rule(hpa(0.7, 300)), each=1.0, cold_start_s=0)
    assert asked.ready[22] == 1
    assert asked.ready[23] == 2
    assert asked.ready[25:27].tolist() == [4, 5]


def test_what_waits_in_a_queue_is_served_later() -> None:
    load = series(np.array([3.0] * 20 + [0.0] * 40))
    limits = Limits(queue=True)
    found = run(load, Static(2), each=1.0, cold_start_s=0, limits=limits, begin_with=2)
    assert found.queue[19] == 20 * STEP_S
    assert found.queue[-1] == 0


def test_a_turn_within_half_an_hour_is_a_reversal() -> None:
    class Sawtooth:
        def __call__(self, step: int, carried: float, *, ready: int, coming: int) -> int:
            return 2 + (step // 100) % 2

    load = series(np.ones(DAY))
    found = judged(run(load, Sawtooth(), each=1.0, cold_start_s=0), begin=0)
    assert found.reversals == pytest.approx(found.changes - 1, abs=1)


def test_at_equal_money_is_between_two_settings() -> None:
    baseline = [
        figures(cost=1.0, violation=0.4),
        figures(cost=2.0, violation=0.2),
        figures(cost=1.5, violation=0.5),  # nobody would pay for it
    ]
    assert at_cost(baseline, 1.5) == pytest.approx(0.3)
    assert at_cost(baseline, 0.5) == 0.4
    assert at_cost(baseline, 9.0) == 0.2


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    cold=st.sampled_from([15, 60, 180]),
    window=st.sampled_from([0.0, 60.0, 300.0]),
    up=st.sampled_from([Rate(), Rate(pods=2, percent=0, period_s=60)]),
    stabilise_up_s=st.sampled_from([0.0, 60.0]),
)
def test_the_rule_decides_as_the_engine_does(
    seed: int, cold: float, window: float, up: Rate, stabilise_up_s: float
) -> None:
    draw = np.random.default_rng(seed)
    load = series(np.abs(np.cumsum(draw.normal(0, 1.5, 150)) + 10))
    policy = msgspec.structs.replace(
        hpa(0.7, window, most=30),
        up=up,
        stabilise_up_s=stabilise_up_s,
        down=Rate(pods=1, percent=30, period_s=45),
    )
    one = run(load, Rule(policy), each=1.0, cold_start_s=cold)
    engine = Engine(policy, begun=BEGUN, cold_start_s=cold)
    other = run(load, engine, each=1.0, cold_start_s=cold)
    assert one.there.tolist() == other.there.tolist()


def daily(count: int) -> Series:
    """Days with a steep hour; what HPA v2 is late for each time."""
    day = np.full(DAY, 10.0)
    day[8 * 240 : 9 * 240] = 60.0
    return series(np.tile(day, count))


@pytest.mark.slow
def test_a_floor_of_the_past_is_in_time_where_hpa_is_late() -> None:
    """HPA's start is short each day; from the fourth day on the floor is there before the load."""
    load, said = daily(8), Forecast()
    plain = hpa(0.7, 300)
    policy = msgspec.structs.replace(plain, forecast=said)
    late = judged(run(load, Rule(plain), each=1.0, cold_start_s=180), begin=5 * DAY)
    past = Past(load, said, cold_start_s=180)
    found = judged(run(load, Rule(policy, past=past), each=1.0, cold_start_s=180), begin=5 * DAY)
    assert late.violation > 0.001
    assert found.violation == 0


@pytest.mark.slow
def test_the_floor_holds_in_the_engine_too() -> None:
    load, said = daily(5), Forecast()
    policy = Policy(max=100, targets=Targets(requests_per_s=0.7), forecast=said)
    rule = run(load, Rule(policy, past=Past(load, said, cold_start_s=60)), each=1, cold_start_s=60)
    engine = Engine(policy, begun=BEGUN, past=Past(load, said, cold_start_s=60), cold_start_s=60)
    # the engine is asked about the last hours alone, where the floor holds
    begin = 4 * DAY + 7 * 240
    for step in range(begin, begin + 480):
        ready, there = int(rule.ready[step]), int(rule.there[step])
        assert engine(step, 10.0, ready=ready, coming=there - ready) >= 15
        if step * STEP_S % 86_400 == 8 * 3600:
            assert engine(step, 10.0, ready=ready, coming=there - ready) >= 86


def test_facts_of_all_shards_make_a_step() -> None:
    def fact(second: int, shard: int, count: int, revision: int = 0) -> LoadObserved:
        return LoadObserved(
            app="chat",
            second=datetime.fromtimestamp(1767225600 + second, UTC),
            shard=shard,
            shards=2,
            revision=revision,
            outcomes={"ok": count, "refused": 50},
        )

    whole = [fact(second, shard, 3) for second in range(30) for shard in range(2)]
    late = [fact(0, 0, 18, revision=1), fact(0, 0, 3)]
    assert carried([*whole, *late]).values.tolist() == [7.0, 6.0]
    with pytest.raises(UnreadableError):
        carried([fact(second, 0, 3) for second in range(30)])  # the other shard is not known
