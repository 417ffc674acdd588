"""Whatever cluster and edges do: nothing ends too early, enough serves, it comes to rest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.apps import AppSpec, Resources, Rollout, Routes
from midstage.contracts.policy import Policy, Targets
from midstage.deploy.decide.wanted import must_be_ready
from tests.deploy.facts import node
from tests.deploy.world import APP, Edge, World

pytestmark = pytest.mark.slow

POLICY = Policy(min=1, max=8, targets=Targets(concurrency=2))

edges = st.lists(
    st.builds(
        Edge,
        name=st.uuids().map(str),
        lag=st.integers(0, 4),
        open_s=st.one_of(st.none(), st.floats(0, 6)),
    ),
    max_size=3,
)
lags = st.tuples(st.integers(0, 4), st.integers(0, 4))
rollouts = st.builds(
    Rollout,
    surge=st.integers(0, 3),
    min_available=st.one_of(st.none(), st.integers(0, 4)),
    progress_within_s=st.just(10_000.0),
)


def spec(version: int, rollout: Rollout, *, replicas: int = 4) -> AppSpec:
    return AppSpec(
        command=("serve", str(version)),
        replicas=replicas,
        resources=Resources(cpu=1),
        routes=Routes(prefix="/chat"),
        rollout=rollout,
        scaling=POLICY,
        drain_s=4,
    )


@settings(max_examples=25, deadline=None)
@given(
    cpu=st.integers(4, 12),
    around=edges,
    seats=st.lists(lags, min_size=1, max_size=2),
    rollout=rollouts,
    deeds=st.lists(
        st.tuples(st.floats(0, 8), st.one_of(st.just("update"), st.integers(1, 8))), max_size=5
    ),
)
def test_no_request_is_cut_off_whatever_is_asked_and_when(
    cpu: int,
    around: list[Edge],
    seats: list[tuple[int, int]],
    rollout: Rollout,
    deeds: list[tuple[float, str | int]],
) -> None:
    world = World(nodes=[node("node-1", cpu=cpu), node("node-2", cpu=2)], edges=around)
    for pods_lag, workloads_lag in seats:
        world.seat(pods_lag=pods_lag, workloads_lag=workloads_lag)
    world.specify(spec(0, rollout))
    for number, (after_s, deed) in enumerate(deeds):
        world.run(after_s)
        if isinstance(deed, int):
            world.scale(deed)
        else:
            world.specify(spec(number + 1, rollout))
    world.run(90)
    assert world.wrongs == []
    writes = len(world.writes)
    world.run(5)
    assert len(world.writes) == writes, f"{world.writes[-6:]} {world.told()}"


@settings(max_examples=25, deadline=None)
@given(
    cpu=st.integers(4, 9),
    around=edges,
    lag=lags,
    rollout=rollouts.filter(lambda r: r.surge > 0 or must_be_ready(spec(0, r), 4) < 4),
)
def test_an_update_keeps_enough_ready_and_ends(
    cpu: int, around: list[Edge], lag: tuple[int, int], rollout: Rollout
) -> None:
    world = World(nodes=[node("node-1", cpu=cpu)], edges=around)
    world.seat(pods_lag=lag[0], workloads_lag=lag[1])
    world.specify(spec(0, rollout))
    world.until(world.settled)
    least = must_be_ready(spec(0, rollout), 4)
    is_feasible = (cpu > 4 and rollout.surge > 0) or least < 4
    world.least_serving.clear()
    world.specify(spec(1, rollout))
    if is_feasible:
        world.until(world.settled, within_s=200)
        world.run(5)
        assert {pod.revision for pod in world.state.pods()} == {
            world.log.apps[APP].history[-1].fact.revision
        }
    else:
        world.run(20)
    assert min(world.least_serving) >= least
    assert world.wrongs == []
