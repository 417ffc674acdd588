"""The objects of a cluster as its Protocol speaks of them; values, whatever cluster it is.

A workload is so many replicas of one revision of one application: the cluster makes and replaces
pods until they are there. Each object has a ``uid`` (new when it is made anew) and a
``resource_version`` that grows with each change in the whole cluster.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from midstage.contracts.apps import Probe, Toleration
from midstage.contracts.cluster import Amount, EndpointState, Phase, Taint
from midstage.contracts.running import Check, Disruption, Source, Spread, Volume

ADOPTED = "adopted"
"""The revision of a workload that somebody else made: what it runs midstage neither knows nor sets.
"""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all objects; unknown fields are ignored."""


class Template(Value, frozen=True, kw_only=True):
    """What each pod of a workload runs and needs; ``$(PORT)`` and ``env`` as in the spec."""

    image: str | None = None
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    env_from: dict[str, Source] = {}
    volumes: tuple[Volume, ...] = ()
    pull_secrets: tuple[str, ...] = ()
    requests: Amount = Amount()
    readiness: Probe = Probe()
    liveness: Probe | None = None
    checks: tuple[Check, ...] = ()
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    spread: tuple[Spread, ...] = ()
    priority: str | None = None
    grace_s: float = 10.0


class Workload(Value, frozen=True, kw_only=True):
    """So many ``replicas`` of one ``revision``; ``ready`` is the cluster's own count.

    ``spec_version`` and ``scale_version``: the versions in the logs that its writer carried out
    (in Kubernetes annotations). ``disruption`` holds for all pods of the application.
    ``tolerates``: fields that somebody else has set are left as they are; ``drift``, told by the
    cluster alone, names them as ``manager: path``; ``reason``, likewise, says why it makes no pods
    now: quota, admission.
    """

    name: str
    namespace: str = "default"
    app: str
    revision: str
    template: Template
    replicas: int
    spec_version: int = 0
    scale_version: int = 0
    disruption: Disruption | None = None
    tolerates: bool = False
    drift: tuple[str, ...] = ()
    reason: str = ""
    ready: int = 0
    uid: str = ""
    resource_version: int = 0


class Node(Value, frozen=True, kw_only=True):
    """A node: what it has in all, whether it takes pods, and whether its own shall move away."""

    name: str
    ready: bool = True
    schedulable: bool = True
    emptied: bool = False
    reason: str = ""
    capacity: Amount
    labels: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    uid: str = ""
    resource_version: int = 0


class Pod(Value, frozen=True, kw_only=True):
    """A pod; the fields mean what ``contracts.cluster.PodObserved`` says."""

    name: str
    namespace: str = "default"
    app: str
    revision: str
    workload: str
    node: str = ""
    phase: Phase
    ready: bool = False
    draining: bool = False
    address: str = ""
    reason: str = ""
    message: str = ""
    restarts: int = 0
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
    uid: str = ""
    resource_version: int = 0


class Endpoints(Value, frozen=True, kw_only=True):
    """One slice of the addresses behind a service of ours; a local cluster has none."""

    name: str
    namespace: str = "default"
    app: str
    service: str
    endpoints: tuple[EndpointState, ...] = ()
    uid: str = ""
    resource_version: int = 0


Item = Node | Pod | Workload | Endpoints


class Change(Value, frozen=True, kw_only=True):
    """One change of a watch, exactly one of the objects; ``gone``: it was as told, and is not now.

    Without an object it is a bookmark: nothing changed up to ``resource_version``.
    """

    resource_version: int
    gone: bool = False
    node: Node | None = None
    pod: Pod | None = None
    workload: Workload | None = None
    endpoints: Endpoints | None = None

    @property
    def item(self) -> Item | None:
        """The object; None for a bookmark."""
        return self.node or self.pod or self.workload or self.endpoints


class Listing(Value, frozen=True, kw_only=True):
    """Everything at one moment; a watch from ``resource_version`` on misses nothing."""

    resource_version: int
    nodes: tuple[Node, ...] = ()
    pods: tuple[Pod, ...] = ()
    workloads: tuple[Workload, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()


class PodUse(Value, frozen=True, kw_only=True):
    """What one pod uses now: cores, MiB, share of its GPUs' time (None: unknown)."""

    name: str
    namespace: str = "default"
    node: str
    cpu: float
    memory_mb: float
    gpu: float | None = None


class NodeUse(Value, frozen=True, kw_only=True):
    """What one node uses now, its own processes with it: cores, MiB, share of its GPUs' time."""

    name: str
    cpu: float
    memory_mb: float
    gpu: float | None = None


class QuotaUse(Value, frozen=True, kw_only=True):
    """What a quota for all pods of a namespace lets them have, and what is used of it.

    By Kubernetes' names (``requests.cpu``, ``pods``), in cores, bytes, GPUs, pieces.
    """

    name: str
    namespace: str = "default"
    hard: dict[str, float] = {}
    used: dict[str, float] = {}


class FieldChange(Value, frozen=True, kw_only=True):
    """One field as it is and as it would be, both as JSON text; empty: it is not there."""

    path: str
    before: str = ""
    after: str = ""


class Preview(Value, frozen=True, kw_only=True):
    """What a write would do, asked of the cluster itself; nothing was changed.

    ``beside``: what of that which goes with the workload (service, budget) would change from how it
    is there now. ``conflicts``: fields that somebody else has set, as ``manager: path``.
    ``refusals``: why the cluster would not take it or its pods: quota, limit ranges, admission, in
    its own words.
    """

    changes: tuple[FieldChange, ...] = ()
    beside: tuple[FieldChange, ...] = ()
    conflicts: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


class ReferenceKind(StrEnum):
    """What an application may refer to; the cluster has its content, midstage never reads it."""

    SECRET = "secret"
    CONFIG = "config"


class Reference(Value, frozen=True, kw_only=True):
    """A secret or config by name, in the namespace of the workloads."""

    kind: ReferenceKind
    name: str


class Lease(Value, frozen=True, kw_only=True):
    """Who may write facts of this cluster: ``epoch`` grows each time that the holder changes."""

    holder: str
    epoch: int
    expires_at: datetime
