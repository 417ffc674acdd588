"""Kubernetes' messages as protobuf has them: the envelope of every object, and the fields of pods.

Numbers are those of ``generated.proto`` in k8s.io/api and k8s.io/apimachinery, which never change.
The API writes each field that is no pointer, also where it is empty; a time that is not set is
written as an empty one. Messages that thousands of pods have in common are declared as the bytes
that they are, so that they are read once.
"""

from collections.abc import Sequence
from typing import Annotated

from midstage.cluster.kubernetes.protobuf import Message


class RawExtension(Message):
    """An object within a watch's event, in its envelope."""

    raw: Annotated[bytes, 1]


class WatchEvent(Message):
    """What one frame of a watch is."""

    type: Annotated[bytes, 1]
    object: Annotated[RawExtension, 2]


class Unknown(Message):
    """The envelope of an object; before it stand four bytes."""

    raw: Annotated[bytes, 2]


class Cause(Message):
    """One of several things that are wrong."""

    reason: Annotated[bytes, 1]
    message: Annotated[bytes, 2]
    field: Annotated[bytes, 3]


class Details(Message):
    """What a Status says beyond its message."""

    causes: Annotated[Sequence[Cause], 4]
    retry_after_seconds: Annotated[int, 5]


class Status(Message):
    """The body of an error, and of an ERROR event in a watch."""

    message: Annotated[bytes, 3]
    reason: Annotated[bytes, 4]
    details: Annotated[Details, 5]
    code: Annotated[int, 6]


class Time(Message):
    """A time, to the second."""

    seconds: Annotated[int, 1]
    nanos: Annotated[int, 2]


class Pair(Message):
    """An entry of a map from text to text."""

    key: Annotated[bytes, 1]
    value: Annotated[bytes, 2]


class Quantity(Message):
    """An amount in the words of JSON."""

    string: Annotated[bytes, 1]


class Amount(Message):
    """An entry of a map from text to quantities."""

    key: Annotated[bytes, 1]
    value: Annotated[Quantity, 2]


class Meta(Message):
    """What every object says of itself."""

    name: Annotated[bytes, 1]
    namespace: Annotated[bytes, 3]
    uid: Annotated[bytes, 5]
    resource_version: Annotated[bytes, 6]
    generation: Annotated[int, 7]
    creation_timestamp: Annotated[Time, 8]
    deletion_timestamp: Annotated[Time, 9]
    labels: Annotated[Sequence[bytes], 11]
    """Each a ``Pair``."""
    annotations: Annotated[Sequence[Pair], 12]


class Marked(Message):
    """The object of a bookmark, of whatever kind."""

    metadata: Annotated[Meta, 1]


class Port(Message):
    """A port of a container."""

    name: Annotated[bytes, 1]
    container_port: Annotated[int, 3]


class Resources(Message):
    """What a container asks for."""

    limits: Annotated[Sequence[Amount], 1]
    requests: Annotated[Sequence[Amount], 2]


class Container(Message):
    """What is read of a pod's container."""

    name: Annotated[bytes, 1]
    ports: Annotated[Sequence[bytes], 6]
    """Each a ``Port``."""
    resources: Annotated[bytes, 8]
    """``Resources``."""
    restart_policy: Annotated[bytes, 24]


class Toleration(Message):
    """A taint that does not matter."""

    key: Annotated[bytes, 1]
    operator: Annotated[bytes, 2]
    value: Annotated[bytes, 3]
    effect: Annotated[bytes, 4]


class PodSpec(Message):
    """What is read of a pod's spec."""

    containers: Annotated[Sequence[Container], 2]
    node_selector: Annotated[Sequence[Pair], 7]
    node_name: Annotated[bytes, 10]
    init_containers: Annotated[Sequence[Container], 20]
    tolerations: Annotated[Sequence[bytes], 22]
    """Each a ``Toleration``."""
    priority_class_name: Annotated[bytes, 24]
    priority: Annotated[int, 25]
    preemption_policy: Annotated[bytes, 31]
    overhead: Annotated[Sequence[Amount], 32]


class Condition(Message):
    """One condition of a pod."""

    type: Annotated[bytes, 1]
    status: Annotated[bytes, 2]
    last_transition_time: Annotated[Time, 4]
    reason: Annotated[bytes, 5]
    message: Annotated[bytes, 6]


class Waiting(Message):
    """Why a container's process does not run."""

    reason: Annotated[bytes, 1]
    message: Annotated[bytes, 2]


class Running(Message):
    """A container's process that runs."""

    started_at: Annotated[Time, 1]


class Terminated(Message):
    """How a container's process ended."""

    exit_code: Annotated[int, 1]
    reason: Annotated[bytes, 3]
    message: Annotated[bytes, 4]
    started_at: Annotated[Time, 5]
    finished_at: Annotated[Time, 6]


class State(Message):
    """At most one of the three."""

    waiting: Annotated[Waiting, 1]
    running: Annotated[Running, 2]
    terminated: Annotated[Terminated, 3]


class ContainerStatus(Message):
    """How one container fares."""

    name: Annotated[bytes, 1]
    state: Annotated[State, 2]
    last_state: Annotated[State, 3]
    ready: Annotated[bool, 4]
    restart_count: Annotated[int, 5]
    started: Annotated[bool, 9]


class PodStatus(Message):
    """How a pod fares."""

    phase: Annotated[bytes, 1]
    conditions: Annotated[Sequence[Condition], 2]
    message: Annotated[bytes, 3]
    reason: Annotated[bytes, 4]
    pod_ip: Annotated[bytes, 6]
    container_statuses: Annotated[Sequence[ContainerStatus], 8]
    init_container_statuses: Annotated[Sequence[ContainerStatus], 10]


class Pod(Message):
    """A pod."""

    metadata: Annotated[Meta, 1]
    spec: Annotated[PodSpec, 2]
    status: Annotated[PodStatus, 3]
