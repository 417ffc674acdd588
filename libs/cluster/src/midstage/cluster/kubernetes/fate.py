"""Where a pod of Kubernetes is in its life, and in whose words. Pure.

The order of the questions is the order of what outweighs what: lost with its node, told to end, on
no node, its process waiting or ended, and only then ready or not.
"""

from dataclasses import dataclass
from datetime import datetime

from midstage.cluster.kubernetes import names, shapes
from midstage.contracts.cluster import Phase

BACKOFF = "CrashLoopBackOff"
UNREADY = "Unready"
LOST = "NodeLost"
READY, SCHEDULED = CONDITIONS = ("Ready", "PodScheduled")
"""The conditions of a pod that are looked at."""
_LAST_LINES = 5
_TOLD = 2000
_BEGINNING = ("", "ContainerCreating", "PodInitializing")
_ENDED_BY_ITSELF = ("", "Error", "Completed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """The part of a pod that changes; ``ready_since`` is None where it was never ready."""

    phase: Phase
    ready: bool = False
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    ready_since: datetime | None = None


def fate_of(pod: shapes.Pod) -> Fate:
    """What became of the pod up to now."""
    ready = condition(pod, READY)
    is_ready = ready is not None and ready.status == "True"
    main = main_container(pod)
    running = main.state.running if main else None
    ended = main and (main.state.terminated or main.last_state.terminated)
    phase, reason, message = _where(pod, main, is_ready=is_ready)
    return Fate(
        phase=phase,
        ready=is_ready and phase is Phase.RUNNING,
        reason=reason,
        message=message[:_TOLD],
        exit_code=ended.exit_code if ended else None,
        started_at=running.started_at if running else None,
        ready_since=ready.last_transition_time if ready and _was_ready(pod, ready) else None,
    )


def condition(pod: shapes.Pod, kind: str) -> shapes.Condition | None:
    """The condition of that type, None where it was not told yet."""
    return next((each for each in pod.status.conditions or () if each.type == kind), None)


def main_container(pod: shapes.Pod) -> shapes.ContainerStatus | None:
    """The status of the container that serves; where none is called so, of the first."""
    statuses = pod.status.container_statuses or ()
    named = (each for each in statuses if each.name == names.CONTAINER)
    return next(named, statuses[0] if statuses else None)


def newest_begin(pod: shapes.Pod) -> datetime | None:
    """When the newest process of the pod began that is known of."""
    main = main_container(pod)
    if main is None:
        return None
    runs = (main.state.running, main.state.terminated, main.last_state.terminated)
    return next((run.started_at for run in runs if run and run.started_at), None)


def _where(
    pod: shapes.Pod, main: shapes.ContainerStatus | None, *, is_ready: bool
) -> tuple[Phase, str, str]:
    """Phase, reason, message."""
    if _is_lost(pod):
        return Phase.LOST, LOST, pod.status.message or "its node does not answer"
    if pod.metadata.deletion_timestamp is not None:
        return Phase.STOPPING, pod.status.reason, pod.status.message
    if not pod.spec.node_name:
        scheduled = condition(pod, SCHEDULED)
        return Phase.PENDING, *_words(scheduled)
    return _on_its_node(pod, main, is_ready=is_ready)


def _on_its_node(
    pod: shapes.Pod, main: shapes.ContainerStatus | None, *, is_ready: bool
) -> tuple[Phase, str, str]:
    if main is None:
        return _beginning(pod)
    if main.state.waiting is not None:
        return _waiting(pod, main, main.state.waiting)
    if main.state.terminated is not None:
        return Phase.BACKOFF, *_ended(main.state.terminated)
    return _runs(pod, main, is_ready=is_ready)


def _is_lost(pod: shapes.Pod) -> bool:
    """Whether the cluster has taken its readiness because its node is silent.

    Its containers are still said to be ready then, by nobody who could know better.
    """
    if pod.status.reason == LOST:
        return True
    ready, statuses = condition(pod, READY), pod.status.container_statuses or ()
    taken = ready is not None and ready.status != "True" and not ready.reason
    return taken and bool(statuses) and all(each.ready for each in statuses)


def _beginning(pod: shapes.Pod) -> tuple[Phase, str, str]:
    first = next(
        (each for each in pod.status.init_container_statuses or () if each.state.waiting), None
    )
    if first and first.state.waiting:
        return _waiting(pod, first, first.state.waiting)
    return Phase.STARTING, "ContainerCreating", pod.status.message


def _waiting(
    pod: shapes.Pod, status: shapes.ContainerStatus, waiting: shapes.Waiting
) -> tuple[Phase, str, str]:
    if waiting.reason in _BEGINNING:
        return Phase.STARTING, waiting.reason or "ContainerCreating", waiting.message
    ended = status.last_state.terminated
    if waiting.reason == BACKOFF and ended is not None:
        return Phase.BACKOFF, BACKOFF, _said(ended)
    return Phase.BACKOFF, waiting.reason, waiting.message or pod.status.message


def _ended(terminated: shapes.Terminated) -> tuple[str, str]:
    """Its next start is to come: the kubelet says so a moment later in the same words."""
    by_itself = terminated.reason in _ENDED_BY_ITSELF
    return (BACKOFF if by_itself else terminated.reason), _said(terminated)


def _said(terminated: shapes.Terminated) -> str:
    """How it ended: anything but a plain exit by its reason, and its last lines."""
    lines = terminated.message.splitlines()[-_LAST_LINES:]
    how = "" if terminated.reason in _ENDED_BY_ITSELF else f"{terminated.reason}, "
    return "\n".join((f"{how}exit code {terminated.exit_code}:", *lines)).removesuffix(":")


def _runs(
    pod: shapes.Pod, main: shapes.ContainerStatus, *, is_ready: bool
) -> tuple[Phase, str, str]:
    if is_ready:
        return Phase.RUNNING, "", ""
    ready = condition(pod, READY)
    if ready is not None and _was_ready(pod, ready):
        return Phase.RUNNING, UNREADY, ready.message or ""
    ended = main.last_state.terminated
    return Phase.STARTING, "", _said(ended) if ended else ""


def _was_ready(pod: shapes.Pod, ready: shapes.Condition) -> bool:
    """Whether it is ready, or its readiness changed after its newest process began."""
    if ready.status == "True":
        return True
    begun, changed = newest_begin(pod), ready.last_transition_time
    return begun is not None and changed is not None and changed > begun


def _words(condition: shapes.Condition | None) -> tuple[str, str]:
    if condition is None or condition.status == "True":
        return "", ""
    return condition.reason or "", condition.message or ""
