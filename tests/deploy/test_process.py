"""Whole processes: two at once, one that dies at each place, one that slept, neighbours away."""

import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from midstage.cluster.memory import MemoryCluster
from midstage.cluster.objects import Pod, Preview, Reference, Workload
from midstage.cluster.protocol import Ending
from midstage.contracts.apps import AppFact, RolloutEnded, RolloutStarted
from midstage.contracts.errors import UnavailableError
from midstage.contracts.policy import Policy, Targets
from midstage.contracts.running import Disruption
from midstage.contracts.scaling import Evaluation, Inputs, ScaleDecided, ScalingRemoved
from midstage.deploy.main import Topics
from midstage.eventlog.appended import command, written
from midstage.eventlog.fold import Fold
from midstage.eventlog.log import BEGINNING, Message
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.deploy.conftest import Neighbours, a_cluster, create, running

pytestmark = pytest.mark.slow

POLICY = {"min": 1, "max": 6, "targets": {"concurrency": 2}}


class DiedError(Exception):
    """The process ends here, as by a kill: nothing is put in order first."""


class Dies:
    """A failpoint: raises where ``place`` is reached the ``nth`` time."""

    def __init__(self, place: str, nth: int) -> None:
        self.dead = threading.Event()
        self._place, self._left = place, nth

    def __call__(self, place: str) -> None:
        if place == self._place:
            self._left -= 1
            if self._left == 0:
                self.dead.set()
                raise DiedError(place)


def a_platform() -> Neighbours:
    log, read = MemoryLog(), Topics()
    create(log, read)
    return Neighbours(log=log, read=read, cluster=a_cluster())


@pytest.mark.parametrize(
    ("place", "nth"),
    [
        ("deploy:decided", 1),
        ("deploy:decided", 3),
        ("deploy:written", 1),
        ("deploy:written", 3),
        ("append:sent", 2),  # the first one is the caller's
        ("append:sent", 3),
    ],
)
def test_a_death_at_any_place_ends_well(place: str, nth: int, tmp_path: Path) -> None:
    around = a_platform()
    dies = Dies(place, nth)
    with around.at_work():
        with running(around.log, around.cluster, tmp_path) as deploy:
            deploy.put("chat", replicas=2)
            deploy.ready("chat", 2)
        with running(around.log, around.cluster, tmp_path, reached=dies, code=1) as deploy:
            deploy.put("chat", replicas=2, command=["serve", "two"])
            assert dies.dead.wait(60)
        with running(around.log, around.cluster, tmp_path) as deploy:
            deploy.ready("chat", 2)
            [workload] = within(60, lambda: only_workload(around))
            assert (workload.replicas, workload.template.command) == (2, ("serve", "two"))
    assert rollouts(around) == ["started", "complete"] * 2


def test_two_at_once_do_each_thing_once(tmp_path: Path) -> None:
    around = a_platform()
    (tmp_path / "b").mkdir()
    with (
        around.at_work(),
        running(around.log, around.cluster, tmp_path) as one,
        running(around.log, around.cluster, tmp_path / "b") as other,
    ):
        assert one.put("chat", "put-1", replicas=3).json()["outcome"] == "created"
        assert other.put("chat", "put-1", replicas=3).json()["repeated"] is True
        one.ready("chat", 3)
        other.put("chat", replicas=3, command=["serve", "two"])
        one.ready("chat", 3)
        other.ready("chat", 3)
        [workload] = within(60, lambda: only_workload(around))
        assert workload.replicas == 3
    assert rollouts(around) == ["started", "complete"] * 2


def test_a_process_that_slept_undoes_nothing(tmp_path: Path) -> None:
    around = a_platform()
    sleeps, wakes = threading.Event(), threading.Event()

    def sleep(place: str) -> None:
        if place == "deploy:decided" and arm.is_set() and not wakes.is_set():
            sleeps.set()
            wakes.wait(60)

    arm = threading.Event()
    (tmp_path / "b").mkdir()
    with around.at_work(), running(around.log, around.cluster, tmp_path, reached=sleep) as asleep:
        asleep.put("chat", replicas=1, scaling=POLICY)
        asleep.ready("chat", 1)
        arm.set()
        scaled(around, 1, replicas=3)
        assert sleeps.wait(60)
        with running(around.log, around.cluster, tmp_path / "b") as awake:
            awake.ready("chat", 3)
            scaled(around, 2, replicas=5)
            awake.ready("chat", 5)
            wakes.set()
            asleep.put("other")
            asleep.ready("other")
            asleep.ready("chat", 5)
            [workload] = [w for w in around.cluster.list().workloads if w.app == "chat"]
            assert (workload.replicas, workload.scale_version) == (5, 2)


def test_counts_of_hpa_hold_within_the_policy_and_only_with_one(tmp_path: Path) -> None:
    around = a_platform()
    with around.at_work(), running(around.log, around.cluster, tmp_path) as deploy:
        deploy.put("chat", replicas=2, scaling=POLICY)
        deploy.ready("chat", 2)
        scaled(around, 1, replicas=4)
        deploy.ready("chat", 4)
        deploy.put("chat", replicas=2, scaling={**POLICY, "max": 3})
        deploy.ready("chat", 3)
        scaled(around, 2, replicas=None)
        deploy.ready("chat", 2)
        scaled(around, 3, replicas=3)
        deploy.ready("chat", 3)
        deploy.put("chat", replicas=1)
        deploy.ready("chat", 1)


