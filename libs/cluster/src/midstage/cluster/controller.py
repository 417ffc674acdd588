"""What a cluster does by itself so that its workloads are as they were told. Pure.

Pods of a workload too many: draining ones go first, then those that are not ready, then the
youngest. Pods too few: new ones, each on the node that fits; where none does, the scheduler's words
stand in the pod until one does.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from midstage.cluster import fit
from midstage.cluster.objects import Node, Pod, Template, Workload
from midstage.contracts.cluster import Amount, Phase

CREATING = "ContainerCreating"
UNSCHEDULABLE = "Unschedulable"


def surplus(pods: Iterable[Pod], workload: Workload | None) -> Sequence[Pod]:
    """Which of a workload's ``pods`` shall end; without the workload all of them."""
    alive = sorted((pod for pod in pods if counts(pod)), key=_ends_first)
    return alive[: max(0, len(alive) - (workload.replicas if workload else 0))]


def counts(pod: Pod) -> bool:
    """Whether the pod is one of the replicas that its workload should have."""
    return pod.phase is not Phase.STOPPING


def placed(
    pending: Pod, template: Template, *, nodes: Sequence[Node], left: Mapping[str, Amount]
) -> Pod:
    """The pod on a node that has room ``left``, or with the words why it is on none."""
    node = fit.place(template, nodes, left)
    if node is None:
        return msgspec.structs.replace(
            pending, reason=UNSCHEDULABLE, message=fit.words(template, nodes, left)
        )
    return msgspec.structs.replace(
        pending, node=node, phase=Phase.STARTING, reason=CREATING, message=""
    )


def _ends_first(pod: Pod) -> tuple[bool, bool, bool, float, str]:
    """Draining, not ready, on no node yet, youngest: whoever has more of it ends first."""
    return (
        not pod.draining,
        pod.ready,
        bool(pod.node),
        -pod.created_at.timestamp(),
        pod.name,
    )
