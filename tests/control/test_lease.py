"""One writer for each cluster: standing by, taking over, and what a late zombie says."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from midstage.cluster.memory import MemoryCluster
from midstage.cluster.objects import Lease
from midstage.contracts.cluster import ClusterFact, Kind, ObjectGone, PodObserved
from midstage.contracts.errors import UnavailableError
from midstage.contracts.fact import Event
from midstage.contracts.inventory import key_of_fact
from midstage.contracts.topics import Topic
from midstage.control.stream.cluster import AwayError
from midstage.control.stream.tenure import LEASE, Tenure
from midstage.control.stream.writing import TYPES
from midstage.eventlog.codec import message
from midstage.testkit.clock import FrozenClock
from midstage.testkit.waiting import within
from tests.control.conftest import Pair, ready, running, scaled, state, workload


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A directory for each of two processes."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    return first, second


@pytest.mark.slow
def test_of_two_processes_one_writes_and_both_answer(
    pair: Pair, cluster: MemoryCluster, places: tuple[Path, Path]
) -> None:
    first, second = places
    with running(pair, [cluster], first) as one, running(pair, [cluster], second) as two:
        assert (holding(one), holding(two)) == (1, 0)
        scaled(cluster, 3)
        for http in (one, two):
            within(60, lambda: pods_ready(http) == 3)  # noqa: B023  asked within the loop's turn
        assert {fact.epoch for fact in pair.written(pair.stream)} == {1}


@pytest.mark.slow
def test_the_next_one_goes_on_where_the_first_one_ended(
    pair: Pair, cluster: MemoryCluster, places: tuple[Path, Path]
) -> None:
    first, second = places
    known = {pod.name for pod in cluster.pods()}
    with ExitStack() as stack:
        with running(pair, [cluster], first):
            standing_by = stack.enter_context(running(pair, [cluster], second))
        within(60, lambda: holding(standing_by) == 1)
        scaled(cluster, 3)
        within(60, lambda: len(ready(pair.written(pair.stream))) == 3)
        taken = {f.name for f in pair.said(PodObserved) if f.epoch == 2}
        assert taken == {pod.name for pod in cluster.pods()} - known


@pytest.mark.slow
def test_a_lease_that_ran_out_is_taken(pair: Pair, tmp_path: Path) -> None:
    clock = FrozenClock(datetime.now(UTC))
    cluster = MemoryCluster(name="local", now=clock.now)
    cluster.put_workload(workload(2), expected=0)
    cluster.settle()
    cluster.take_lease(LEASE, holder="one that died", within=timedelta(seconds=4))
    with running(pair, [cluster], tmp_path) as http:
        assert not pair.written(pair.stream)
        clock.advance(4.1)
        within(60, lambda: holding(http) == 1)
        within(60, lambda: len(ready(pair.written(pair.stream))) == 2)
        assert {fact.epoch for fact in pair.written(pair.stream)} == {2}


@pytest.mark.slow
def test_a_zombie_is_answered(both: Pair, cluster: MemoryCluster, tmp_path: Path) -> None:
    """What the holder of an older lease writes late holds for no reader, old or new."""
    cluster.take_lease(LEASE, holder="the zombie", within=timedelta(0))
    pod = cluster.pods()[0].name
    with running(both, [cluster], tmp_path):
        before = state(both.written(both.stream))
        [known] = both.said(PodObserved, pod)
        assert isinstance(known, PodObserved)
        assert known.epoch == 2
        wrong = msgspec.structs.replace(known, epoch=1, resource_version=999, ready=False)
        ghost = msgspec.structs.replace(wrong, name="ghost", uid="ghost", ready=True)
        gone = ObjectGone(
            cluster="local",
            namespace="default",
            name=cluster.pods()[1].name,
            epoch=1,
            observed_at=known.observed_at,
            resource_version=999,
            kind=Kind.POD,
            app="chat",
        )
        for topic in (both.stream, both.inventory):
            put(both, topic, [wrong, ghost, gone])
        within(60, lambda: state(newest_of(both.written(both.inventory))) == before)
        within(60, lambda: state(both.written(both.stream)) == before)
        assert ready(both.written(both.stream)) == sorted(p.name for p in cluster.pods())


@pytest.mark.slow
def test_a_zombie_is_answered_once_the_log_takes_the_answer(
    pair: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    away, refused = threading.Event(), threading.Event()

    def reached(place: str) -> None:
        if place == "control:observed" and away.is_set():
            away.clear()
            refused.set()
            raise UnavailableError("the log is away for a moment")

    cluster.take_lease(LEASE, holder="the zombie", within=timedelta(0))
    with running(pair, [cluster], tmp_path, reached=reached):
        before = state(pair.written(pair.stream))
        known = pair.said(PodObserved, cluster.pods()[0].name)[0]
        away.set()
        wrong = msgspec.structs.replace(known, epoch=1, resource_version=999, ready=False)
        put(pair, pair.inventory, [wrong])
        assert refused.wait(60)
        within(60, lambda: state(newest_of(pair.written(pair.inventory))) == before)


def test_the_lease_is_trusted_less_long_than_it_is_held(cluster: MemoryCluster) -> None:
    clock = FrozenClock(datetime.now(UTC))
    tenure = Tenure(cluster, holder="me", lease_s=6, monotonic=clock.monotonic)
    assert not tenure.held()
    assert tenure.taken()
    clock.advance(1.9)
    assert tenure.due_in_s() == pytest.approx(0.1)
    assert tenure.held()
    clock.advance(2.5)
    assert tenure.held()
    clock.advance(0.2)
    assert not tenure.held()
    assert tenure.due_in_s() == 0
    assert tenure.keep()
    assert tenure.held()


def test_a_lease_that_is_another_ones_is_not_held() -> None:
    clock = FrozenClock()
    cluster = MemoryCluster(now=clock.now)
    mine = Tenure(cluster, holder="me", lease_s=60, monotonic=clock.monotonic)
    other = Tenure(cluster, holder="other", lease_s=60, monotonic=clock.monotonic)
    assert mine.taken()
    assert not other.taken()
    assert not other.held()
    mine.leave()
    assert not mine.held()
    clock.advance(0.01)  # of its 60 s
    assert other.taken()
    assert (mine.epoch, other.epoch) == (1, 2)


class Slow:
    """A cluster that answers for its lease when it is let."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.name = cluster.name
        self.list, self.watch = cluster.list, cluster.watch
        self.usage, self.node_usage = cluster.usage, cluster.node_usage
        self.quotas = cluster.quotas
        self.answers = threading.Event()
        self.asked = 0
        self._cluster = cluster

    def take_lease(self, name: str, *, holder: str, within: timedelta) -> Lease:
        self.asked += 1
        if not self.answers.wait(60):
            raise UnavailableError("it does not answer")
        return self._cluster.take_lease(name, holder=holder, within=within)