def test_an_edge_that_keeps_a_pod_busy_is_waited_for(tmp_path: Path) -> None:
    around = a_platform()
    around.drains = False
    with around.at_work(), running(around.log, around.cluster, tmp_path) as deploy:
        deploy.put("chat", replicas=2, drain_s=300)
        deploy.ready("chat", 2)
        deploy.put("chat", replicas=1, drain_s=300)
        within(60, lambda: [pod for pod in around.cluster.pods() if pod.draining])
        deploy.put("other")
        deploy.ready("other")
        assert len([pod for pod in around.cluster.pods() if pod.app == "chat"]) == 2
        around.drains = True
        within(60, lambda: len([p for p in around.cluster.pods() if p.app == "chat"]) == 1)


def test_without_control_nothing_is_decided_and_the_process_says_so(tmp_path: Path) -> None:
    around = a_platform()
    with running(around.log, around.cluster, tmp_path, wait=False) as deploy:

        def reasons() -> dict[str, str]:
            told: dict[str, str] = deploy.http.get("/readyz").json().get("reasons", {})
            return told

        within(60, lambda: list(reasons()) == ["cluster"])  # all else has been read by then
        assert "control has to see it" in reasons()["cluster"]
        assert deploy.put("chat").json()["rollout"] == "unknown"
        assert deploy.status("chat")["stage"] == "unknown"
        assert around.cluster.list().workloads == ()
        with around.at_work():
            deploy.ready("chat")


def test_a_cluster_that_is_away_for_a_while_is_written_to_later(tmp_path: Path) -> None:
    around = a_platform()
    flaky = Flaky(around.cluster, times=2)
    with around.at_work(), running(around.log, around.cluster, tmp_path, writes=flaky) as deploy:
        deploy.put("chat")
        deploy.ready("chat")
    assert flaky.times == 0


def test_garbage_in_the_topics_harms_nobody(tmp_path: Path) -> None:
    around = a_platform()
    writer = around.log.writer()
    read = around.read
    for topic in (read.apps, read.scaling, read.cluster, read.inventory, read.edges, read.routes):
        for value in (b"", b"\xff\x00", b"{}", b"[" * 3000):
            writer.send(Message(topic=topic.name, key=b"chat", value=value))
    writer.flush(60)
    with around.at_work(), running(around.log, around.cluster, tmp_path) as deploy:
        deploy.put("chat")
        deploy.ready("chat")


class Flaky:
    """A cluster whose first writes fail; one of them has come through all the same."""

    def __init__(self, cluster: MemoryCluster, *, times: int) -> None:
        self.name = cluster.name
        self.times = times
        self._cluster = cluster

    def put_workload(self, workload: Workload, *, expected: int, ending: Ending = None) -> Workload:
        if self.times:
            self.times -= 1
            if not self.times:
                self._cluster.put_workload(workload, expected=expected, ending=ending)
            raise UnavailableError("no answer came")
        return self._cluster.put_workload(workload, expected=expected, ending=ending)

    def scale_workload(
        self, name: str, *, replicas: int, expected: int, ending: Ending = None
    ) -> Workload:
        return self._cluster.scale_workload(
            name, replicas=replicas, expected=expected, ending=ending
        )

    def adopt(self, name: str, *, app: str) -> Workload:
        return self._cluster.adopt(name, app=app)

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        return self._cluster.preview(workload, expected=expected)

    def delete_workload(self, name: str, *, expected: int, ending: Ending = None) -> None:
        self._cluster.delete_workload(name, expected=expected, ending=ending)

    def drain_pod(self, name: str, *, uid: str, draining: bool) -> Pod:
        return self._cluster.drain_pod(name, uid=uid, draining=draining)

    def references(self, references: Collection[Reference], /) -> Mapping[Reference, str]:
        return self._cluster.references(references)

    def astray(self, wanted: Mapping[str, Disruption | None], /) -> Mapping[str, tuple[str, ...]]:
        return self._cluster.astray(wanted)


def only_workload(around: Neighbours) -> Sequence[Workload]:
    """The one that there is; none while an older one is still on its way out."""
    found = around.cluster.list().workloads
    return found if len(found) == 1 else ()


def rollouts(around: Neighbours) -> list[str]:
    """What the log tells of rollouts, in order, as every reader folds it."""
    log, topic = around.log, around.read.apps
    fold: Fold[tuple[AppFact, ...], AppFact] = Fold(
        topic=topic, initial=(), evolve=lambda told, fact: (*told, fact)
    )
    places = log.partitions(topic.name)
    reader = log.reader(dict.fromkeys(places, BEGINNING))
    while any(reader.positions()[place] < end for place, end in log.ends(places).items()):
        for record in reader.poll(most=1000, timeout_s=1):
            fold.apply(record)
    reader.close()
    told: list[str] = []
    for fact in fold.state("chat")[1]:
        match fact:
            case RolloutStarted():
                told.append("started")
            case RolloutEnded(verdict=verdict):
                told.append(verdict.value)
            case _:
                pass
    return told


def scaled(around: Neighbours, version: int, *, replicas: int | None) -> None:
    """hpa decides; None: it scales no more."""
    at = datetime.now(UTC)
    fact: ScaleDecided | ScalingRemoved = ScalingRemoved(app="chat", at=at)
    if replicas is not None:
        inputs = Inputs(
            app="chat",
            now=at,
            policy=Policy(max=6, targets=Targets(concurrency=2)),
            spec_version=1,
            current=1,
        )
        fact = ScaleDecided(
            app="chat",
            replicas=replicas,
            previous=1,
            reason="test",
            at=at,
            evaluation=Evaluation(inputs=inputs, replicas=replicas, reason="test"),
        )
    writer = around.log.writer()
    writer.send(
        written(
            around.read.scaling,
            event_id=f"scale/{version}",
            by=command(key="chat", command_id=f"scale-{version}", payload=b""),
            version=version,
            engine="hpa/test",
            facts=[fact],
            at=at,
        )
    )
    assert writer.flush(60) == 0
    writer.close()
