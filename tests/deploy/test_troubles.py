"""Stories of what others do to a rollout: clusters that refuse, hands that set fields, secrets."""

from collections.abc import Callable, Collection, Mapping
from itertools import pairwise

import msgspec

from midstage.cluster.objects import Reference, Workload
from midstage.contracts.apps import AppSpec, AppSpecified, Rollout, Verdict
from midstage.contracts.cluster import Phase
from midstage.contracts.errors import UnavailableError
from midstage.contracts.running import Disruption, OnDrift, Source
from midstage.deploy.views.status import Stage
from tests.deploy.test_rollouts import revision
from tests.deploy.test_steps import a_world, spec, status, verdicts
from tests.deploy.world import APP, Edge, World

DRIFT = ("kubectl-edit: spec.template.spec.containers[0].image",)


def specs(world: World) -> list[AppSpecified]:
    return [fact for fact in world.log.facts if isinstance(fact, AppSpecified)]


def a_running(of: AppSpec) -> World:
    world = a_world()
    world.specify(of)
    world.until(world.settled)
    world.run(2)
    return world


def edits(world: World, **changed: object) -> None:
    """Somebody else changes the only workload."""
    [workload] = world.state.workloads()
    world.state.put_workload(
        msgspec.structs.replace(workload, **changed),
        expected=workload.resource_version,
        now=world.now(),
    )


def test_a_write_that_the_cluster_refuses_ends_the_rollout_with_its_words() -> None:
    world = a_running(spec("a"))
    world.refuses = refusing("admission webhook denied: no image tag latest")
    world.tries = 0
    world.least_serving.clear()
    world.specify(spec("b"))
    world.until(lambda: len(verdicts(world)) == 2, within_s=30)
    verdict, reason = verdicts(world)[-1]
    assert verdict is Verdict.FAILED
    assert reason == "refused by the cluster: admission webhook denied: no image tag latest"
    assert min(world.least_serving) == 3
    world.run(120)
    assert world.tries < 16, "a hot loop"
    assert "admission webhook" in status(world).reason
    world.refuses = lambda _workload: ""
    world.until(lambda: verdicts(world)[-1] == (Verdict.COMPLETE, ""))


def test_a_newer_spec_is_tried_at_once_after_a_refused_one() -> None:
    world = a_running(spec("a"))
    world.refuses = refusing("denied", but="c")
    world.specify(spec("b"))
    world.run(60)
    world.specify(spec("c"))
    world.until(world.settled, within_s=15)
    assert verdicts(world)[-1] == (Verdict.COMPLETE, "")


def test_a_quota_that_lets_no_pod_be_made_is_the_reason() -> None:
    world = a_world()
    words = "exceeded quota: gpus, requested: nvidia.com/gpu=1, used: 4, limited: 4"
    world.seats[0].reasons[APP] = words
    world.start_s = lambda _pod: None
    world.specify(spec(rollout=Rollout(progress_within_s=5)))
    world.until(lambda: bool(verdicts(world)))
    [(verdict, reason)] = verdicts(world)
    assert verdict is Verdict.FAILED
    assert f"no pods are made: {words}" in reason


def test_an_image_that_does_not_come_is_the_reason() -> None:
    world = a_world()
    world.start_s = lambda _pod: None
    world.specify(spec(rollout=Rollout(progress_within_s=5)))
    world.until(lambda: bool(world.state.pods()))
    for pod in world.state.pods():
        world.state.ended(
            pod.name,
            exit_code=None,
            reason="ErrImagePull",
            message="manifest for chat:9 not found",
            now=world.now(),
        )
    assert {pod.phase for pod in world.state.pods()} == {Phase.BACKOFF}
    world.until(lambda: bool(verdicts(world)))
    assert "ErrImagePull: manifest for chat:9 not found" in verdicts(world)[-1][1]


def test_what_somebody_else_has_set_is_corrected() -> None:
    world = a_running(spec("a"))
    edits(world, drift=DRIFT)
    world.until(lambda: not world.state.workloads()[0].drift, within_s=5)
    assert world.conflicts == 0
    assert len(world.serving()) == 3


def test_who_sets_it_again_and_again_is_corrected_later_and_later_and_named() -> None:
    world = a_running(spec("a"))
    world.writes.clear()
    for _ in range(400):
        if not world.state.workloads()[0].drift:
            edits(world, drift=DRIFT)
        world.step()
    assert 3 <= len(world.writes) <= 7
    [told] = status(world).drift
    assert told.startswith(f"{DRIFT[0]} (set again after ")
    assert status(world).stage is Stage.READY


def test_what_is_tolerated_is_shown_and_left() -> None:
    world = a_running(spec("a", drift=OnDrift.TOLERATE, disruption=Disruption(max_unavailable=2)))
    [workload] = world.state.workloads()
    assert workload.tolerates
    assert workload.disruption == Disruption(max_unavailable=2)
    world.writes.clear()
    edits(world, drift=DRIFT)
    world.run(10)
    assert world.writes == []
    assert status(world).drift == (f"{DRIFT[0]} (tolerated)",)