@pytest.fixture
def slow(cluster: MemoryCluster) -> Iterator[Slow]:
    slow = Slow(cluster)
    slow.answers.set()
    yield slow
    slow.answers.set()


def test_nobody_waits_for_the_renewal_of_a_lease_that_is_held(slow: Slow) -> None:
    clock = FrozenClock(datetime.now(UTC))
    tenure = Tenure(slow, holder="me", lease_s=6, monotonic=clock.monotonic)
    assert tenure.taken()
    slow.answers.clear()
    clock.advance(2.1)
    assert tenure.keep()
    assert tenure.keep()
    assert tenure.due_in_s() > 1
    within(60, lambda: slow.asked == 2)
    slow.answers.set()
    within(60, lambda: tenure.keep() and tenure.due_in_s() <= 2)
    assert tenure.due_in_s() == pytest.approx(2.0)


def test_a_renewal_that_is_not_answered_in_time_ends_the_tenure(slow: Slow) -> None:
    clock = FrozenClock(datetime.now(UTC))
    tenure = Tenure(slow, holder="me", lease_s=6, monotonic=clock.monotonic)
    assert tenure.taken()
    slow.answers.clear()
    clock.advance(2.1)
    assert tenure.keep()
    clock.advance(2.5)
    assert not tenure.keep()


def test_a_lease_that_was_another_ones_meanwhile_is_not_kept(
    slow: Slow, cluster: MemoryCluster
) -> None:
    clock = FrozenClock(datetime.now(UTC))
    tenure = Tenure(slow, holder="me", lease_s=6, monotonic=clock.monotonic)
    assert tenure.taken()
    cluster.take_lease(LEASE, holder="me", within=timedelta(0))
    cluster.take_lease(LEASE, holder="other", within=timedelta(0))
    clock.advance(2.1)
    within(60, lambda: not tenure.keep())
    assert tenure.epoch == 3


def test_a_cluster_that_is_away_is_found_by_the_renewal(cluster: MemoryCluster) -> None:
    class Away(Slow):
        def take_lease(self, name: str, *, holder: str, within: timedelta) -> Lease:
            if self.asked:
                raise UnavailableError("it went away")
            return super().take_lease(name, holder=holder, within=within)

    away = Away(cluster)
    away.answers.set()
    clock = FrozenClock(datetime.now(UTC))
    tenure = Tenure(away, holder="me", lease_s=6, monotonic=clock.monotonic)
    assert tenure.taken()
    clock.advance(2.1)

    def raised() -> bool:
        try:
            tenure.keep()
        except AwayError:
            return True
        return False

    within(60, raised)


def test_a_lease_that_is_left_is_not_renewed_any_more(slow: Slow, cluster: MemoryCluster) -> None:
    clock = FrozenClock(datetime.now(UTC))
    tenure = Tenure(slow, holder="me", lease_s=6, monotonic=clock.monotonic)
    assert tenure.taken()
    clock.advance(2.1)
    assert tenure.keep()
    tenure.leave()
    within(
        60, lambda: cluster.take_lease(LEASE, holder="other", within=timedelta(1)).holder == "other"
    )
    assert not tenure.held()


def put(pair: Pair, topic: Topic, facts: Sequence[ClusterFact]) -> None:
    writer = pair.log.writer()
    for fact in facts:
        event = Event(
            id="late", source="zombie", type=TYPES[type(fact)], time=fact.observed_at, data=fact
        )
        writer.send(message(event, topic=topic.name, key=key_of_fact(fact)))
    writer.close()


def newest_of(facts: Sequence[ClusterFact]) -> Sequence[ClusterFact]:
    """Only the last fact of each key, as compaction leaves it."""
    return list({key_of_fact(fact): fact for fact in facts}.values())


def pods_ready(http: httpx.Client) -> int:
    return len(http.get("/v1/pods?ready=true").json()["pods"])


def holding(http: httpx.Client) -> float:
    lines = http.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith('midstage_control_holding{cluster="local"}')]
    return float(found[0].rpartition(" ")[2]) if found else 0.0
