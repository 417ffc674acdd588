"""How a pod stands, and the status that says so to Kubernetes. Pure.

A pod has one container. Its state is one of three; what was before it is told as the last state.
Conditions carry the time at which they last changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import assert_never

from midstage.local.kubelet.shapes import ContainerStatus, Pod

JsonObject = Mapping[str, object]
HOST_IP = "127.0.0.1"
_KILLED = 137
ADDRESS = "midstage.dev/address"
_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """It has no process now."""

    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """It has."""

    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """It had one; ``since`` None: it is not known when that began."""

    exit_code: int
    reason: str
    message: str
    since: datetime | None
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Everything that is told of a pod; ``fault`` says why it is not ready."""

    state: Waiting | Running | Terminated = Waiting()
    last: Terminated | None = None
    begun: bool = False
    started: bool = False
    ready: bool = False
    ending: bool = False
    fault: str = ""
    restarts: int = 0
    port: int = 0
    since: Mapping[str, tuple[str, datetime]] = field(default_factory=dict)


def taken_over(pod: Pod, *, now: datetime) -> Standing:
    """How a pod stands of which an earlier kubelet has told; its process is gone with that."""
    since = {
        each.type: (each.status, each.last_transition_time or now) for each in pod.status.conditions
    }
    told = next(iter(pod.status.container_statuses), None)
    if told is None:
        return Standing(since=since)
    last = _last(told, now=now)
    if last is None:
        return Standing(since=since)
    return Standing(last=last, begun=True, restarts=told.restart_count + 1, since=since)


def backing_off(pod: Pod, *, wait_s: float, why: str) -> Waiting:
    """What a pod waits for whose process ended; ``why`` it had to be ended, if it had."""
    container, name = pod.spec.containers[0].name, pod.metadata.name
    said = (
        f"back-off {wait_s:g}s restarting failed container={container}"
        f" pod={name}_{pod.metadata.namespace}"
    )
    return Waiting(reason="CrashLoopBackOff", message=f"{why}; {said}" if why else said)


def unpulled(pod: Pod, said: str, *, times: int) -> Waiting:
    """What a pod waits for whose image can't be had, so many ``times`` by now."""
    if times == 1:
        return Waiting(reason="ErrImagePull", message=said)
    image = pod.spec.containers[0].image
    return Waiting(reason="ImagePullBackOff", message=f'Back-off pulling image "{image}": {said}')


def stamped(
    standing: Standing, before: Standing, *, now: datetime
) -> Mapping[str, tuple[str, datetime]]:
    """Each condition with its status and since when: now, unless it was so ``before``."""
    after = dict(before.since)
    for kind, holds in _holding(standing).items():
        status = "True" if holds else "False"
        if after.get(kind, ("", now))[0] != status:
            after[kind] = (status, now)
    return after


def phase(standing: Standing) -> str:
    """Kubernetes' word for it."""
    match standing.state:
        case Terminated(exit_code=0):
            return "Succeeded"
        case Terminated():
            return "Failed"
        case Running():
            return "Running"
        case Waiting():
            return "Running" if standing.begun else "Pending"
        case _:
            assert_never(standing.state)


def patch(pod: Pod, standing: Standing, *, pod_ip: str, started_at: datetime) -> JsonObject:
    """The strategic merge patch of the pod's status, with its address as an annotation."""
    address = f"{HOST_IP}:{standing.port}" if standing.port else None
    return {
        "metadata": {"uid": pod.metadata.uid, "annotations": {ADDRESS: address}},
        "status": {
            "phase": phase(standing),
            "hostIP": HOST_IP,
            "hostIPs": [{"ip": HOST_IP}],
            "podIP": pod_ip,
            "podIPs": [{"ip": pod_ip}],
            "startTime": moment(started_at),
            "conditions": [_condition(pod, standing, kind) for kind in _CONDITIONS],
            "containerStatuses": [_container(pod, standing)],
        },
    }


def moment(at: datetime) -> str:
    """A time as Kubernetes writes it, in whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def reads(pod: Pod, standing: Standing) -> bool:
    """Whether the API says of the pod's readiness and restarts what ``standing`` does."""
    told = {each.type: each.status for each in pod.status.conditions}
    counts = [each.restart_count for each in pod.status.container_statuses]
    return (
        all(told.get(kind) == standing.since[kind][0] for kind in _CONDITIONS)
        and counts == [standing.restarts]
        and pod.status.phase == phase(standing)
    )


def _last(told: ContainerStatus, *, now: datetime) -> Terminated | None:
    """How its last run ended; None: it had none."""
    if told.state.running is not None:
        return Terminated(
            exit_code=_KILLED,
            reason="Error",
            message="its process ended with the kubelet that ran it",
            since=told.state.running.started_at,
            until=now,
        )
    ended = told.state.terminated or told.last_state.terminated
    return (
        None
        if ended is None
        else Terminated(
            exit_code=ended.exit_code,
            reason=ended.reason,
            message=ended.message,
            since=ended.started_at,
            until=ended.finished_at or now,
        )
    )


def _holding(standing: Standing) -> Mapping[str, bool]:
    ready = standing.ready and isinstance(standing.state, Running) and not standing.ending
    over = isinstance(standing.state, Terminated)
    return {
        "PodReadyToStartContainers": not over,
        "Initialized": True,
        "Ready": ready,
        "ContainersReady": ready,
    }


def _condition(pod: Pod, standing: Standing, kind: str) -> JsonObject:
    status, since = standing.since[kind]
    said: dict[str, object] = {"type": kind, "status": status, "lastTransitionTime": moment(since)}
    reason = message = None
    if status == "False" and kind in ("Ready", "ContainersReady"):
        name = pod.spec.containers[0].name
        why = f" ({standing.fault})" if standing.fault else ""
        if isinstance(standing.state, Terminated):
            reason, message = "PodCompleted" if standing.state.exit_code == 0 else "PodFailed", None
        else:
            reason, message = "ContainersNotReady", f"containers with unready status: [{name}]{why}"
    return {**said, "reason": reason, "message": message}


def _container(pod: Pod, standing: Standing) -> JsonObject:
    container = pod.spec.containers[0]
    last = {} if standing.last is None else _state(standing.last, pod)
    return {
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "containerID": f"process://{pod.metadata.uid}",
        "ready": standing.since["ContainersReady"][0] == "True",
        "started": standing.started,
        "restartCount": standing.restarts,
        "state": _state(standing.state, pod),
        "lastState": last,
    }


def _state(state: Waiting | Running | Terminated, pod: Pod) -> JsonObject:
    match state:
        case Waiting():
            return {"waiting": {"reason": state.reason, "message": state.message}}
        case Running():
            return {"running": {"startedAt": moment(state.since)}}
        case Terminated():
            return {
                "terminated": {
                    "exitCode": state.exit_code,
                    "reason": state.reason,
                    "message": state.message,
                    "startedAt": None if state.since is None else moment(state.since),
                    "finishedAt": moment(state.until),
                    "containerID": f"process://{pod.metadata.uid}",
                }
            }
        case _:
            assert_never(state)