GONE = ("unknown: services deleted",)


def test_what_goes_with_an_application_comes_back_without_another_write() -> None:
    world = a_running(spec("a"))
    world.writes.clear()
    world.strays = GONE
    world.until(lambda: not world.strays, within_s=10)
    assert len(world.writes) == 1
    world.run(20)
    assert len(world.writes) == 1
    assert status(world).drift == ()


def test_who_takes_it_away_again_and_again_is_corrected_later_and_later() -> None:
    world = a_running(spec("a"))
    world.writes.clear()
    for _ in range(400):
        world.strays = GONE
        world.step()
    assert 3 <= len(world.writes) <= 7
    [told] = status(world).drift
    assert told.startswith(f"{GONE[0]} (set again after ")


def test_where_strangers_are_tolerated_it_is_shown_and_left() -> None:
    world = a_running(spec("a", drift=OnDrift.TOLERATE))
    world.writes.clear()
    world.strays = GONE
    world.run(20)
    assert world.writes == []
    assert status(world).drift == (f"{GONE[0]} (tolerated)",)


def test_of_an_application_that_ends_nothing_comes_back() -> None:
    world = a_running(spec("a"))
    world.remove()
    world.strays = GONE
    world.until(world.settled)
    world.run(10)
    assert not world.state.workloads()


def test_a_count_that_somebody_else_has_set_is_corrected_without_a_dip() -> None:
    world = a_running(spec("a"))
    world.least_serving.clear()
    edits(world, replicas=5, drift=("kubectl: spec.replicas",))
    world.until(lambda: world.state.workloads()[0].replicas == 3)
    world.until(lambda: len(world.state.pods()) == 3)
    assert min(world.least_serving) >= 3
    assert world.wrongs == []
    edits(world, replicas=1, drift=("kubectl: spec.replicas",))
    world.until(lambda: len(world.serving()) == 3, within_s=10)


def test_a_secret_that_changes_restarts_once_and_back_again() -> None:
    world = World(edges=[Edge(name="e")])
    world.seat()
    world.seat(pods_lag=1, workloads_lag=2)
    world.content["secret/db"] = "one"
    named = spec("a", env_from={"PASSWORD": Source(secret="db", key="password")})
    world.specify(named)
    world.until(world.settled)
    first, pods = revision(world), {pod.name for pod in world.state.pods()}
    assert world.log.apps[APP].history[-1].fact.references == {"secret/db": "one"}
    world.run(15)
    assert revision(world) == first
    world.least_serving.clear()
    world.content["secret/db"] = "two"
    world.until(lambda: revision(world) != first and world.settled())
    world.run(15)
    assert not pods & {pod.name for pod in world.state.pods()}
    assert min(world.least_serving) >= 3
    restarts = [fact for fact in specs(world) if fact.generation]
    assert [(fact.generation, fact.why) for fact in restarts] == [(1, "changed: secret/db")]
    world.content["secret/db"] = "one"
    world.until(lambda: specs(world)[-1].generation == 2)
    world.until(world.settled)


def test_a_secret_that_is_not_there_is_a_reason_and_restarts_nothing() -> None:
    world = a_world()
    named = spec("a", env_from={"PASSWORD": Source(secret="db", key="password")})
    world.specify(named)
    world.run(3)
    world.content["secret/db"] = "one"
    world.until(world.settled)
    world.run(10)
    del world.content["secret/db"]
    world.run(10)
    assert status(world).reason == "missing: secret/db"
    assert {fact.generation for fact in specs(world)} == {0}
    world.content["secret/db"] = "one"
    world.run(10)
    assert status(world).reason == "complete"
    assert {fact.generation for fact in specs(world)} == {0}


def test_secrets_that_cant_be_looked_at_hold_up_nobody_and_are_asked_for_slowly() -> None:
    asked: list[float] = []
    world = a_world()

    def away(references: Collection[Reference], /) -> Mapping[Reference, str]:
        asked.append(world.passed_s)
        raise UnavailableError(f"{len(references)} not known now")

    world.references = away  # type: ignore[method-assign]  # away for these
    world.specify(spec("a", env_from={"PASSWORD": Source(secret="db", key="password")}))
    world.until(world.settled)
    world.run(20)
    assert len(world.serving()) == 3
    assert all(later - earlier >= 5 for earlier, later in pairwise(asked))


def refusing(words: str, *, but: str = "a") -> Callable[[Workload], str]:
    """A cluster that takes no other workloads than those of versions ``a`` and ``but``."""

    def refuses(workload: Workload) -> str:
        return "" if workload.template.command[-1] in {"a", but} else words

    return refuses
