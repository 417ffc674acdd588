"""Stories of the reconcile loop in a world without threads: what it does, and what it leaves."""

from collections.abc import Callable

import msgspec

from midstage.cluster.objects import Pod
from midstage.contracts.apps import (
    AppSpec,
    How,
    Resources,
    Rollout,
    RolloutEnded,
    RolloutStarted,
    Routes,
    Verdict,
)
from midstage.contracts.policy import Policy, Targets
from midstage.deploy.views.status import Stage, Status, status_of
from tests.deploy.facts import node
from tests.deploy.world import APP, Edge, World

POLICY = Policy(min=1, max=10, targets=Targets(concurrency=2))


def spec(version: str = "a", *, replicas: int = 3, cpu: float = 1, **changed: object) -> AppSpec:
    usual = AppSpec(
        command=("serve", version),
        replicas=replicas,
        resources=Resources(cpu=cpu),
        routes=Routes(prefix="/chat"),
    )
    return msgspec.structs.replace(usual, **changed)


def a_world(*, cpu: float = 64, edges: tuple[Edge, ...] = ()) -> World:
    world = World(nodes=[node("node-1", cpu=cpu)], edges=edges or (Edge(name="edge-1"),))
    world.seat()
    return world


def verdicts(world: World) -> list[tuple[Verdict, str]]:
    return [(f.verdict, f.reason) for f in world.log.facts if isinstance(f, RolloutEnded)]


def hows(world: World) -> list[How]:
    return [f.how for f in world.log.facts if isinstance(f, RolloutStarted)]


def test_a_new_application_gets_its_replicas() -> None:
    world = a_world()
    world.specify(spec())
    world.until(world.settled)
    assert len(world.serving()) == 3
    assert hows(world) == [How.FIRST]
    assert verdicts(world) == [(Verdict.COMPLETE, "")]
    [workload] = world.state.workloads()
    assert workload.name == f"chat-{workload.revision}"
    assert workload.spec_version == 1


def test_an_update_by_surge_never_serves_with_less() -> None:
    world = a_world()
    world.specify(spec("a"))
    world.until(world.settled)
    world.least_serving.clear()
    world.specify(spec("b"))
    world.until(world.settled)
    assert hows(world)[-1] is How.SURGE
    assert min(world.least_serving) >= 3
    assert {pod.revision for pod in world.state.pods()} == {world.state.workloads()[0].revision}
    assert len(world.state.pods()) == 3
    assert world.wrongs == []


def test_without_room_the_update_goes_in_place() -> None:
    world = a_world(cpu=3)
    world.specify(spec("a"))
    world.until(world.settled)
    world.least_serving.clear()
    world.specify(spec("b"))
    world.until(world.settled)
    assert hows(world)[-1] is How.IN_PLACE
    assert min(world.least_serving) == 2
    assert verdicts(world)[-1] == (Verdict.COMPLETE, "")
    assert world.wrongs == []


def test_a_surge_that_finds_no_room_any_more_goes_on_in_place() -> None:
    world = a_world(cpu=4)
    world.specify(spec("a"))
    world.until(world.settled)
    world.least_serving.clear()
    world.specify(spec("b"))
    world.step()
    world.specify(spec("other", replicas=1), app="other")
    world.until(world.settled)
    assert min(world.least_serving) >= 2
    assert world.wrongs == []


def test_a_scale_down_waits_for_each_edge() -> None:
    slow = Edge(name="edge-2", open_s=6)
    world = a_world(edges=(Edge(name="edge-1"), slow))
    world.specify(spec(scaling=POLICY))
    world.scale(3)
    world.until(world.settled)
    at_s = world.passed_s
    world.scale(1)
    world.until(lambda: len(world.state.pods()) == 1)
    assert world.passed_s - at_s >= 6
    assert world.wrongs == []
    [workload] = world.state.workloads()
    assert (workload.replicas, workload.scale_version) == (1, 2)


def test_a_scale_down_waits_no_longer_than_the_drain_time() -> None:
    world = a_world(edges=(Edge(name="edge-1", open_s=None),))
    world.specify(spec(scaling=POLICY, drain_s=8))
    world.scale(3)
    world.until(world.settled)
    at_s = world.passed_s
    world.scale(1)
    world.until(lambda: len(world.state.pods()) == 1)
    assert 8 <= world.passed_s - at_s < 12
    assert world.wrongs == []


