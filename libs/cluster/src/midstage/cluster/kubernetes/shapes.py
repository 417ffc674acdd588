"""The few fields of Kubernetes' objects that are read; everything else is dropped as it is decoded.

Field names are Kubernetes' own in snake case. A field that the API writes as null where it is empty
is read as None.
"""

from datetime import datetime

import msgspec

Strings = dict[str, str]


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """The base of all shapes; unknown fields are skipped without being made."""


class Managed(Shape, frozen=True, kw_only=True):
    """One manager's entry: which fields it owns, not decoded before somebody asks."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fields_v1: msgspec.Raw = msgspec.field(name="fieldsV1", default=msgspec.Raw(b"{}"))


class Meta(Shape, frozen=True, kw_only=True):
    """What every object says of itself."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = "0"
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: Strings | None = None
    annotations: Strings | None = None


class Owner(Shape, frozen=True, kw_only=True):
    """What made an object and, as its ``controller``, keeps it as it is."""

    kind: str = ""
    name: str = ""
    controller: bool = False


class OwnedMeta(Meta, frozen=True, kw_only=True):
    """The same with who owns which field; of workloads alone, it is most of an object's bytes."""

    managed_fields: tuple[Managed, ...] | None = None
    owner_references: tuple[Owner, ...] | None = None


class ListMeta(Shape, frozen=True, kw_only=True):
    """Of a list or page: its version, and where the next page begins (empty: it was the last)."""

    resource_version: str = "0"
    continue_: str = msgspec.field(name="continue", default="")
    remaining_item_count: int | None = None


class Condition(Shape, frozen=True, kw_only=True):
    """One condition of a node, pod or deployment."""

    type: str
    status: str = "Unknown"
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None


class Taint(Shape, frozen=True, kw_only=True):
    """A node's taint."""

    key: str
    value: str = ""
    effect: str = ""


class NodeSpec(Shape, frozen=True, kw_only=True):
    """What was set of a node."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] | None = None


class NodeStatus(Shape, frozen=True, kw_only=True):
    """What the node said of itself; ``allocatable`` is what pods may have of its capacity."""

    allocatable: Strings | None = None
    capacity: Strings | None = None
    conditions: tuple[Condition, ...] | None = None


class Node(Shape, frozen=True, kw_only=True):
    """A node."""

    metadata: Meta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class Running(Shape, frozen=True, kw_only=True):
    """A container's process that runs."""

    started_at: datetime | None = None


class Waiting(Shape, frozen=True, kw_only=True):
    """Why a container's process does not run."""

    reason: str = ""
    message: str = ""


class Terminated(Shape, frozen=True, kw_only=True):
    """How a container's process ended."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class State(Shape, frozen=True, kw_only=True):
    """At most one of the three; none: it was not begun yet."""

    running: Running | None = None
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Shape, frozen=True, kw_only=True):
    """How one container fares."""

    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: State = State()
    last_state: State = State()


class PodStatus(Shape, frozen=True, kw_only=True):
    """How a pod fares."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(name="podIP", default="")
    conditions: tuple[Condition, ...] | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class Port(Shape, frozen=True, kw_only=True):
    """A port of a container."""

    name: str = ""
    container_port: int = 0


class Resources(Shape, frozen=True, kw_only=True):
    """What a container asks for."""

    requests: Strings | None = None
    limits: Strings | None = None


class PodContainer(Shape, frozen=True, kw_only=True):
    """What is read of a pod's container."""

    name: str = ""
    ports: tuple[Port, ...] | None = None
    resources: Resources = Resources()
    restart_policy: str = ""


class PodSpec(Shape, frozen=True, kw_only=True):
    """What is read of a pod's spec; tolerations not decoded before somebody asks."""

    node_name: str = ""
    containers: tuple[PodContainer, ...] = ()
    init_containers: tuple[PodContainer, ...] | None = None
    overhead: Strings | None = None
    node_selector: Strings | None = None
    tolerations: msgspec.Raw = msgspec.Raw(b"[]")
    priority_class_name: str = ""
    priority: int | None = None
    preemption_policy: str = ""


class Pod(Shape, frozen=True, kw_only=True):
    """A pod."""

    metadata: Meta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class SliceConditions(Shape, frozen=True, kw_only=True):
    """The verdicts on one endpoint; null: not known, which counts as ready."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Target(Shape, frozen=True, kw_only=True):
    """The object behind an endpoint."""

    kind: str = ""
    name: str = ""


class SliceEndpoint(Shape, frozen=True, kw_only=True):
    """One endpoint of a slice."""

    addresses: tuple[str, ...] = ()
    conditions: SliceConditions = SliceConditions()
    target_ref: Target | None = None
    node_name: str | None = None


class SlicePort(Shape, frozen=True, kw_only=True):
    """One port of a slice."""

    name: str | None = None
    port: int | None = None


class EndpointSlice(Shape, frozen=True, kw_only=True):
    """A part of the endpoints of a service."""

    metadata: Meta
    endpoints: tuple[SliceEndpoint, ...] | None = None
    ports: tuple[SlicePort, ...] | None = None
