"""Control over a real Kubernetes: what it lists becomes facts, and a take-over only differences."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from midstage.contracts.cluster import (
    ClusterReached,
    EndpointsObserved,
    NodeObserved,
    PodObserved,
)
from midstage.contracts.inventory import Inventory
from midstage.control.decide.objects import differences
from midstage.control.model import Stamp
from midstage.testkit.waiting import within
from tests.cluster.bench import Bench
from tests.cluster.on_kubernetes import benched
from tests.control.conftest import EVER, Pair, running, settings_in
from tests.kubernetes import Kubernetes

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]


@pytest.fixture
def site(kubernetes: Kubernetes) -> Iterator[Bench]:
    with benched(kubernetes) as bench:
        yield bench


def own(facts: Inventory, app: str) -> object:
    """What is known of one application and where the cluster sends its requests."""
    slices = [each for each in facts.endpoints() if each.app == app]
    return (
        [(pod.name, pod.uid, pod.resource_version, pod.ready) for pod in facts.pods_of(app)],
        [(each.name, each.resource_version) for each in facts.workloads_of(app)],
        [(each.name, {one.address: one.ready for one in each.endpoints}) for each in slices],
    )


def test_a_real_cluster_becomes_facts_and_a_take_over_only_differences(
    pair: Pair, site: Bench, tmp_path: Path
) -> None:
    cluster, workload = site.cluster, site.workload(replicas=2)
    site.put(workload)
    site.ready(workload, 2)
    settings = settings_in(tmp_path, lease_s=10)

    def really() -> object:
        stamp = Stamp(cluster=cluster.name, epoch=0)
        return own(Inventory(differences(Inventory(), cluster.list(), stamp, EVER)), workload.app)

    def told() -> object:
        return own(Inventory(pair.written(pair.stream)), workload.app)

    with running(pair, [cluster], tmp_path, settings=settings):
        within(60, lambda: told() == really())
        assert {node.name for node in Inventory(pair.written(pair.stream)).nodes()} >= {
            *("plain", "other", "gpu"),
        }
        site.put(workload, replicas=3)
        site.ready(workload, 3)
        within(60, lambda: told() == really())
        ready = [
            sum(one.ready for one in each.endpoints)
            for each in pair.said(EndpointsObserved)
            if isinstance(each, EndpointsObserved) and each.app == workload.app
        ]
        assert ready[-1] == 3
        nodes = len(pair.said(NodeObserved))
    known = {pod.uid for pod in site.pods(workload)}
    with running(pair, [cluster], tmp_path, settings=settings):
        within(60, lambda: [fact for fact in pair.said(ClusterReached) if fact.epoch > 1])
        again = [
            each
            for each in pair.said(PodObserved)
            if isinstance(each, PodObserved) and each.app == workload.app and each.epoch > 1
        ]
        assert again == []
        site.put(workload, replicas=2)
        site.ready(workload, 2)
        within(60, lambda: told() == really())
    assert known > {pod.uid for pod in site.pods(workload)}
    assert len(pair.said(NodeObserved)) <= nodes + 4  # no heartbeat is a fact