def test_where_no_edge_lives_the_drain_time_is_waited() -> None:
    world = World()
    world.seat()
    world.specify(spec(scaling=POLICY, drain_s=5))
    world.scale(2)
    world.until(world.settled)
    at_s = world.passed_s
    world.scale(1)
    world.until(lambda: len(world.state.pods()) == 1)
    assert world.passed_s - at_s >= 5


def test_who_drains_is_taken_back_when_the_load_rises_again() -> None:
    world = a_world(edges=(Edge(name="edge-1", open_s=None),))
    world.specify(spec(scaling=POLICY))
    world.scale(4)
    world.until(world.settled)
    names = {pod.name for pod in world.state.pods()}
    world.scale(2)
    world.until(lambda: sum(pod.draining for pod in world.state.pods()) == 2)
    world.scale(4)
    world.until(lambda: len(world.serving()) == 4)
    assert {pod.name for pod in world.state.pods()} == names


def test_the_youngest_and_whoever_is_not_ready_goes_first() -> None:
    world = a_world()
    world.specify(spec(scaling=POLICY))
    world.scale(2)
    world.until(world.settled)
    kept = {pod.name for pod in world.state.pods()}
    world.least_serving.clear()
    world.start_s = lambda _pod: None
    world.scale(4)
    world.until(lambda: len(world.state.pods()) == 4)
    world.scale(2)
    world.until(lambda: len(world.state.pods()) == 2)
    assert {pod.name for pod in world.state.pods()} == kept
    assert min(world.least_serving) == 2


def test_a_count_that_changes_in_the_middle_of_an_update_holds_too() -> None:
    world = a_world()
    world.specify(spec("a", scaling=POLICY))
    world.scale(4)
    world.until(world.settled)
    world.specify(spec("b", scaling=POLICY))
    world.run(2)
    world.scale(2)
    world.run(2)
    world.scale(6)
    world.until(lambda: world.settled() and len(world.serving()) == 6)
    [workload] = world.state.workloads()
    assert workload.replicas == 6
    assert world.wrongs == []


def test_a_newer_spec_supersedes_an_update_that_goes_on() -> None:
    world = a_world()
    world.specify(spec("a"))
    world.until(world.settled)
    world.least_serving.clear()
    world.specify(spec("b"))
    world.run(1.5)
    world.specify(spec("c"))
    world.until(world.settled)
    assert [verdict for verdict, _ in verdicts(world)] == [
        Verdict.COMPLETE,
        Verdict.SUPERSEDED,
        Verdict.COMPLETE,
    ]
    assert len(world.state.workloads()) == 1
    assert min(world.least_serving) >= 3
    assert world.wrongs == []


def test_a_crash_loop_fails_the_update_and_the_old_go_on_serving() -> None:
    world = a_world()
    world.specify(spec("a"))
    world.until(world.settled)
    good = world.state.workloads()[0].revision
    world.least_serving.clear()
    world.specify(spec("bad"))
    crashing = crashes(world, "bad")
    world.until(lambda: crashing() or len(verdicts(world)) == 2)
    [_, (verdict, reason)] = verdicts(world)
    assert verdict is Verdict.FAILED
    assert "exit code 3" in reason
    assert "no such model" in reason
    world.run(10)
    assert [pod.revision for pod in world.serving()] == [good] * 3
    assert status(world).stage is Stage.FAILED
    world.undo()
    world.step()
    assert "crash" not in status(world).reason
    world.until(world.settled)
    assert [workload.revision for workload in world.state.workloads()] == [good]
    assert min(world.least_serving) >= 3
    assert world.wrongs == []


def test_an_update_that_goes_nowhere_fails_with_the_schedulers_words() -> None:
    world = a_world(cpu=2)
    world.specify(spec("a", replicas=1))
    world.until(world.settled)
    late = spec("b", replicas=1, cpu=1.5, rollout=Rollout(progress_within_s=5))
    world.specify(late)
    world.until(lambda: len(verdicts(world)) == 2)
    verdict, reason = verdicts(world)[-1]
    assert verdict is Verdict.FAILED
    assert "0/1 nodes are available: 1 Insufficient cpu." in reason
    assert len(world.serving()) == 1
    assert "Insufficient cpu" in status(world).reason


