"""A pod of Kubernetes as midstage tells it. Pure.

A pod of a workload of ours is told with its application; any other one without, for the room that
it takes. One that has ended for good (evicted, failed, succeeded) takes none and is replaced: it is
not there. Whether it was ever ready Kubernetes does not say: it was where its readiness changed
after its newest process had begun.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from midstage.cluster.kubernetes import names, shapes, shapes_workload
from midstage.cluster.kubernetes.fate import Fate, fate_of, newest_begin
from midstage.cluster.kubernetes.quantities import asked_for
from midstage.cluster.objects import Pod
from midstage.contracts.apps import Toleration
from midstage.contracts.cluster import Amount

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_NOBODY: dict[str, str] = {}
_TOLERATIONS = msgspec.json.Decoder(tuple[shapes_workload.Toleration, ...] | None)


def is_over(pod: shapes.Pod) -> bool:
    """Whether it has ended for good: it takes no room, and its workload has replaced it."""
    return pod.status.phase in ("Succeeded", "Failed")


def pod_of(pod: shapes.Pod, namespace: str) -> Pod:
    """The pod; with its application where it is a workload's in ``namespace``."""
    meta = pod.metadata
    whose = (meta.labels or _NOBODY) if meta.namespace == namespace else _NOBODY
    ours = bool(whose.get(names.WORKLOAD))
    annotations = (meta.annotations or _NOBODY) if ours else _NOBODY
    fate = fate_of(pod)
    return Pod(
        name=meta.name,
        namespace=meta.namespace,
        app=whose.get(names.APP, "") if ours else "",
        revision=whose.get(names.REVISION, "") if ours else "",
        workload=whose.get(names.WORKLOAD, ""),
        node=pod.spec.node_name,
        phase=fate.phase,
        ready=fate.ready,
        draining=annotations.get(names.DRAINING) == "true",
        address=_address(pod, annotations),
        reason=fate.reason,
        message=fate.message,
        restarts=sum(each.restart_count for each in pod.status.container_statuses or ()),
        exit_code=fate.exit_code,
        requests=requested(pod.spec),
        created_at=meta.creation_timestamp or _LONG_AGO,
        started_at=fate.started_at,
        ready_at=_ready_at(pod, fate),
        node_selector={} if pod.spec.node_name else pod.spec.node_selector or {},
        tolerations=() if pod.spec.node_name else tuple(_tolerations(pod.spec)),
        priority=pod.spec.priority,
        priority_class=pod.spec.priority_class_name,
        preempts=pod.spec.preemption_policy != "Never",
        uid=meta.uid,
        resource_version=int(meta.resource_version),
    )


def requested(spec: shapes.PodSpec) -> Amount:
    """What the scheduler keeps for it: all containers together, or its greediest beginning."""
    if len(spec.containers) == 1 and not spec.init_containers and not spec.overhead:
        return asked_for(spec.containers[0].resources.requests)  # as most are
    containers = [asked_for(each.resources.requests) for each in spec.containers]
    sidecars, first = Amount(), Amount()
    for each in spec.init_containers or ():
        wanted = asked_for(each.resources.requests)
        if each.restart_policy == "Always":
            sidecars = _sum(sidecars, wanted)
            first = _most(first, sidecars)
        else:
            first = _most(first, _sum(sidecars, wanted))
    together = sidecars
    for amount in containers:
        together = _sum(together, amount)
    return _sum(_most(together, first), asked_for(spec.overhead))


def _tolerations(spec: shapes.PodSpec) -> Iterator[Toleration]:
    """Those of one taint, but for the two that Kubernetes gives every pod."""
    for each in _TOLERATIONS.decode(spec.tolerations) or ():
        if each.key and each.effect != "NoExecute":
            value = None if each.operator == "Exists" else each.value
            yield Toleration(key=each.key, value=value)


def _sum(one: Amount, other: Amount) -> Amount:
    return Amount(
        cpu=one.cpu + other.cpu,
        memory_mb=one.memory_mb + other.memory_mb,
        gpus=one.gpus + other.gpus,
    )


def _most(one: Amount, other: Amount) -> Amount:
    return Amount(
        cpu=max(one.cpu, other.cpu),
        memory_mb=max(one.memory_mb, other.memory_mb),
        gpus=max(one.gpus, other.gpus),
    )


def _address(pod: shapes.Pod, annotations: dict[str, str]) -> str:
    """Where it serves: what its kubelet says for this machine, else its own IP's port ``http``."""
    if told := annotations.get(names.ADDRESS):
        return told
    if not pod.status.pod_ip:
        return ""
    ports = (port for each in pod.spec.containers for port in each.ports or ())
    port = next((each.container_port for each in ports if each.name == names.PORT_NAME), 0)
    host = f"[{pod.status.pod_ip}]" if ":" in pod.status.pod_ip else pod.status.pod_ip
    return f"{host}:{port}" if port else ""


def _ready_at(pod: shapes.Pod, fate: Fate) -> datetime | None:
    """When it became ready; where it is not any more, when at the earliest; None: it never was."""
    if fate.ready_since is None:
        return None
    begun = newest_begin(pod)
    return fate.ready_since if fate.ready or begun is None else begun
