"""Stories of replicas that somebody else made: kept as they are, then replaced like older ones."""

import pytest

from midstage.cluster.objects import ADOPTED, Template, Workload
from midstage.contracts.apps import How, Verdict
from midstage.contracts.cluster import Amount
from midstage.deploy.model import RemoveApp
from midstage.deploy.views.status import Stage
from tests.deploy.test_steps import POLICY, a_world, crashes, hows, spec, status, verdicts
from tests.deploy.world import APP, Edge, World

WEB = "web"


def adopted(replicas: int = 3, *, cpu: float = 64, edges: tuple[Edge, ...] = ()) -> World:
    """A world in which a team's own workload serves, taken over as an application's."""
    world = a_world(cpu=cpu, edges=edges)
    theirs = Workload(
        name=WEB,
        app=APP,
        revision=ADOPTED,
        template=Template(image="acme/web:1", requests=Amount(cpu=1)),
        replicas=replicas,
    )
    world.state.put_workload(theirs, expected=0, now=world.now())
    world.until(lambda: len(world.serving()) == replicas)
    world.run(2)
    world.least_serving.clear()
    return world


def counts(world: World) -> list[int]:
    """What was ever written of their workload."""
    return [int(write.split()[-1]) for write in world.writes if write.startswith(f"scale {WEB} ")]


def test_nothing_is_done_to_it_before_there_is_a_spec() -> None:
    world = adopted()
    world.run(10)
    assert world.writes == []
    assert len(world.serving()) == 3


@pytest.mark.parametrize("cpu", [64.0, 3.0])
def test_the_first_revision_replaces_it_and_enough_stay_ready(cpu: float) -> None:
    world = adopted(cpu=cpu, edges=(Edge(name="edge-1"), Edge(name="edge-2", lag=3, open_s=2)))
    world.specify(spec())
    world.until(world.settled)
    assert hows(world) == [How.SURGE if cpu > 3 else How.IN_PLACE]
    assert verdicts(world) == [(Verdict.COMPLETE, "")]
    assert min(world.least_serving) >= (3 if cpu > 3 else 2)
    assert [workload.name for workload in world.state.workloads()] == [f"{APP}-{revision(world)}"]
    assert counts(world) == sorted(counts(world), reverse=True)
    assert not [write for write in world.writes if write.startswith(f"put {WEB} ")]
    assert world.wrongs == []


def test_facts_that_come_late_and_two_deploys_end_no_pod_unasked() -> None:
    world = adopted()
    world.seat(pods_lag=2, workloads_lag=1)
    world.specify(spec())
    world.until(world.settled)
    assert {pod.revision for pod in world.state.pods()} == {revision(world)}
    assert min(world.least_serving) >= 3
    assert world.wrongs == []


def test_more_are_wanted_than_it_has_and_it_is_never_grown() -> None:
    world = adopted(replicas=2)
    world.specify(spec(replicas=5, scaling=POLICY))
    world.scale(5)
    world.until(world.settled)
    assert len(world.serving()) == 5
    assert max(counts(world), default=0) < 2
    assert world.wrongs == []


def test_a_first_revision_that_fails_leaves_it_serving() -> None:
    world = adopted()
    crash = crashes(world, "bad")
    world.specify(spec("bad"))
    world.until(lambda: crash() or bool(verdicts(world)))
    for _ in range(100):
        crash()
        world.step()
    assert verdicts(world)[-1][0] is Verdict.FAILED
    assert status(world).stage is Stage.FAILED
    serving = [pod for pod in world.serving() if pod.workload == WEB]
    assert len(serving) == 3
    assert world.state.workload(WEB) is not None
    world.specify(spec("good"))
    world.until(lambda: crash() or world.settled())
    assert world.state.workload(WEB) is None
    assert world.wrongs == []


def test_a_pod_that_it_lost_comes_back_and_is_marked_before_it_goes() -> None:
    world = adopted()
    lost = next(pod for pod in world.state.pods() if pod.workload == WEB)
    world.marked = {pod.uid for pod in world.state.pods()}
    world.state.evict_pod(lost.name, uid=lost.uid, now=world.now())
    world.specify(spec())
    world.until(world.settled)
    assert f"adopt {WEB}" in world.writes
    assert len(world.serving()) == 3
    assert world.state.workload(WEB) is None
    assert world.wrongs == []


def test_removed_with_its_application_it_is_drained_and_gone() -> None:
    world = adopted()
    world.specify(spec())
    world.step()
    world.log.command(RemoveApp(app=APP, by="t", why="", at=world.now()))
    world.until(world.settled)
    assert world.state.workload(WEB) is None
    assert world.wrongs == []


def revision(world: World) -> str:
    current = world.log.apps[APP].current
    assert current is not None
    return current.fact.revision
