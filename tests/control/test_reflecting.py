"""A cluster becomes facts: at a start, at each change, after a restart, a death, an outage."""

import threading
from pathlib import Path

import httpx
import pytest

from midstage.cluster.memory import MemoryCluster
from midstage.contracts.cluster import (
    ClusterReached,
    ClusterUnreachable,
    NodeObserved,
    ObjectGone,
    PodUsed,
    QuotaUsed,
    WorkloadObserved,
)
from midstage.contracts.inventory import Inventory
from midstage.testkit.waiting import within
from tests.control.conftest import (
    Pair,
    ready,
    really,
    running,
    scaled,
    settings_in,
    state,
)

pytestmark = pytest.mark.slow


def test_everything_becomes_a_fact_then_each_change(
    both: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    names = sorted(pod.name for pod in cluster.pods())
    with running(both, [cluster], tmp_path):
        held = Inventory(both.written(both.stream))
        assert ready(both.written(both.stream)) == names
        assert [each.replicas for each in held.workloads_of("chat")] == [2]
        assert [each.name for each in held.nodes()] == ["node-1"]

        scaled(cluster, 3)
        within(60, lambda: len(ready(both.written(both.stream))) == 3)
        scaled(cluster, 1)
        within(60, lambda: len(both.said(ObjectGone)) == 2)
        assert len(ready(both.written(both.stream))) == 1
        within(60, lambda: state(both.written(both.inventory)) == really(cluster))
    assert state(both.written(both.inventory)) == state(both.written(both.stream))


def test_a_restart_writes_only_what_is_different(
    both: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    with running(both, [cluster], tmp_path):
        before = both.changes()
    with running(both, [cluster], tmp_path):
        assert differences_of(both, epoch=2) == []
    assert len(before) > 3

    scaled(cluster, 1)
    with running(both, [cluster], tmp_path):
        assert differences_of(both, epoch=3) == ["ObjectGone", "WorkloadObserved"]
        within(60, lambda: len(ready(both.written(both.inventory))) == 1)


def differences_of(pair: Pair, *, epoch: int) -> list[str]:
    """The kinds of what was written under an epoch; that the cluster answers is told each 5 s."""
    told = [type(fact) for fact in pair.changes() if fact.epoch == epoch]
    assert ClusterReached in told  # it is, after all differences
    return sorted(each.__name__ for each in told if each is not ClusterReached)


def test_unreachable_is_a_fact_and_nothing_is_gone(
    pair: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    with running(pair, [cluster], tmp_path) as http:
        cluster.cut("the cable is out")
        within(60, lambda: pair.said(ClusterUnreachable))
        held = Inventory(pair.written(pair.stream))
        away = held.unreachable("local")
        assert away is not None
        assert "the cable is out" in away.reason
        assert away.since <= away.observed_at
        assert len(held.pods_of("chat")) == 2
        within(60, lambda: not reachable(http))
        assert len(http.get("/v1/pods").json()["pods"]) == 2
        assert http.get("/readyz").status_code == 200

        cluster.mend()
        within(60, lambda: reachable(http))
        assert len(pair.said(ClusterUnreachable)) == 1
        assert not pair.said(ObjectGone)
        scaled(cluster, 3)
        within(60, lambda: len(ready(pair.written(pair.stream))) == 3)


def test_what_vanished_during_an_outage_is_gone_when_it_is_over(
    pair: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    """The watch can't go on from where it was (410): list again, write the differences."""
    with running(pair, [cluster], tmp_path):
        cluster.cut("for a moment")
        within(60, lambda: pair.said(ClusterUnreachable))
        cluster.set_node("node-1", schedulable=False)
        cluster.forget()
        cluster.mend()
        within(60, lambda: len(pair.said(NodeObserved)) == 2)
        scaled(cluster, 1)
        cluster.forget()
        within(60, lambda: len(pair.said(ObjectGone)) == 1)
        within(60, lambda: len(ready(pair.written(pair.inventory))) == 1)
        assert len(pair.said(ObjectGone)) == 1


def test_what_pods_use_is_in_the_stream_alone(
    pair: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    name = cluster.pods()[0].name
    cluster.use(name, cpu=0.25, memory_mb=33)
    with running(pair, [cluster], tmp_path) as http:
        path = f"/v1/pods/local/default/{name}"
        used = within(60, lambda: http.get(path).json()["used"])
        assert (used["cpu"], used["memory_mb"], used["gpu"]) == (0.25, 33, None)
        node = within(60, lambda: http.get("/v1/nodes").json()["nodes"][0]["used"])
        assert node["cpu"] == 0.25
        assert pair.said(PodUsed, name)
    assert not [f for f in pair.written(pair.inventory) if isinstance(f, PodUsed)]


def test_quotas_are_told_as_they_are_used_until_they_are_gone(
    pair: Pair, cluster: MemoryCluster, tmp_path: Path
) -> None:
    cluster.allow("few", {"pods": 5})
    with running(pair, [cluster], tmp_path):
        first = within(60, lambda: quotas(pair))[0]
        assert (first.name, first.hard, first.used) == ("few", {"pods": 5.0}, {"pods": 2.0})
        scaled(cluster, 3)
        within(60, lambda: quotas(pair)[-1].used == {"pods": 3.0})
        held = Inventory(pair.written(pair.stream))
        [told] = held.quotas(cluster=cluster.name, namespace="default")
        assert told.used == {"pods": 3.0}
        cluster.allow("few", {})
        within(60, lambda: not cluster.quotas())
    assert not [f for f in pair.written(pair.inventory) if isinstance(f, QuotaUsed)]


def quotas(pair: Pair) -> list[QuotaUsed]:
    return [fact for fact in pair.said(QuotaUsed) if isinstance(fact, QuotaUsed)]


class DiedError(Exception):
    """What a failpoint raises in place of a death."""


@pytest.mark.parametrize("place", ["control:observed", "control:written"])
def test_a_death_before_the_inventory_is_harmless(
    pair: Pair, cluster: MemoryCluster, tmp_path: Path, place: str
) -> None:
    armed: list[str] = []
    died = threading.Event()

    def reached(here: str) -> None:
        if here in armed:
            died.set()
            raise DiedError(here)

    settings = settings_in(tmp_path, lease_s=2)  # which nobody gives back
    with running(pair, [cluster], tmp_path, settings=settings, reached=reached, code=1):
        armed.append(place)
        scaled(cluster, 3)
        assert died.wait(60)  # else it would be stopped before it has heard of it
    assert len(ready(pair.written(pair.inventory))) == 2
    with running(pair, [cluster], tmp_path):
        within(60, lambda: len(ready(pair.written(pair.inventory))) == 3)
        assert len(ready(pair.written(pair.stream))) == 3
        assert not pair.said(ObjectGone)
    told = [fact for fact in pair.said(WorkloadObserved) if fact.epoch == 2]
    assert len(told) == 1


def reachable(http: httpx.Client) -> bool:
    found: bool = http.get("/v1/clusters").json()["clusters"][0]["reachable"]
    return found