def test_a_failed_update_goes_on_when_what_it_lacked_comes() -> None:
    world = a_world(cpu=2)
    world.specify(spec("a", replicas=1))
    world.until(world.settled)
    world.specify(spec("b", replicas=1, cpu=1.5, rollout=Rollout(progress_within_s=5)))
    world.until(lambda: len(verdicts(world)) == 2)
    world.state.set_node("node-1", now=world.now(), capacity=node("n", cpu=8).capacity)
    world.until(lambda: verdicts(world)[-1] == (Verdict.COMPLETE, ""))
    world.until(lambda: len(world.state.pods()) == 1)


def test_what_is_removed_drains_and_goes() -> None:
    world = a_world(edges=(Edge(name="edge-1", open_s=3),))
    world.specify(spec())
    world.until(world.settled)
    world.remove()
    world.until(world.settled)
    assert world.wrongs == []
    world.specify(spec())
    world.until(lambda: len(world.serving()) == 3)
    newest = world.log.apps[APP].current
    assert newest is not None
    assert [workload.spec_version for workload in world.state.workloads()] == [newest.version]


def test_an_unreachable_cluster_and_a_silent_control_change_nothing() -> None:
    world = a_world()
    world.specify(spec(scaling=POLICY))
    world.scale(3)
    world.until(world.settled)
    [seat] = world.seats
    writes = list(world.writes)
    world.passed_s += 20
    world.scale(1)
    seat.reconciler.turn()
    assert world.writes == writes
    world.run(1)
    assert len(world.writes) > len(writes)


def test_workloads_of_nobody_are_left_alone() -> None:
    world = a_world()
    world.specify(spec())
    world.until(world.settled)
    [workload] = world.state.workloads()
    stranger = msgspec.structs.replace(
        workload, name="strange-1", app="strange", resource_version=0
    )
    world.state.put_workload(stranger, expected=0, now=world.now())
    world.run(5)
    assert len(world.state.workloads()) == 2


def test_a_node_that_dies_takes_nothing_with_it() -> None:
    world = World(nodes=[node("node-1", cpu=4), node("node-2", cpu=4)], edges=[Edge(name="e")])
    world.seat()
    world.specify(spec(replicas=4))
    world.until(world.settled)
    world.state.set_node("node-1", ready=False, now=world.now())
    world.until(lambda: len(world.serving()) == 4)
    assert {workload.replicas for workload in world.state.workloads()} == {4}
    assert not [write for write in world.writes if "drain" in write]


def test_whoever_knows_less_does_nothing() -> None:
    world = a_world()
    world.specify(spec("a"))
    world.until(world.settled)
    [workload] = world.state.workloads()
    world.state.put_workload(
        msgspec.structs.replace(workload, spec_version=99, replicas=5),
        expected=workload.resource_version,
        now=world.now(),
    )
    world.run(5)
    assert world.state.workloads()[0].replicas == 5


def test_two_at_once_do_each_thing_once() -> None:
    world = a_world()
    world.seat(pods_lag=1, workloads_lag=2)
    world.specify(spec("a"))
    world.until(world.settled)
    world.least_serving.clear()
    world.specify(spec("b"))
    world.until(world.settled)
    assert len(verdicts(world)) == 2
    world.until(lambda: len(world.state.pods()) == 3)
    assert world.wrongs == []
    assert min(world.least_serving) >= 3


def crashes(world: World, version: str) -> Callable[[], bool]:
    """Pods that run ``version`` crash at once; call it after each step."""

    def crash() -> bool:
        for pod in world.state.pods():
            if version in world.state.template(pod.name).command and pod.node:
                world.state.started(pod.name, address="", now=world.now())
                world.state.ended(
                    pod.name,
                    exit_code=3,
                    reason="CrashLoopBackOff",
                    message="exit code 3: no such model",
                    now=world.now(),
                )
        return False

    ordinary = world.start_s

    def start_s(pod: Pod) -> float | None:
        return None if version in world.state.template(pod.name).command else ordinary(pod)

    world.start_s = start_s
    return crash


def status(world: World) -> Status:
    seat = world.seats[0]
    around = seat.around
    return status_of(around.situation(APP, world.log.apps[APP], around.room()))
