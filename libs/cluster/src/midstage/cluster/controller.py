"""What a cluster does by itself so that its workloads are as they were told. Pure.

Pods of a workload too many: they go in the order of Kubernetes' controller. Pods too few: new ones,
each on the node that fits; where none does, the scheduler's words stand in the pod until one does.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from midstage.cluster import fit
from midstage.cluster.objects import Node, Pod, Template, Workload
from midstage.contracts.cluster import Amount, Phase

CREATING = "ContainerCreating"
UNSCHEDULABLE = "Unschedulable"


def surplus(pods: Iterable[Pod], workload: Workload | None) -> Sequence[Pod]:
    """Which of a workload's ``pods`` shall end; without the workload all of them."""
    alive = sorted((pod for pod in pods if counts(pod)), key=_in_order)
    return alive[: max(0, len(alive) - (workload.replicas if workload else 0))]


def counts(pod: Pod) -> bool:
    """Whether the pod is one of the replicas that its workload should have."""
    return pod.phase is not Phase.STOPPING


def pending(workload: Workload, *, name: str, uid: str, now: datetime) -> Pod:
    """A new replica of the workload, which waits for a node."""
    return Pod(
        name=name,
        namespace=workload.namespace,
        app=workload.app,
        revision=workload.revision,
        workload=workload.name,
        phase=Phase.PENDING,
        requests=workload.template.requests,
        node_selector=workload.template.node_selector,
        tolerations=workload.template.tolerations,
        priority_class=workload.template.priority or "",
        created_at=now,
        uid=uid,
    )


def placed(
    waiting: Pod,
    template: Template,
    *,
    nodes: Sequence[Node],
    left: Mapping[str, Amount],
    beside: Mapping[str, int],
) -> Pod:
    """The pod on a node that has room ``left``, or with the words why it is on none.

    ``beside``: how many replicas of its workload are on each node.
    """
    node = fit.place(template, nodes, left, beside=beside)
    if node is None:
        words = fit.words(template, nodes, left, beside=beside)
        return msgspec.structs.replace(waiting, reason=UNSCHEDULABLE, message=words)
    return msgspec.structs.replace(
        waiting,
        node=node,
        phase=Phase.STARTING,
        reason=CREATING,
        message="",
        node_selector={},
        tolerations=(),
    )


def beside(pod: Pod, pods: Iterable[Pod]) -> Mapping[str, int]:
    """How many replicas of the pod's workload are on each node."""
    return Counter(
        each.node for each in pods if each.workload == pod.workload and each.node and counts(each)
    )


def ends_first(pod: Pod) -> tuple[bool, bool, bool, bool]:
    """What Kubernetes orders by, least first: on no node, not started, not ready, draining.

    Of pods that are the same in all of it none is sure to go before another.
    """
    return (bool(pod.node), pod.started_at is not None, pod.ready, not pod.draining)


def _in_order(pod: Pod) -> tuple[tuple[bool, bool, bool, bool], float, str]:
    """Of those that are the same the youngest goes first."""
    return (ends_first(pod), -pod.created_at.timestamp(), pod.name)
