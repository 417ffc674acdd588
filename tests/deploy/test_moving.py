"""A node is emptied: its replicas come elsewhere first, then drain and end; no count ever dips."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.apps import Rollout
from midstage.contracts.cluster import Phase
from midstage.deploy.model import workload_name
from tests.deploy.facts import node
from tests.deploy.test_steps import spec, status
from tests.deploy.world import APP, Edge, World

pytestmark = pytest.mark.slow


def serving(replicas: int, *sizes: float, surge: int = 1, lag: int = 0) -> World:
    """So many replicas of one core, ready on nodes of these sizes, all of them seen late."""
    nodes = [node(f"node-{number}", cpu=cpu) for number, cpu in enumerate(sizes)]
    world = World(nodes=nodes, edges=[Edge(name="edge-1", lag=lag), Edge(name="edge-2")])
    world.seat(pods_lag=lag, workloads_lag=2 * lag)
    rollout = Rollout(surge=surge, progress_within_s=60)
    world.specify(spec("a", replicas=replicas, cpu=1, rollout=rollout))
    world.until(world.settled)
    world.least_serving.clear()
    return world


def empties(world: World, name: str, *, on: bool = True) -> None:
    world.state.cordon(name, on=on, emptied=on, now=world.now())


def on(world: World, name: str) -> int:
    return sum(pod.node == name and pod.phase is not Phase.STOPPING for pod in world.state.pods())


def at_rest(world: World, replicas: int) -> bool:
    pods = world.state.pods()
    return len(pods) == replicas == len(world.serving())


@pytest.mark.parametrize("surge", [0, 1, 3])
@pytest.mark.parametrize("lag", [0, 3])
def test_replicas_serve_elsewhere_before_they_end(surge: int, lag: int) -> None:
    world = serving(4, 4, 4, surge=surge, lag=lag)
    assert on(world, "node-0") == 2
    empties(world, "node-0")
    world.until(lambda: not on(world, "node-0") and at_rest(world, 4))
    assert min(world.least_serving) >= 4
    assert world.wrongs == []
    world.run(10)
    assert at_rest(world, 4)
    empties(world, "node-0", on=False)
    world.run(10)
    assert at_rest(world, 4)


def test_without_room_elsewhere_all_stay_and_the_one_that_waits_says_why() -> None:
    world = serving(4, 2, 2)
    empties(world, "node-0")
    world.run(30)
    assert on(world, "node-0") == 2
    assert min(world.least_serving) == 4
    assert "unschedulable" in status(world).reason
    empties(world, "node-0", on=False)
    world.until(lambda: at_rest(world, 4) or len(world.state.pods()) == 4)
    world.run(5)
    assert len(world.state.pods()) == 4
    assert min(world.least_serving) >= 4


def test_as_many_move_as_find_room() -> None:
    """Three are on the node, and elsewhere there is room for two, though three may come at once."""
    world = serving(4, 3, 1, surge=3)
    gone = on(world, "node-0")
    assert gone == 3
    world.state.set_node("node-1", capacity=node("n", cpu=3).capacity, now=world.now())
    empties(world, "node-0")
    world.run(60)
    assert on(world, "node-0") == 1
    assert min(world.least_serving) >= 4
    assert world.wrongs == []


def test_a_cordoned_node_alone_moves_nobody() -> None:
    world = serving(4, 4, 4)
    world.state.cordon("node-0", on=True, emptied=False, now=world.now())
    world.run(20)
    assert on(world, "node-0") == 2
    assert not any(write.startswith("drain") for write in world.writes)


def test_an_update_meanwhile_goes_its_way() -> None:
    world = serving(4, 8, 8)
    empties(world, "node-0")
    world.run(1)
    rollout = Rollout(progress_within_s=60)
    world.specify(spec("b", replicas=4, cpu=1, rollout=rollout))
    world.until(lambda: world.settled() and not on(world, "node-0") and at_rest(world, 4))
    names = {each.name for each in world.state.workloads()}
    current = world.log.apps[APP].current
    assert current is not None
    assert names == {workload_name(APP, current.fact.revision)}
    assert min(world.least_serving) >= 3
    assert world.wrongs == []


@settings(max_examples=30, deadline=None)
@given(
    replicas=st.integers(1, 6),
    surge=st.integers(0, 3),
    lag=st.integers(0, 3),
    scales=st.lists(st.integers(1, 6), max_size=2),
)
def test_whatever_the_count_does_meanwhile_none_serves_too_few(
    replicas: int, surge: int, lag: int, scales: list[int]
) -> None:
    world = serving(replicas, 8, 8, surge=surge, lag=lag)
    fewest = replicas
    empties(world, "node-0")
    for count in scales:
        world.run(1.5)
        current = world.log.apps[APP].current
        assert current is not None
        rollout = current.fact.spec.rollout
        world.specify(spec("a", replicas=count, cpu=1, rollout=rollout))
        fewest = min(fewest, count)
    wanted = scales[-1] if scales else replicas
    world.until(lambda: not on(world, "node-0") and at_rest(world, wanted))
    assert min(world.least_serving) >= fewest
    assert world.wrongs == []
