"""What the clusters are: nodes, pods, workloads, endpoints, their use, and whether one answers.

Written by control to ``midstage.cluster.v1`` (each change) and ``midstage.inventory.v1`` (the
newest of each key), keyed ``cluster/kind/namespace/name``; read by deploy, hpa and gateway. Every
fact carries the epoch of the lease under which it was written: of each object the highest epoch
and version counts. ``observed_at`` is when control saw it; unreachable is a fact, not "all gone".
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from midstage.contracts.apps import Toleration
from midstage.contracts.fact import Fact, Name

NODE_OBSERVED = "dev.midstage.node.observed.v1"
POD_OBSERVED = "dev.midstage.pod.observed.v1"
WORKLOAD_OBSERVED = "dev.midstage.workload.observed.v1"
ENDPOINTS_OBSERVED = "dev.midstage.endpoints.observed.v1"
OBJECT_GONE = "dev.midstage.object.gone.v1"
POD_USED = "dev.midstage.pod.used.v1"
NODE_USED = "dev.midstage.node.used.v1"
QUOTA_USED = "dev.midstage.quota.used.v1"
CLUSTER_REACHED = "dev.midstage.cluster.reached.v1"
CLUSTER_UNREACHABLE = "dev.midstage.cluster.unreachable.v1"

Count = Annotated[int, msgspec.Meta(ge=0)]


class Kind(StrEnum):
    """The kinds of things in a cluster; the second part of the key."""

    CLUSTER = "cluster"
    NODE = "node"
    POD = "pod"
    WORKLOAD = "workload"
    ENDPOINTS = "endpoints"
    QUOTA = "quota"


class Phase(StrEnum):
    """Where a pod is in its life."""

    PENDING = "pending"  # not on a node yet; reason and message are the scheduler's
    STARTING = "starting"  # its process runs or is about to; it was never ready
    RUNNING = "running"  # it was ready once
    BACKOFF = "backoff"  # its process ended; the next start waits
    STOPPING = "stopping"  # told to end
    LOST = "lost"  # its node is gone; what became of it is not known


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """An amount of a node's room: cores, MiB, whole GPUs."""

    cpu: float = 0.0
    memory_mb: int = 0
    gpus: int = 0


class Taint(msgspec.Struct, frozen=True, kw_only=True):
    """Keeps pods off a node that do not tolerate it."""

    key: Name
    value: str = ""


class Observed(Fact, frozen=True, kw_only=True):
    """What every fact about an object of a cluster carries."""

    cluster: Name
    name: Name
    namespace: str = ""
    epoch: Count
    observed_at: datetime
    uid: str = ""
    resource_version: int = 0


class NodeObserved(Observed, frozen=True, kw_only=True):
    """A node as it is now; ``capacity`` is all of it, not what is free.

    ``emptied``: its pods shall move elsewhere, where there is room, before they end here.
    """

    ready: bool
    schedulable: bool = True
    emptied: bool = False
    reason: str = ""
    capacity: Amount
    labels: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()


class PodObserved(Observed, frozen=True, kw_only=True):
    """A pod as it is now.

    ``ready`` is the readiness probe's verdict; requests may go to ``address`` (host:port) only
    while it is ready and not ``draining``. ``reason`` is one word, ``message`` the whole truth: the
    scheduler's words, an exit code with the last lines. ``node`` is empty before it has one; until
    then ``node_selector`` and ``tolerations`` say which ones would take it. ``priority`` is what
    the scheduler goes by (None: it is not known), and came from ``priority_class`` (empty: from
    none); ``preempts``: for want of room it has pods of less evicted.
    """

    app: str = ""
    revision: str = ""
    workload: str = ""
    node: str = ""
    phase: Phase
    ready: bool = False
    draining: bool = False
    address: str = ""
    reason: str = ""
    message: str = ""
    restarts: Count = 0
    exit_code: int | None = None
    requests: Amount = Amount()
    created_at: datetime
    started_at: datetime | None = None
    ready_at: datetime | None = None
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    priority: int | None = None
    priority_class: str = ""
    preempts: bool = True


class WorkloadObserved(Observed, frozen=True, kw_only=True):
    """So many replicas of one revision, as the cluster was told.

    ``spec_version`` and ``scale_version`` are the versions in ``midstage.apps.v1`` and
    ``midstage.scaling.v1`` that whoever wrote it carried out. ``drift`` names each field of ours
    that somebody else has set, and who: ``manager: path``. ``reason``: why the cluster makes no
    pods for it now (quota, admission), in its own words; else empty.
    """

    app: str
    revision: str
    replicas: Count
    ready: Count = 0
    spec_version: Count = 0
    scale_version: Count = 0
    drift: tuple[str, ...] = ()
    reason: str = ""


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """One address (host:port) behind a service, with the cluster's own verdicts.

    ``serving`` without ``ready``: it ends, and still answers (``terminating``).
    """

    address: str
    ready: bool = False
    serving: bool = False
    terminating: bool = False
    pod: str = ""
    node: str = ""


class EndpointsObserved(Observed, frozen=True, kw_only=True):
    """Where the cluster itself sends requests of a service: one slice of its addresses."""

    app: str = ""
    service: str = ""
    endpoints: tuple[EndpointState, ...] = ()


class ObjectGone(Observed, frozen=True, kw_only=True):
    """The object is not there any more; ``app`` where it was of one."""

    kind: Kind
    app: str = ""


class PodUsed(Observed, frozen=True, kw_only=True):
    """What a pod uses now, measured: cores, MiB, the share of its GPUs' time (None: unknown).

    ``gpu_memory_mb``: MiB of its GPUs' memory, of ``gpu_memory_total_mb`` that they have together.
    """

    app: str = ""
    cpu: float
    memory_mb: float
    gpu: float | None = None
    gpu_memory_mb: float | None = None
    gpu_memory_total_mb: float | None = None


class NodeUsed(Observed, frozen=True, kw_only=True):
    """What a node uses, measured: cores, MiB, the share of its GPUs' time (None: unknown).

    ``gpu_memory_mb``, ``gpu_memory_total_mb`` as of a pod.
    """

    cpu: float
    memory_mb: float
    gpu: float | None = None
    gpu_memory_mb: float | None = None
    gpu_memory_total_mb: float | None = None


class QuotaUsed(Observed, frozen=True, kw_only=True):
    """What a quota lets all pods of its namespace have together, and what is used of it.

    By the quota's own names (``requests.cpu``, ``pods``), in cores, bytes, GPUs, pieces. What
    ``used`` does not say is not used. Quotas for some pods only are not told.
    """

    hard: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = {}
    used: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = {}


class ClusterReached(Observed, frozen=True, kw_only=True):
    """The cluster answers, and all that is known of it has been written; each 5 s."""

    objects: Count = 0


class ClusterUnreachable(Observed, frozen=True, kw_only=True):
    """The cluster can't be asked since ``since``: what is known of it is old, not gone."""

    since: datetime
    reason: str = ""


ClusterFact = (
    NodeObserved
    | PodObserved
    | WorkloadObserved
    | EndpointsObserved
    | ObjectGone
    | PodUsed
    | NodeUsed
    | QuotaUsed
    | ClusterReached
    | ClusterUnreachable
)


def key_of(*, cluster: str, kind: Kind, namespace: str, name: str) -> str:
    """The key of everything that is said of one object."""
    return f"{cluster}/{kind.value}/{namespace}/{name}"
