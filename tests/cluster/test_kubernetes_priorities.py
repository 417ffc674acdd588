"""Priorities on a real Kubernetes: told of each pod as the scheduler goes by them."""

import uuid
from collections.abc import Iterator

import pytest

from midstage.cluster.kubernetes.cluster import KubernetesCluster
from midstage.cluster.objects import Pod, Template, Workload
from midstage.contracts.cluster import Amount
from midstage.testkit.waiting import within
from tests.kubernetes import Kubernetes

from .site import Site

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"


@pytest.fixture
def gentle(site: Site) -> Iterator[str]:
    """A class of priority 7 that has nobody evicted."""
    name = f"gentle-{uuid.uuid4().hex[:8]}"
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    made = {**kind, "metadata": {"name": name}, "value": 7, "preemptionPolicy": "Never"}
    site.ask("POST", CLASSES, made)
    yield name
    site.ask("DELETE", f"{CLASSES}/{name}")


def test_a_pods_priority_its_class_and_whom_it_evicts(
    site: Site, gentle: str, kubernetes: Kubernetes
) -> None:
    for name, priority in (("plain", None), ("named", gentle)):
        site.put(workload(site, name, priority))
    with KubernetesCluster(
        name="test", where=kubernetes.where, namespace=site.namespace
    ) as cluster:

        def seen() -> dict[str, Pod] | None:
            pods = {pod.app: pod for pod in cluster.list().pods if pod.app}
            return pods if len(pods) == 2 else None

        pods = within(60, seen, every=0.2)
    assert pods is not None
    plain, named = pods["plain"], pods["named"]
    assert (plain.priority, plain.priority_class, plain.preempts) == (0, "", True)
    assert (named.priority, named.priority_class, named.preempts) == (7, gentle, False)


def workload(site: Site, name: str, priority: str | None) -> Workload:
    """One whose pod fits nowhere: nothing runs."""
    return Workload(
        name=f"{name}-1",
        namespace=site.namespace,
        app=name,
        revision="1",
        template=Template(
            command=("serve",),
            requests=Amount(cpu=0.1, memory_mb=64),
            node_selector={"is": "nowhere"},
            priority=priority,
        ),
        replicas=1,
    )
