"""Stories of a Deployment that somebody else made and that midstage takes over as it runs."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from midstage.cluster.kubernetes import names
from midstage.cluster.kubernetes.cluster import KubernetesCluster
from midstage.cluster.kubernetes.connection import APPLY, Connection
from midstage.cluster.objects import ADOPTED, Pod, Workload
from midstage.cluster.protocol import ConflictError
from midstage.contracts.errors import RefusedError
from midstage.testkit.waiting import within
from tests.kubernetes import Kubernetes

from .bench import SMALL
from .daemon import runs
from .on_kubernetes import namespaced

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]
WEB = "web"
APPS = "/apis/apps/v1/namespaces/{}/deployments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A namespace, midstage's view of it, and a team with kubectl."""

    cluster: KubernetesCluster
    connection: Connection
    namespace: str

    def ask(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        sent = None if body is None else msgspec.json.encode(body)
        return msgspec.json.decode(self.connection.request(method, path, body=sent, **more))

    def deployment(self, name: str = WEB) -> Any:
        return self.ask("GET", f"{APPS.format(self.namespace)}/{name}")

    def pods(self, name: str = WEB) -> list[Any]:
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        return list(self.ask("GET", path, query={"labelSelector": f"run={name}"})["items"])

    def serves(self, name: str = WEB, *, replicas: int = 2) -> None:
        """The team applies a Deployment of its own, with Helm's label, and it gets ready."""
        self.ask(
            "PATCH",
            f"{APPS.format(self.namespace)}/{name}",
            theirs(name, replicas),
            query={"fieldManager": "kubectl"},
            content_type=APPLY,
        )
        within(60, lambda: self.deployment(name)["status"].get("readyReplicas") == replicas)

    def workload(self, name: str = WEB) -> Workload:
        (found,) = [each for each in self.cluster.list().workloads if each.name == name]
        return found

    def crew(self, name: str = WEB) -> list[Pod]:
        return [pod for pod in self.cluster.list().pods if pod.workload == name]


def theirs(name: str, replicas: int) -> Mapping[str, object]:
    template = runs("serve")
    container = {
        "name": "main",
        "image": "acme/web:1",
        "command": list(template.command),
        "env": [
            {"name": "PORT", "value": "8080"},
            {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            *({"name": key, "value": value} for key, value in template.env.items()),
        ],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {
            "httpGet": {"path": template.readiness.path, "port": "http"},
            "periodSeconds": 1,
        },
        "resources": {"requests": {"cpu": str(SMALL.cpu), "memory": f"{SMALL.memory_mb}Mi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {names.MANAGED_BY: "Helm", "team": "web"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"run": name, names.MANAGED_BY: "Helm"}},
            "template": {
                "metadata": {"labels": {"run": name, names.MANAGED_BY: "Helm"}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }


@pytest.fixture
def site(kubernetes: Kubernetes) -> Iterator[Site]:
    connection = Connection(name="test", where=kubernetes.where)
    with (
        contextlib.closing(connection),
        namespaced(kubernetes) as namespace,
        KubernetesCluster(name="test", where=kubernetes.where, namespace=namespace) as cluster,
    ):
        yield Site(cluster=cluster, connection=connection, namespace=namespace)


def running(pods: list[Any]) -> set[tuple[str, int]]:
    return {
        (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in pods
    }


def test_what_somebody_else_made_is_told_as_ours_and_runs_on_as_it_is(site: Site) -> None:
    site.serves()
    before, pods = site.deployment(), site.pods()
    assert not site.cluster.list().workloads
    since = site.cluster.list().resource_version
    adopted = site.cluster.adopt(WEB, app="chat")
    assert (adopted.app, adopted.revision, adopted.replicas) == ("chat", ADOPTED, 2)
    after = site.deployment()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["metadata"]["labels"]["team"] == "web"
    assert running(site.pods()) == running(pods)
    managers = {each["manager"]: each for each in after["metadata"]["managedFields"]}
    assert "f:spec" not in managers[names.DEPLOY_MANAGER]["fieldsV1"]
    assert "f:spec" in managers["kubectl"]["fieldsV1"]
    told = site.workload()
    assert (told.app, told.revision, told.drift, told.ready) == ("chat", ADOPTED, (), 2)
    assert {(pod.app, pod.revision, pod.ready) for pod in site.crew()} == {("chat", ADOPTED, True)}
    assert all(pod.address for pod in site.crew())
    left = {WEB, *(pod["metadata"]["name"] for pod in pods)}
    for change in site.cluster.watch(since):  # which tells of nodes and of others' pods too
        left -= {change.item.name} if change.item else set()
        if not left:
            break


def test_adopted_again_marks_what_it_has_made_since(site: Site) -> None:
    site.serves()
    first = site.cluster.adopt(WEB, app="chat")
    gone = site.crew()[0]
    site.ask("DELETE", f"/api/v1/namespaces/{site.namespace}/pods/{gone.name}")
    within(60, lambda: gone.name not in {pod.name for pod in site.crew()})
    within(60, lambda: len(site.pods()) == 2)
    assert len(site.crew()) == 1  # the new one is not marked yet
    again = site.cluster.adopt(WEB, app="chat")
    assert again.uid == first.uid
    assert len(site.crew()) == 2


def test_it_is_made_smaller_by_its_count_alone_and_by_those_pods_that_may_end(site: Site) -> None:
    site.serves()
    site.cluster.adopt(WEB, app="chat")
    template = site.deployment()["spec"]["template"]
    first, second = site.crew()
    known = site.workload()
    marked = site.cluster.drain_pod(first.name, uid=first.uid, draining=True)
    with pytest.raises(ConflictError, match="would end and was not to"):
        site.cluster.scale_workload(
            WEB,
            replicas=1,
            expected=known.resource_version,
            ending={(second.uid, second.resource_version)},
        )
    scaled = site.cluster.scale_workload(
        WEB,
        replicas=1,
        expected=known.resource_version,
        ending={(marked.uid, marked.resource_version)},
    )
    assert (scaled.replicas, scaled.revision) == (1, ADOPTED)
    within(60, lambda: [pod.uid for pod in site.crew()] == [second.uid])
    assert site.deployment()["spec"]["template"] == template
    known = site.workload()
    with pytest.raises(ConflictError, match="would end and was not to"):
        site.cluster.delete_workload(WEB, expected=known.resource_version, ending=set())
    site.cluster.delete_workload(WEB, expected=known.resource_version)
    within(60, lambda: not site.crew())


def test_a_pod_that_is_not_marked_yet_does_not_end_unasked(site: Site) -> None:
    site.serves(replicas=1)
    site.cluster.adopt(WEB, app="chat")
    (only,) = site.crew()
    path = f"/api/v1/namespaces/{site.namespace}/pods/{only.name}"
    unmarked = {"metadata": {"labels": {names.WORKLOAD: None}}}
    site.ask("PATCH", path, unmarked, content_type="application/merge-patch+json")
    assert not site.crew()
    with pytest.raises(ConflictError, match="would end and was not to"):
        site.cluster.delete_workload(WEB, expected=site.workload().resource_version, ending=set())


def test_what_is_not_there_ours_or_held_by_others_is_not_adopted(site: Site) -> None:
    def refused(why: str, *, status: int = 409, app: str = "chat") -> None:
        with pytest.raises(RefusedError, match=why) as refusal:
            site.cluster.adopt(WEB, app=app)
        assert refusal.value.status == status

    refused("there is no deployment web", status=404)
    site.serves()
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web-scaler"},
        "spec": {
            "maxReplicas": 4,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WEB},
        },
    }
    scalers = f"/apis/autoscaling/v2/namespaces/{site.namespace}/horizontalpodautoscalers"
    site.ask("POST", scalers, scaler)
    refused("HorizontalPodAutoscaler web-scaler")
    assert not site.cluster.list().workloads
    site.ask("DELETE", f"{scalers}/web-scaler")
    site.cluster.adopt(WEB, app="chat")
    refused("is application chat's already", app="other")


def test_what_was_adopted_is_never_put(site: Site) -> None:
    site.serves(replicas=1)
    adopted = site.cluster.adopt(WEB, app="chat")
    with pytest.raises(RefusedError, match="its count alone is set"):
        site.cluster.put_workload(adopted, expected=adopted.resource_version)


def test_one_that_is_changing_its_pods_is_left_alone(site: Site) -> None:
    site.serves(replicas=1)
    nowhere = {"spec": {"template": {"spec": {"nodeSelector": {"is": "nowhere"}}}}}
    path = f"{APPS.format(site.namespace)}/{WEB}"
    site.ask("PATCH", path, nowhere, content_type="application/merge-patch+json")
    with pytest.raises(RefusedError, match="is changing its pods just now"):
        site.cluster.adopt(WEB, app="chat")
    assert not site.cluster.list().workloads
