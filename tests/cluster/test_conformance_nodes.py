"""Conformance: what nodes and quotas have in use, and how a node is emptied."""

import msgspec
import pytest

from midstage.cluster.objects import Node, QuotaUse
from midstage.cluster.protocol import ConflictError
from midstage.contracts.apps import Toleration
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.running import Disruption, Spread

from .bench import Bench, needing

pytestmark = pytest.mark.slow


def test_a_node_uses_at_least_what_its_pods_use(bench: Bench) -> None:
    workload = bench.workload()
    bench.put(workload)
    (pod,) = bench.ready(workload, 1)
    bench.until(lambda: [use for use in bench.cluster.usage() if use.name == pod.name])
    (use,) = bench.until(
        lambda: [use for use in bench.cluster.node_usage() if use.name == pod.node]
    )
    assert use.cpu >= 0
    assert use.memory_mb > 1
    assert use.gpu is None


def test_a_quota_tells_what_all_pods_of_the_namespace_take_of_it(bench: Bench) -> None:
    assert list(bench.cluster.quotas()) == []
    if bench.allow is None:
        return
    hard = {"pods": "5", "requests.cpu": "2500m", "limits.memory": "1Gi", "services": "9"}
    bench.allow("team", hard)
    workload = bench.workload(needing(bench.serving, cpu=0.25, memory_mb=32), replicas=2)
    bench.put(workload)
    bench.ready(workload, 2)
    taken = {"pods": 2.0, "requests.cpu": 0.5, "limits.memory": 64.0 * 1024 * 1024}
    bench.until(lambda: [used(each) for each in bench.cluster.quotas()] == [taken])
    (told,) = bench.cluster.quotas()
    assert (told.name, told.namespace) == ("team", bench.namespace)
    assert told.hard == {
        "pods": 5.0,
        "requests.cpu": 2.5,
        "limits.memory": 1024.0**3,
        "services": 9.0,
    }


def used(told: QuotaUse) -> dict[str, float]:
    """Of pods alone: a cluster may have services of its own."""
    return {name: amount for name, amount in told.used.items() if name != "services"}


def test_a_cordoned_node_takes_no_new_pods_and_keeps_its_own(bench: Bench) -> None:
    only_there = msgspec.structs.replace(bench.serving, node_selector={"zone": "b"})
    workload = bench.workload(only_there)
    bench.put(workload)
    (first,) = bench.ready(workload, 1)
    assert not bench.cluster.cordon(first.node, on=True).schedulable
    try:
        bench.put(workload, replicas=2)
        bench.until(lambda: "unschedulable" in " ".join(p.message for p in bench.pods(workload)))
        assert [pod.uid for pod in bench.pods(workload) if pod.ready] == [first.uid]
        assert not node(bench, first.node).schedulable
    finally:
        assert bench.cluster.cordon(first.node, on=False).schedulable
    bench.ready(workload, 2)


def test_a_required_spread_lets_a_pod_wait_until_the_counts_can_be_even(bench: Bench) -> None:
    even = msgspec.structs.replace(bench.serving, spread=(Spread(over="rack", required=True),))
    workload = bench.workload(even, replicas=2)
    bench.cluster.cordon("other", on=True)
    try:
        bench.put(workload)
        bench.until(lambda: "topology spread" in " ".join(p.message for p in bench.pods(workload)))
        bench.until(lambda: [p.node for p in bench.pods(workload) if p.ready] == ["plain"])
        (waits,) = [pod for pod in bench.pods(workload) if not pod.node]
        assert "missing required label" in waits.message
    finally:
        bench.cluster.cordon("other", on=False)
    pods = bench.ready(workload, 2)
    assert {pod.node for pod in pods} == {"plain", "other"}
    assert not any(pod.node_selector or pod.tolerations for pod in pods)


def test_a_pod_that_waits_says_which_nodes_would_take_it(bench: Bench) -> None:
    nowhere = msgspec.structs.replace(
        bench.serving, node_selector={"zone": "c"}, tolerations=(Toleration(key="dedicated"),)
    )
    workload = bench.workload(nowhere)
    bench.put(workload)
    pod = bench.unschedulable(workload)
    assert pod.node_selector == {"zone": "c"}
    assert pod.tolerations == (Toleration(key="dedicated"),)


def test_a_node_says_that_it_shall_be_emptied_until_it_takes_pods_again(bench: Bench) -> None:
    name = bench.cluster.list().nodes[0].name
    try:
        asked = bench.cluster.cordon(name, on=True, emptied=True)
        assert (asked.schedulable, asked.emptied) == (False, True)
        assert node(bench, name).emptied
    finally:
        again = bench.cluster.cordon(name, on=False)
    assert (again.schedulable, again.emptied) == (True, False)
    assert not node(bench, name).emptied


def test_no_such_node_can_be_cordoned(bench: Bench) -> None:
    with pytest.raises(RefusedError) as refused:
        bench.cluster.cordon("no-such-node", on=True)
    assert refused.value.status == 404


def test_an_evicted_pod_comes_back_elsewhere(bench: Bench) -> None:
    workload = bench.workload()
    bench.put(workload)
    (pod,) = bench.ready(workload, 1)
    bench.cluster.cordon(pod.node, on=True)
    try:
        bench.cluster.evict_pod(pod.name, uid=pod.uid)
        bench.until(
            lambda: (
                [
                    each.ready and each.node != pod.node
                    for each in bench.pods(workload)
                    if each.uid != pod.uid
                ]
                == [True]
            )
        )
        bench.until(lambda: pod.uid not in {each.uid for each in bench.pods(workload)})
    finally:
        bench.cluster.cordon(pod.node, on=False)
    with pytest.raises(ConflictError):
        bench.cluster.evict_pod(pod.name, uid=pod.uid)


def test_eviction_waits_for_what_the_application_can_spare(bench: Bench) -> None:
    """Of two replicas one may be away: the second goes when the first is back."""
    workload = msgspec.structs.replace(
        bench.workload(needing(bench.serving, cpu=1), replicas=2), disruption=Disruption()
    )
    bench.put(workload)
    first, second = bench.ready(workload, 2)

    def gone(pod_name: str, uid: str) -> bool:
        try:
            bench.cluster.evict_pod(pod_name, uid=uid)
        except UnavailableError:
            return False
        return True

    nodes = [node.name for node in bench.cluster.list().nodes if node.schedulable]
    try:
        for each in nodes:  # so that the first one is not back before the second one is asked for
            bench.cluster.cordon(each, on=True)
        bench.until(lambda: gone(first.name, first.uid))  # Kubernetes counts the pods in its time
        assert not gone(second.name, second.uid)
    finally:
        for each in nodes:
            bench.cluster.cordon(each, on=False)
    bench.ready(workload, 2)
    bench.until(lambda: gone(second.name, second.uid))
    bench.ready(workload, 2)


def node(bench: Bench, name: str) -> Node:
    return next(each for each in bench.cluster.list().nodes if each.name == name)
