"""Stories of reading a real Kubernetes: what no local cluster has, and what outlives a restart."""

import contextlib
from collections.abc import Iterator

import msgspec
import pytest

from midstage.cluster.kubernetes.cluster import KubernetesCluster
from midstage.cluster.kubernetes.connection import JSON, MERGE, PROTOBUF, Connection
from midstage.cluster.kubernetes.events import Mark, events
from midstage.cluster.kubernetes.kinds import Told, kinds_of
from midstage.cluster.kubernetes.names import ADDRESS, APP, WORKLOAD
from midstage.cluster.objects import Pod, Reference, ReferenceKind
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.cluster import Amount, Phase
from midstage.contracts.errors import UnavailableError
from midstage.testkit.waiting import within
from tests.kubernetes import Kubernetes

from .apiserver import Json
from .bench import by_name, folded
from .on_kubernetes import namespaced

pytestmark = [pytest.mark.slow, pytest.mark.kubernetes]


class Hands:
    """What people do with kubectl in a namespace."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self.namespace = namespace

    def create(self, plural: str, told: dict[str, Json]) -> None:
        self._ask("POST", plural, told)

    def change(self, plural: str, name: str, told: dict[str, Json], *, part: str = "") -> None:
        self._ask("PATCH", f"{plural}/{name}{part}", told, content_type=MERGE)

    def delete(self, plural: str, name: str) -> None:
        self._ask("DELETE", f"{plural}/{name}", {"gracePeriodSeconds": 0})

    def pod(self, name: str, **spec: Json) -> None:
        """A pod that nobody runs: it waits for a node that there is not."""
        container: Json = {"name": "c", "image": "i", **spec}
        told: Json = {"containers": [container], "nodeSelector": {"there": "is-none"}}
        self.create("pods", {"metadata": {"name": name}, "spec": told})

    def _ask(
        self, method: str, path: str, told: Json, *, content_type: str = "application/json"
    ) -> None:
        where = f"/api/v1/namespaces/{self.namespace}/{path}"
        body = msgspec.json.encode(told)
        self._connection.request(method, where, body=body, content_type=content_type)


@pytest.fixture
def hands(kubernetes: Kubernetes) -> Iterator[Hands]:
    connection = Connection(name="hands", where=kubernetes.where)
    with namespaced(kubernetes) as namespace, contextlib.closing(connection):
        yield Hands(connection, namespace)


@pytest.fixture
def cluster(kubernetes: Kubernetes, hands: Hands) -> Iterator[KubernetesCluster]:
    with KubernetesCluster(
        name="k", where=kubernetes.where, namespace=hands.namespace
    ) as connected:
        yield connected


def own(cluster: KubernetesCluster, hands: Hands) -> dict[str, Pod]:
    pods = cluster.list().pods
    return {pod.name: pod for pod in pods if pod.namespace == hands.namespace}


def test_a_fingerprint_changes_with_the_content_and_tells_nothing_of_it(
    cluster: KubernetesCluster, hands: Hands
) -> None:
    config = Reference(kind=ReferenceKind.CONFIG, name="settings")
    secret = Reference(kind=ReferenceKind.SECRET, name="settings")
    assert cluster.references([config, secret]) == {}
    hands.create("configmaps", {"metadata": {"name": "settings"}, "data": {"a": "1"}})
    hands.create("secrets", {"metadata": {"name": "settings"}, "stringData": {"a": "hush"}})
    before = cluster.references([config, secret, config])
    assert set(before) == {config, secret}
    assert cluster.references([config, secret]) == before
    hands.change("secrets", "settings", {"stringData": {"a": "other"}})
    after = cluster.references([config, secret])
    assert after[secret] != before[secret]
    assert after[config] == before[config]
    assert "hush" not in "".join(before.values())


def test_pods_of_nobody_are_told_for_the_room_they_take(
    cluster: KubernetesCluster, hands: Hands
) -> None:
    hands.pod("stranger", resources={"requests": {"cpu": "250m", "memory": "1Gi"}})
    pod = own(cluster, hands)["stranger"]
    assert (pod.app, pod.workload) == ("", "")
    assert pod.requests == Amount(cpu=0.25, memory_mb=1024)


@pytest.fixture
def connection(kubernetes: Kubernetes) -> Iterator[Connection]:
    with contextlib.closing(Connection(name="both", where=kubernetes.where)) as connection:
        yield connection


def told_in(form: str, connection: Connection, hands: Hands) -> dict[str, Told]:
    """All pods of the namespace by name, as a watch in that form begins."""
    pods = kinds_of(hands.namespace)[-1]
    query: dict[str, str | int] = {
        "watch": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": 60,
    }
    path = f"/api/v1/namespaces/{hands.namespace}/pods"
    found: dict[str, Told] = {}
    with connection.stream(path, query=query, silent_s=60, accept=form) as stream:
        assert stream.content_type.startswith(form)
        for event in events("both", pods, stream):
            if isinstance(event, Mark):
                return found
            found[event.told.item.name] = event.told
    raise AssertionError("the watch did not begin")


def test_odd_pods_are_told_the_same_in_json_and_protobuf(
    hands: Hands, connection: Connection
) -> None:
    at = "2026-11-26T00:00:00Z"
    asks: Json = {
        "requests": {"cpu": "1500u", "memory": "1.5Gi", "nvidia.com/gpu": "1"},
        "limits": {"memory": "1800e6", "nvidia.com/gpu": "1"},
    }
    hands.create(
        "pods",
        {
            "metadata": {
                "name": "odd",
                "labels": {WORKLOAD: "ocr-1", APP: "ocr", "empty": ""},
                "annotations": {ADDRESS: "127.0.0.1:1", "note": "größer \N{SNOWMAN}"},
                "finalizers": ["example.com/stays"],
            },
            "spec": {
                "initContainers": [
                    {"name": "first", "image": "i", "resources": asks},
                    {"name": "side", "image": "i", "restartPolicy": "Always", "resources": asks},
                ],
                "containers": [
                    {"name": "other", "image": "i"},
                    {"name": "app", "image": "i", "ports": [{"name": "http", "containerPort": 1}]},
                ],
                "nodeSelector": {"there": "is-none"},
                "tolerations": [
                    {"key": "a", "value": "b", "effect": "NoSchedule"},
                    {"key": "c", "operator": "Exists"},
                ],
            },
        },
    )
    hands.pod("waits")
    hands.pod("ended")
    running: Json = {"running": {"startedAt": at}}
    cut: Json = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": None}}
    same: dict[str, Json] = {"image": "i", "imageID": ""}
    waiting: Json = {"waiting": {"reason": "CrashLoopBackOff"}}
    crashes: dict[str, Json] = {"state": waiting, "lastState": cut, "restartCount": 3}
    fine: dict[str, Json] = {"state": running, "started": True, "restartCount": 0}
    statuses: Json = [
        {"name": "app", "ready": False, **crashes, **same},
        {"name": "other", "ready": True, **fine, **same},
    ]
    unready: dict[str, Json] = {
        "type": "Ready",
        "status": "False",
        "reason": "Why",
        "message": "it is so",
    }
    status: Json = {
        "podIP": "fd00::1",
        "conditions": [{**unready, "lastTransitionTime": at}],
        "containerStatuses": statuses,
    }
    hands.change("pods", "odd", {"status": status}, part="/status")
    hands.change(
        "pods", "ended", {"status": {"phase": "Failed", "reason": "Evicted"}}, part="/status"
    )
    hands.delete("pods", "odd")

    def told_alike() -> dict[str, Told]:
        told = told_in(JSON, connection, hands)
        return told if told_in(PROTOBUF, connection, hands) == told else {}

    pods = within(60, told_alike)  # the scheduler says in its own time that they fit nowhere
    odd = pods["odd"].item
    assert isinstance(odd, Pod)
    assert (odd.phase, odd.restarts, odd.exit_code) == (Phase.STOPPING, 3, 137)
    assert odd.requests == Amount(cpu=0.002, memory_mb=1536, gpus=1)
    assert not pods["ended"].there
    assert pods["waits"].there


def test_a_pod_that_was_evicted_is_not_there(cluster: KubernetesCluster, hands: Hands) -> None:
    hands.pod("evicted")
    listing = cluster.list()
    watch = cluster.watch(listing.resource_version)
    evicted: Json = {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}
    hands.change("pods", "evicted", {"status": evicted}, part="/status")
    told = (  # a pod of the test before may still be on its way out
        (change.gone, change.pod.name)
        for change in watch
        if change.pod and change.pod.namespace == hands.namespace
    )
    assert next(each for each in told if each[0]) == (True, "evicted")
    assert own(cluster, hands) == {}
    hands.delete("pods", "evicted")
    hands.pod("other")
    assert next(told) == (False, "other")


def test_over_a_restart_of_the_api_server_nothing_is_lost(
    kubernetes: Kubernetes, cluster: KubernetesCluster, hands: Hands
) -> None:
    if kubernetes.own is None:
        pytest.skip("this Kubernetes is not ours to restart")
    hands.pod("before")
    listing = cluster.list()
    watch = cluster.watch(listing.resource_version)
    assert next(watch).resource_version >= listing.resource_version
    kubernetes.own.kill("apiserver")
    with pytest.raises((UnavailableError, ExpiredError)):
        for _ in watch:
            pass
    kubernetes.own.await_ready("apiserver")
    hands.pod("after")
    again = cluster.list()
    assert {"before", "after"} <= {pod.name for pod in again.pods}
    seen = []
    for change in cluster.watch(again.resource_version):
        seen.append(change)
        if len(seen) > 2 and by_name(folded(again, seen)) == by_name(cluster.list()):
            break
