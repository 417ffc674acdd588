"""The metrics API (metrics.k8s.io/v1beta1): what the processes of pods use, as measured.

A node uses what its pods use. Only what was looked at twice is told: unknown is not zero. Lists can
be narrowed by labels, by equality alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from midstage.local.kubelet.cluster import Cluster
from midstage.local.kubelet.shapes import Pod
from midstage.local.kubelet.standing import moment
from midstage.local.pods.usage import Meter, Used

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
JsonObject = Mapping[str, object]
_SERVICE = "midstage-metrics"
_NAMESPACE = "kube-system"
_APPLY = "application/apply-patch+yaml"
_MANAGER = "?fieldManager=midstage-kubelet&force=true"


class SelectorError(Exception):
    """A label selector that is not one of equalities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What is used now by ``pods`` on ``nodes``; ``now`` gives the time of day."""

    meter: Meter
    nodes: Callable[[], Sequence[str]]
    pods: Callable[[], Sequence[Pod]]
    now: Callable[[], datetime]

    def of_pods(self, *, namespace: str | None, selector: str) -> JsonObject:
        """A PodMetricsList; SelectorError."""
        wanted = _selector(selector)
        items = [
            told
            for pod in self.pods()
            if namespace in (None, pod.metadata.namespace)
            and wanted.items() <= pod.metadata.labels.items()
            and (told := self._pod(pod)) is not None
        ]
        return _list("PodMetricsList", items)

    def of_pod(self, namespace: str, name: str) -> JsonObject | None:
        """A PodMetrics; None where nothing is known."""
        for pod in self.pods():
            if (pod.metadata.namespace, pod.metadata.name) == (namespace, name):
                return self._pod(pod)
        return None

    def of_nodes(self) -> JsonObject:
        """A NodeMetricsList."""
        return _list("NodeMetricsList", [self._node(name) for name in self.nodes()])

    def of_node(self, name: str) -> JsonObject | None:
        """A NodeMetrics; None where there is no such node."""
        return self._node(name) if name in self.nodes() else None

    def _pod(self, pod: Pod) -> JsonObject | None:
        if (used := self.meter.used(pod.metadata.uid)) is None:
            return None
        labels = pod.metadata.labels
        container = {"name": pod.spec.containers[0].name, "usage": _usage([used])}
        return {
            **self._head("PodMetrics", pod.metadata.name, [used]),
            "metadata": {
                "name": pod.metadata.name,
                "namespace": pod.metadata.namespace,
                "labels": labels,
                "creationTimestamp": moment(self.now()),
            },
            "containers": [container],
        }

    def _node(self, name: str) -> JsonObject:
        uses = [
            used
            for pod in self.pods()
            if pod.spec.node_name == name
            and (used := self.meter.used(pod.metadata.uid)) is not None
        ]
        return {**self._head("NodeMetrics", name, uses), "usage": _usage(uses)}

    def _head(self, kind: str, name: str, uses: Sequence[Used]) -> dict[str, object]:
        now = moment(self.now())
        window_s = max((each.over_s for each in uses), default=1.0)
        return {
            "kind": kind,
            "apiVersion": f"{GROUP}/{VERSION}",
            "metadata": {"name": name, "creationTimestamp": now},
            "timestamp": now,
            "window": f"{window_s:g}s",
        }


def discovery(path: str) -> JsonObject | None:
    """What a server of this API says of itself at ``path``; None: it says nothing there."""
    version = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
    group = {"name": GROUP, "versions": [version], "preferredVersion": version}
    known: Mapping[str, JsonObject] = {
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]},
        f"/apis/{GROUP}": {"kind": "APIGroup", "apiVersion": "v1", **group},
        f"/apis/{GROUP}/{VERSION}": {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{GROUP}/{VERSION}",
            "resources": [
                _resource("nodes", "NodeMetrics", namespaced=False),
                _resource("pods", "PodMetrics", namespaced=True),
            ],
        },
    }
    return known.get(path)


async def announce(cluster: Cluster, *, port: int) -> None:
    """Let the API server ask ``port`` of this machine for metrics; RefusedError, Unavailable."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": _SERVICE, "namespace": _NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    name = f"{VERSION}.{GROUP}"
    api_service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name},
        "spec": {
            "group": GROUP,
            "version": VERSION,
            "service": {"name": _SERVICE, "namespace": _NAMESPACE, "port": port},
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }
    path = f"/api/v1/namespaces/{_NAMESPACE}/services/{_SERVICE}{_MANAGER}"
    await cluster.merge(path, service, kind=_APPLY)
    path = f"/apis/apiregistration.k8s.io/v1/apiservices/{name}{_MANAGER}"
    await cluster.merge(path, api_service, kind=_APPLY)


def _usage(uses: Iterable[Used]) -> JsonObject:
    known = list(uses)
    return {
        "cpu": f"{round(sum(each.cpu for each in known) * 1e9)}n",
        "memory": f"{round(sum(each.memory_mb for each in known) * 1024)}Ki",
    }


def _selector(text: str) -> Mapping[str, str]:
    wanted = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.replace("==", "=").partition("=")
        if not equals or name.endswith("!") or set("() ") & set(part):
            raise SelectorError(f"{part!r}: only label=value is known here")
        wanted[name] = value
    return wanted


def _list(kind: str, items: Sequence[JsonObject]) -> JsonObject:
    return {"kind": kind, "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}


def _resource(name: str, kind: str, *, namespaced: bool) -> JsonObject:
    return {
        "name": name,
        "singularName": "",
        "namespaced": namespaced,
        "kind": kind,
        "verbs": ["get", "list"],
    }
