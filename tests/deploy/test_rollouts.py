"""Stories of rollouts that are paused, resumed, restarted, undone by themselves, and told of."""

from datetime import timedelta
from itertools import pairwise

import pytest

from midstage.contracts.apps import (
    AppSpecified,
    Rollout,
    RolloutEnded,
    RolloutProgressed,
    RolloutStarted,
    Verdict,
)
from midstage.contracts.errors import RefusedError
from midstage.contracts.policy import Policy
from midstage.contracts.running import OnFailure
from midstage.deploy.decide.by_itself import BY_ITSELF
from midstage.deploy.model import Asked, PauseApp, RestartApp, ResumeApp, UndoApp
from midstage.deploy.views.status import Stage
from tests.deploy.facts import node
from tests.deploy.test_steps import POLICY, a_world, crashes, spec, status, verdicts
from tests.deploy.world import APP, Edge, World

UNDO = Rollout(on_failure=OnFailure.UNDO)


def ask(world: World, kind: type[PauseApp | ResumeApp | RestartApp]) -> None:
    command: Asked = kind(app=APP, by="ada", why="to look", at=world.now())
    world.log.command(command)


def by_revision(world: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for pod in world.state.pods():
        if not pod.draining and pod.ready:
            found[pod.revision] = found.get(pod.revision, 0) + 1
    return found


def revision(world: World) -> str:
    current = world.log.apps[APP].current
    assert current is not None
    return current.fact.revision


def one_replaced(scaling: Policy | None = None) -> World:
    """An update of four replicas, paused once one of them is replaced."""
    world = a_world()
    world.specify(spec("a", replicas=4, scaling=scaling))
    world.until(world.settled)
    world.specify(spec("b", replicas=4, scaling=scaling))
    world.until(lambda: by_revision(world).get(revision(world), 0) == 1)
    ask(world, PauseApp)
    world.run(5)
    return world


def test_a_paused_rollout_goes_no_further_until_it_is_resumed() -> None:
    world = one_replaced()
    before = by_revision(world)
    assert before[revision(world)] in {1, 2}
    world.run(30)
    assert by_revision(world) == before
    assert status(world).stage is Stage.PAUSED
    assert "paused by ada" in status(world).reason
    ask(world, ResumeApp)
    world.until(world.settled)
    assert by_revision(world) == {revision(world): 4}
    assert min(world.least_serving[-100:]) >= 4
    assert world.wrongs == []


def test_what_serves_scales_on_and_what_is_lost_comes_back_while_paused() -> None:
    world = one_replaced(scaling=POLICY)
    new = by_revision(world)[revision(world)]
    world.scale(7)
    world.until(lambda: len(world.serving()) == 7)
    assert by_revision(world)[revision(world)] == new
    lost = next(pod for pod in world.serving() if pod.revision == revision(world))
    world.state.set_node(lost.node, ready=False, now=world.now())
    world.run(3)
    world.state.set_node(lost.node, ready=True, now=world.now())
    world.until(lambda: len(world.serving()) == 7)
    assert by_revision(world)[revision(world)] == new
    world.scale(3)
    world.until(lambda: len(world.serving()) <= 4)
    world.run(10)
    assert 3 <= len(world.serving()) <= 4
    assert status(world).stage is Stage.PAUSED
    assert world.wrongs == []


def test_only_what_rolls_can_be_paused_and_only_what_is_paused_resumed() -> None:
    world = a_world()
    world.specify(spec())
    world.until(world.settled)
    with pytest.raises(RefusedError, match="nothing is rolling"):
        ask(world, PauseApp)
    with pytest.raises(RefusedError, match="is not paused"):
        ask(world, ResumeApp)


def test_a_pause_stops_the_clock_of_a_rollout() -> None:
    world = a_world()
    slow = Rollout(progress_within_s=20)
    world.specify(spec("a", rollout=slow))
    world.until(world.settled)
    world.start_s = lambda _pod: None
    world.specify(spec("b", rollout=slow))
    world.run(10)
    ask(world, PauseApp)
    world.run(60)
    assert [verdict for verdict, _ in verdicts(world)] == [Verdict.COMPLETE]
    ask(world, ResumeApp)
    world.run(15)
    assert [verdict for verdict, _ in verdicts(world)] == [Verdict.COMPLETE]
    world.until(lambda: verdicts(world)[-1][0] is Verdict.FAILED, within_s=10)


def test_another_revision_is_not_paused() -> None:
    world = one_replaced()
    world.specify(spec("c", replicas=4))
    world.until(world.settled)
    assert by_revision(world) == {revision(world): 4}


def test_a_restart_replaces_all_replicas_by_new_ones_of_the_same_spec() -> None:
    world = a_world()
    world.specify(spec())
    world.until(world.settled)
    before, first = {pod.name for pod in world.state.pods()}, revision(world)
    world.least_serving.clear()
    ask(world, RestartApp)
    world.until(lambda: revision(world) != first and world.settled())
    world.run(2)
    assert not before & {pod.name for pod in world.state.pods()}
    assert min(world.least_serving) >= 3
    assert [entry.fact.generation for entry in world.log.apps[APP].history] == [0, 1]
    world.undo()
    world.until(world.settled)
    assert revision(world) == first
    world.specify(spec(replicas=2))
    world.until(world.settled)
    assert revision(world) == first


def test_an_undo_goes_back_to_whatever_is_named() -> None:
    world = a_world()
    for version in "abc":
        world.specify(spec(version))
        world.until(world.settled)
    history = world.log.apps[APP].history
    world.log.command(UndoApp(app=APP, by="t", why="", at=world.now(), to=history[0].fact.revision))
    assert revision(world) == history[0].fact.revision
    world.log.command(UndoApp(app=APP, by="t", why="", at=world.now(), to=str(history[1].version)))
    assert revision(world) == history[1].fact.revision
    with pytest.raises(RefusedError, match="no revision or version 77"):
        world.log.command(UndoApp(app=APP, by="t", why="", at=world.now(), to="77"))


def test_progress_is_told_once_a_second_at_most_and_only_while_it_runs() -> None:
    world = a_world()
    world.seat(pods_lag=1)
    world.specify(spec("a"))
    world.until(world.settled)
    world.specify(spec("b"))
    world.until(world.settled)
    world.run(10)
    told = [f for f in world.log.facts if isinstance(f, RolloutProgressed)]
    second = [f for f in told if f.revision == revision(world)]
    assert second
    gaps = [later.at - earlier.at for earlier, later in pairwise(second)]
    assert min(gaps) >= timedelta(seconds=1)
    assert {f.wanted for f in second} == {3}
    assert second[-1].ready >= second[0].ready
    kinds = [type(f) for f in world.log.facts]
    assert kinds[-1] is RolloutEnded
    assert (RolloutEnded, RolloutProgressed) not in pairwise(kinds)


def test_a_failed_rollout_is_undone_by_itself_once() -> None:
    world = a_world()
    world.seat(pods_lag=1, workloads_lag=1)
    world.specify(spec("a", rollout=UNDO))
    world.until(world.settled)
    good = revision(world)
    world.least_serving.clear()
    world.specify(spec("bad", rollout=UNDO))
    bad = revision(world)
    crashing = crashes(world, "bad")
    world.until(lambda: crashing() or revision(world) == good)
    world.until(world.settled)
    world.run(20)
    undone = [f for f in world.log.facts if isinstance(f, AppSpecified) and f.undoes]
    [fact] = undone
    assert (fact.undoes, fact.revision, fact.by) == (bad, good, BY_ITSELF)
    assert "no such model" in fact.why
    assert [workload.revision for workload in world.state.workloads()] == [good]
    assert min(world.least_serving) >= 3
    assert world.wrongs == []


def test_a_first_revision_that_fails_has_nothing_to_go_back_to() -> None:
    world = a_world()
    world.specify(spec("bad", rollout=UNDO))
    crashing = crashes(world, "bad")
    world.until(lambda: crashing() or bool(verdicts(world)))
    world.run(10)
    assert [f for f in world.log.facts if isinstance(f, AppSpecified)] == world.log.facts[:1]
    assert status(world).stage is Stage.FAILED


def test_an_undo_that_fails_is_not_undone() -> None:
    world = a_world()
    world.specify(spec("a", rollout=UNDO))
    world.until(world.settled)
    world.specify(spec("b", rollout=UNDO))
    world.until(world.settled)
    crashing = crashes(world, "serve")
    world.undo()
    world.until(lambda: crashing() or verdicts(world)[-1][0] is Verdict.FAILED)
    for _ in range(40):
        crashing()
        world.step()
    assert len([f for f in world.log.facts if isinstance(f, AppSpecified)]) == 3
    assert status(world).stage is Stage.FAILED


def test_the_newest_complete_revision_is_what_an_undo_by_itself_goes_to() -> None:
    world = a_world(cpu=64)
    world.specify(spec("a", rollout=UNDO))
    world.until(world.settled)
    good = revision(world)
    world.start_s = lambda _pod: None
    world.specify(spec("never-ready", rollout=UNDO))
    world.run(5)
    world.specify(spec("bad", rollout=UNDO))
    crashing = crashes(world, "bad")
    world.until(lambda: crashing() or revision(world) == good)
    assert next(f.revision for f in world.log.facts if isinstance(f, RolloutStarted)) == good


def test_what_lost_its_node_ends_before_what_is_marked() -> None:
    """Kubernetes ends who is not ready before who is marked: so that is what is marked too."""
    world = World(nodes=[node("node-1", cpu=2), node("node-2", cpu=2)], edges=[Edge(name="e")])
    world.seat()
    world.specify(spec(scaling=POLICY, replicas=4))
    world.scale(4)
    world.until(world.settled)
    world.scale(3)
    world.until(lambda: any(pod.draining for pod in world.state.pods()))
    unready = next(pod for pod in world.serving())
    world.state.answered(unready.name, ready=False, now=world.now(), message="503")
    world.until(lambda: len(world.state.pods()) == 3)
    world.run(10)
    assert world.wrongs == []
    assert len(world.serving()) == 3
