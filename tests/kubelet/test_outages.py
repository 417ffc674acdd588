"""A node, the kubelet, the API server die and come back: no pod is lost, none is doubled."""

import signal
from pathlib import Path

import msgspec
import psutil
import pytest

from midstage.cluster.faults import Cordon, FillNode, NodeDies, NodeReturns
from midstage.local.kubelet.amounts import number
from midstage.local.kubernetes.running import RunningKubernetes
from midstage.testkit.waiting import within
from tests.cluster.daemon import gone
from tests.kubernetes import Kubernetes

from .world import WITHIN_S, Json, Pod, World, get, script, serves

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]

STAYS = [{"operator": "Exists"}]
"""Not evicted from a node that is away for longer than Kubernetes is patient."""
SCRATCH = "$MIDSTAGE_MOUNTS/v/kept"


@pytest.fixture
def own(kubernetes: Kubernetes) -> RunningKubernetes:
    if kubernetes.own is None:
        pytest.skip("the cluster is somebody's: its programs are not ours to kill")
    return kubernetes.own


def deployed(world: World, replicas: int, **needs: str) -> None:
    """A deployment "a" of serving pods."""
    container = serves(readinessProbe=get("/readyz"))
    only = {"name": "main", "image": "x", "resources": {"requests": needs}, **container}
    template = {
        "metadata": {"labels": {"app": "a"}},
        "spec": {"terminationGracePeriodSeconds": 2, "containers": [only]},
    }
    spec: Json = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "a"}},
        "template": template,
    }
    kind = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}
    path = f"/apis/apps/v1/namespaces/{world.namespace}/deployments/a"
    world.put(path, {**kind, "spec": spec})


def serving(world: World) -> list[Pod]:
    return [pod for pod in world.pods() if pod.ready and pod.metadata.deletion_timestamp is None]


def processes(world: World) -> list[psutil.Process]:
    """What runs for the pods of this namespace."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("POD_NAMESPACE") == world.namespace:
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_pods_of_a_dead_node_are_replaced_and_gone_when_it_returns(
    world: World, kubernetes: Kubernetes
) -> None:
    deployed(world, 3, cpu="100m", memory="8Mi")
    within(WITHIN_S, lambda: len(serving(world)) == 3)
    lost = serving(world)[0]
    node = lost.spec.node_name
    try:
        kubernetes.fault(NodeDies(node=node))
        within(
            WITHIN_S,
            lambda: len(serving(world)) == 3 and node not in nodes_of(serving(world)),
            every=0.1,
        )
        assert lost.metadata.name in {pod.metadata.name for pod in world.pods()}
    finally:
        kubernetes.fault(NodeReturns(node=node))
    within(WITHIN_S, lambda: len(world.pods()) == 3 == len(processes(world)), every=0.2)


def nodes_of(pods: list[Pod]) -> set[str]:
    return {pod.spec.node_name for pod in pods}


def test_a_node_that_is_cordoned_or_full_takes_no_more(
    world: World, kubernetes: Kubernetes
) -> None:
    deployed(world, 1, cpu="100m", memory="8Mi")
    within(WITHIN_S, lambda: len(serving(world)) == 1)
    (first,) = serving(world)
    others = {"plain", "other", "gpu"} - {first.spec.node_name}
    try:
        kubernetes.fault(FillNode(node=first.spec.node_name))
        for node in others:
            kubernetes.fault(Cordon(node=node))
        within(WITHIN_S, lambda: is_full(world, first.spec.node_name))
        within(WITHIN_S, lambda: all(node_of(world, each).spec.unschedulable for each in others))
        deployed(world, 2, cpu="100m", memory="8Mi")

        def both_are_said() -> bool:
            told = str(world.pods())
            return "Insufficient cpu" in told and "unschedulable" in told

        within(WITHIN_S, both_are_said)
    finally:
        for node in {*others, first.spec.node_name}:
            kubernetes.fault(NodeReturns(node=node))
    within(WITHIN_S, lambda: len(serving(world)) == 2)


class Room(msgspec.Struct):
    capacity: dict[str, str]
    allocatable: dict[str, str]


class Cordoned(msgspec.Struct):
    unschedulable: bool = False


class Node(msgspec.Struct):
    status: Room
    spec: Cordoned


def node_of(world: World, name: str) -> Node:
    return msgspec.json.decode(world.ask("GET", f"/api/v1/nodes/{name}"), type=Node)


def is_full(world: World, name: str) -> bool:
    node = node_of(world, name)
    return number(node.status.allocatable["cpu"]) < number(node.status.capacity["cpu"])


def test_a_kubelet_that_was_killed_takes_its_pods_over(
    world: World, own: RunningKubernetes
) -> None:
    keep = f"test -f {SCRATCH} && echo again >> {SCRATCH} || echo first > {SCRATCH}"
    container = serves(
        readinessProbe=get("/readyz"),
        startupProbe=script(keep),
        volumeMounts=[{"name": "v", "mountPath": "/v"}],
    )
    for name in ("a", "b"):
        volumes = [{"name": "v", "emptyDir": {}}]
        world.pod(name, container, tolerations=STAYS, volumes=volumes)
    before = {world.ready(name).metadata.uid for name in ("a", "b")}
    first = processes(world)
    own.kill("kubelet")
    within(WITHIN_S, lambda: not any(alive(each) for each in first))
    after = [world.ready(name, restarts=1) for name in ("a", "b")]
    assert {pod.metadata.uid for pod in after} == before
    assert [pod.restarts for pod in after] == [1, 1]
    assert [pod.ended.exit_code for pod in after] == [137, 137]
    found = processes(world)
    assert len(found) == 2
    mounts = [Path(process.environ()["MIDSTAGE_MOUNTS"]) for process in found]
    assert [(each / "v/kept").read_text() for each in mounts] == ["first\nagain\n"] * 2
    for name in ("a", "b"):
        world.delete(name)
    within(WITHIN_S, lambda: not any(each.parent.exists() for each in mounts))


def test_a_kubelet_that_was_stopped_ends_its_pods_and_says_so(
    world: World, own: RunningKubernetes
) -> None:
    world.pod("a", serves(readinessProbe=get("/readyz")), tolerations=STAYS)
    before = world.ready("a")
    first = processes(world)
    own.kill("kubelet", signal.SIGTERM)
    within(WITHIN_S, lambda: not any(alive(each) for each in first))
    after = world.ready("a", restarts=1)
    assert after.restarts == 1
    between = world.past("a", since=before, until=after)  # not for long: it is started again
    assert "the kubelet was stopped" in "".join(pod.unready for pod in between)
    assert len(processes(world)) == 1


def test_pods_go_on_without_the_api_server_and_their_end_is_told_later(
    world: World, own: RunningKubernetes, tmp_path: Path
) -> None:
    world.pod("a", serves(readinessProbe=get("/readyz")), tolerations=STAYS)
    pod = world.ready("a")
    own.stop("apiserver")
    try:
        (process,) = processes(world)
        assert alive(process)
        process.kill()
        within(WITHIN_S, lambda: len(processes(world)) == 1 and processes(world) != [process])
    finally:
        own.start("apiserver")
    after = within(WITHIN_S, lambda: found(world, restarts=1), every=0.2)
    assert after is not None
    assert (after.metadata.uid, after.ended.exit_code) == (pod.metadata.uid, 137)
    world.delete("a")
    within(WITHIN_S, lambda: world.gone("a") and not processes(world))


def found(world: World, *, restarts: int) -> Pod | None:
    pod = world.seen("a")
    return pod if pod.ready and pod.restarts == restarts else None


def alive(process: psutil.Process) -> bool:
    return not gone(process)
