"""Where a Kubernetes API serves what is needed: versions are asked for, never assumed.

Of each group the newest version counts that is both served and known here. What is missing is named
with what is served instead, when it is needed and not before.
"""

import threading
import time
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from midstage.cluster.kubernetes.connection import Connection
from midstage.contracts.errors import RefusedError, UnavailableError

_FRESH_S = 600.0
_MISSING_FRESH_S = 15.0

_KNOWN = {
    "": ("v1",),
    "apps": ("v1",),
    "discovery.k8s.io": ("v1", "v1beta1"),
    "policy": ("v1",),
    "autoscaling": ("v2", "v1"),
    "coordination.k8s.io": ("v1", "v1beta1"),
    "metrics.k8s.io": ("v1", "v1beta1"),
    "custom.metrics.k8s.io": ("v1beta2", "v1beta1"),
    "external.metrics.k8s.io": ("v1beta1",),
}
"""The versions of each group whose fields this package can read and write, newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of objects: its group, its plural name in paths, its kind in manifests."""

    group: str
    plural: str
    kind: str
    namespaced: bool = True


NODES = Resource(group="", plural="nodes", kind="Node", namespaced=False)
PODS = Resource(group="", plural="pods", kind="Pod")
SERVICES = Resource(group="", plural="services", kind="Service")
SECRETS = Resource(group="", plural="secrets", kind="Secret")
CONFIGS = Resource(group="", plural="configmaps", kind="ConfigMap")
EVENTS = Resource(group="", plural="events", kind="Event")
CLAIMS = Resource(group="", plural="persistentvolumeclaims", kind="PersistentVolumeClaim")
QUOTAS = Resource(group="", plural="resourcequotas", kind="ResourceQuota")
LIMITS = Resource(group="", plural="limitranges", kind="LimitRange")
DEPLOYMENTS = Resource(group="apps", plural="deployments", kind="Deployment")
ENDPOINT_SLICES = Resource(group="discovery.k8s.io", plural="endpointslices", kind="EndpointSlice")
BUDGETS = Resource(group="policy", plural="poddisruptionbudgets", kind="PodDisruptionBudget")
AUTOSCALERS = Resource(
    group="autoscaling", plural="horizontalpodautoscalers", kind="HorizontalPodAutoscaler"
)
LEASES = Resource(group="coordination.k8s.io", plural="leases", kind="Lease")
POD_METRICS = Resource(group="metrics.k8s.io", plural="pods", kind="PodMetrics")
NODE_METRICS = Resource(
    group="metrics.k8s.io", plural="nodes", kind="NodeMetrics", namespaced=False
)
CUSTOM_METRICS = Resource(group="custom.metrics.k8s.io", plural="*", kind="MetricValueList")
EXTERNAL_METRICS = Resource(
    group="external.metrics.k8s.io", plural="*", kind="ExternalMetricValueList"
)


class _Version(msgspec.Struct, frozen=True, kw_only=True):
    version: str


class _Group(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    versions: tuple[_Version, ...] = ()


class _Groups(msgspec.Struct, frozen=True, kw_only=True):
    groups: tuple[_Group, ...] = ()


class _Core(msgspec.Struct, frozen=True, kw_only=True):
    versions: tuple[str, ...] = ()


_GROUPS = msgspec.json.Decoder(_Groups)
_CORE = msgspec.json.Decoder(_Core)


class Discovery:
    """What one API serves; asked when first needed, and again after a while. Thread-safe."""

    def __init__(self, connection: Connection) -> None:
        """Ask nothing yet."""
        self._connection = connection
        self._lock = threading.Lock()
        self._served: dict[str, tuple[str, ...]] = {}
        self._asked_at: float | None = None

    def api_version(self, resource: Resource) -> str:
        """As manifests say it: ``apps/v1``, ``v1``; UnavailableError names what is missing."""
        version = self._version(resource.group)
        return f"{resource.group}/{version}" if resource.group else version

    def path(
        self, resource: Resource, *, namespace: str | None = None, name: str = "", part: str = ""
    ) -> str:
        """The path of a kind (without ``namespace``: in all), an object, or a ``part`` of it."""
        version = self.api_version(resource)
        steps = ["apis" if resource.group else "api", version]
        if resource.namespaced and namespace is not None:
            steps += ["namespaces", quote(namespace, safe="")]
        steps.append(resource.plural)
        steps += [quote(step, safe="") for step in (name, part) if step]
        return "/" + "/".join(steps)

    def _version(self, group: str) -> str:
        with self._lock:
            found = self._newest(group, _FRESH_S) or self._newest(group, _MISSING_FRESH_S)
            served = self._served.get(group, ())
        if found:
            return found
        wanted = " or ".join(f"{group or 'core'}/{version}" for version in _KNOWN[group])
        there = f"only {', '.join(served)} of it" if served else "nothing of that group"
        raise UnavailableError(f"{self._connection.name} serves no {wanted}, {there}")

    def _newest(self, group: str, fresh_s: float) -> str:
        """The newest version that both sides know, as asked no longer than ``fresh_s`` ago."""
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at > fresh_s:
            self._served = self._asked()
            self._asked_at = now
        served = self._served.get(group, ())
        return next((version for version in _KNOWN[group] if version in served), "")

    def _asked(self) -> dict[str, tuple[str, ...]]:
        ask, read = self._connection.request, self._connection.decoded
        try:
            core = read(ask("GET", "/api"), _CORE)
            groups = read(ask("GET", "/apis"), _GROUPS).groups
        except RefusedError as e:
            raise UnavailableError(
                f"{self._connection.name} does not say what it serves: {e}"
            ) from e
        named = {group.name: tuple(v.version for v in group.versions) for group in groups}
        return {"": core.versions, **named}
