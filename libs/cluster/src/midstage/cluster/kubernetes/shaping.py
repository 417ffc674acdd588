"""A pod that came as protobuf in the shape of one that came as JSON: nothing after it sees which.

What JSON leaves out where it is empty is None here too, and of conditions there are only those that
somebody asks for. Labels, ports, requests and tolerations are
read once and kept by their bytes, a few thousand of them: pods have them in common. Annotations are
not, they may be long.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from midstage.cluster.kubernetes import messages, shapes
from midstage.cluster.kubernetes.fate import CONDITIONS
from midstage.cluster.kubernetes.protobuf import reader, text

_read = reader(messages.Pod)
_read_pair = reader(messages.Pair)
_read_port = reader(messages.Port)
_read_resources = reader(messages.Resources)
_read_toleration = reader(messages.Toleration)
_NO_STATE: Final = shapes.State()
_KEPT: Final = 4096
_CONDITIONS: Final = frozenset(each.encode() for each in CONDITIONS)


def pod_shape(body: bytes) -> shapes.Pod:
    """The pod; ValueError where the bytes are none, or it has a time that no calendar has."""
    pod = _read(body)
    if not pod.HasField("metadata"):
        raise ValueError("a pod without metadata")
    return shapes.Pod(
        metadata=_meta(pod.metadata), spec=_spec(pod.spec), status=_status(pod.status)
    )


def _strings(pairs: Iterable[messages.Pair]) -> shapes.Strings | None:
    return {text(each.key): text(each.value) for each in pairs} or None


@lru_cache(maxsize=_KEPT)
def _label(body: bytes) -> tuple[str, str]:
    pair = _read_pair(body)
    return text(pair.key), text(pair.value)


def _amounts(amounts: Iterable[messages.Amount]) -> shapes.Strings | None:
    return {text(each.key): text(each.value.string) for each in amounts} or None


def _time(time: messages.Time) -> datetime | None:
    """None where it is not set."""
    return _at(time.seconds) if time.HasField("seconds") else None


@lru_cache(maxsize=_KEPT)  # most of what a pod says happened in the same few seconds
def _at(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except OverflowError as e:
        raise ValueError(str(e)) from e


def _meta(meta: messages.Meta) -> shapes.Meta:
    return shapes.Meta(
        name=text(meta.name),
        namespace=text(meta.namespace),
        uid=text(meta.uid),
        resource_version=text(meta.resource_version) or "0",
        generation=meta.generation,
        creation_timestamp=_time(meta.creation_timestamp),
        deletion_timestamp=_time(meta.deletion_timestamp),
        labels=dict(map(_label, meta.labels)) or None,
        annotations=_strings(meta.annotations),
    )


def _spec(spec: messages.PodSpec) -> shapes.PodSpec:
    return shapes.PodSpec(
        node_name=text(spec.node_name),
        containers=tuple(map(_container, spec.containers)),
        init_containers=tuple(map(_container, spec.init_containers)) or None,
        overhead=_amounts(spec.overhead),
        node_selector=_strings(spec.node_selector),
        tolerations=_tolerations(tuple(spec.tolerations)),
        priority_class_name=text(spec.priority_class_name),
        priority=spec.priority if spec.HasField("priority") else None,
        preemption_policy=text(spec.preemption_policy),
    )


def _container(container: messages.Container) -> shapes.PodContainer:
    return shapes.PodContainer(
        name=text(container.name),
        ports=tuple(map(_port, container.ports)) or None,
        resources=_resources(container.resources),
        restart_policy=text(container.restart_policy),
    )


@lru_cache(maxsize=_KEPT)
def _port(body: bytes) -> shapes.Port:
    port = _read_port(body)
    return shapes.Port(name=text(port.name), container_port=port.container_port)


@lru_cache(maxsize=_KEPT)
def _resources(body: bytes) -> shapes.Resources:
    resources = _read_resources(body)
    return shapes.Resources(
        requests=_amounts(resources.requests), limits=_amounts(resources.limits)
    )


@lru_cache(maxsize=_KEPT)
def _tolerations(bodies: tuple[bytes, ...]) -> msgspec.Raw:
    """In JSON, as the shape has them."""
    tolerations = map(_read_toleration, bodies)
    return msgspec.Raw(
        msgspec.json.encode(
            [
                {
                    "key": text(each.key),
                    "operator": text(each.operator),
                    "value": text(each.value),
                    "effect": text(each.effect),
                }
                for each in tolerations
            ]
        )
    )


def _status(status: messages.PodStatus) -> shapes.PodStatus:
    return shapes.PodStatus(
        phase=text(status.phase),
        reason=text(status.reason),
        message=text(status.message),
        pod_ip=text(status.pod_ip),
        conditions=tuple(_condition(each) for each in status.conditions if each.type in _CONDITIONS)
        or None,
        container_statuses=tuple(map(_container_status, status.container_statuses)) or None,
        init_container_statuses=tuple(map(_container_status, status.init_container_statuses))
        or None,
    )


def _condition(condition: messages.Condition) -> shapes.Condition:
    return shapes.Condition(
        type=text(condition.type),
        status=text(condition.status),
        reason=text(condition.reason) or None,
        message=text(condition.message) or None,
        last_transition_time=_time(condition.last_transition_time),
    )


def _container_status(status: messages.ContainerStatus) -> shapes.ContainerStatus:
    return shapes.ContainerStatus(
        name=text(status.name),
        ready=status.ready,
        started=status.started if status.HasField("started") else None,
        restart_count=status.restart_count,
        state=_state(status.state),
        last_state=_state(status.last_state),
    )


def _state(state: messages.State) -> shapes.State:
    if state.HasField("running"):
        return shapes.State(running=shapes.Running(started_at=_time(state.running.started_at)))
    if state.HasField("waiting"):
        waiting = state.waiting
        said = shapes.Waiting(reason=text(waiting.reason), message=text(waiting.message))
        return shapes.State(waiting=said)
    if state.HasField("terminated"):
        return shapes.State(terminated=_terminated(state.terminated))
    return _NO_STATE


def _terminated(ended: messages.Terminated) -> shapes.Terminated:
    return shapes.Terminated(
        exit_code=ended.exit_code,
        reason=text(ended.reason),
        message=text(ended.message),
        started_at=_time(ended.started_at),
        finished_at=_time(ended.finished_at),
    )
