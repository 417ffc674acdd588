"""A node of Kubernetes as midstage tells it. Pure.

Its capacity is what pods may have of it (``allocatable``). What the cluster itself says by taints
(not ready, unreachable, unschedulable) stands in ``ready`` and ``schedulable``, and only there.
"""

from collections.abc import Iterator

from midstage.cluster.kubernetes import names, shapes
from midstage.cluster.kubernetes.quantities import there
from midstage.cluster.objects import Node
from midstage.contracts.cluster import Taint

_SAID_OTHERWISE = {
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/unschedulable",
}
_KEEPS_OFF = ("NoSchedule", "NoExecute")


def node_of(node: shapes.Node) -> Node:
    """The node; not ready where it has not said so itself."""
    meta, status = node.metadata, node.status
    ready = next((each for each in status.conditions or () if each.type == "Ready"), None)
    is_ready = ready is not None and ready.status == "True"
    return Node(
        name=meta.name,
        ready=is_ready,
        schedulable=not node.spec.unschedulable,
        emptied=bool(node.spec.unschedulable and (meta.annotations or {}).get(names.EMPTIED)),
        reason="" if is_ready else _why(ready),
        capacity=there(status.allocatable or status.capacity),
        labels=meta.labels or {},
        taints=tuple(_taints(node.spec)),
        uid=meta.uid,
        resource_version=int(meta.resource_version),
    )


def _why(ready: shapes.Condition | None) -> str:
    if ready is None:
        return "it has not said that it is ready"
    return ": ".join(part for part in (ready.reason, ready.message) if part)


def _taints(spec: shapes.NodeSpec) -> Iterator[Taint]:
    for taint in spec.taints or ():
        if taint.key not in _SAID_OTHERWISE and taint.effect in _KEEPS_OFF:
            yield Taint(key=taint.key, value=taint.value)
