"""Which node a pod fits on, and the scheduler's words where it fits on none. Pure.

The same function places pods in the local cluster and tells deploy whether an update has room, so
both say the same. Words and order are those of Kubernetes' scheduler.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from midstage.cluster import spread
from midstage.cluster.objects import Node, Pod, Template
from midstage.cluster.spread import Spreading
from midstage.contracts.cluster import Amount, Phase, Taint

_EPSILON = 1e-9
_ALONE: Mapping[str, int] = {}


def free(nodes: Sequence[Node], pods: Sequence[Pod]) -> dict[str, Amount]:
    """What is left on each node, by name: its capacity less what its pods have requested."""
    left = {node.name: node.capacity for node in nodes}
    for pod in pods:
        if pod.node in left and pod.phase is not Phase.LOST:
            left[pod.node] = less(left[pod.node], pod.requests)
    return left


def place(
    template: Template,
    nodes: Sequence[Node],
    left: Mapping[str, Amount],
    *,
    beside: Mapping[str, int] = _ALONE,
) -> str | None:
    """The node with the most room after the pod is on it; None where none takes it.

    ``beside``: how many replicas of its workload are on each node, for a required spread.
    """
    spreads = spread.required(template, nodes)
    taking = [node for node in nodes if not _why_not(template, node, left, spreads, beside)]
    if not taking:
        return None
    return min(taking, key=lambda node: _fullness(template, node, left)).name


def admits(template: Template, node: Node) -> bool:
    """Whether the node takes such pods at all, whatever room it has."""
    return not _turns_away(template, node)


def words(
    template: Template,
    nodes: Sequence[Node],
    left: Mapping[str, Amount],
    *,
    beside: Mapping[str, int] = _ALONE,
) -> str:
    """Why no node takes it, as Kubernetes' scheduler says it."""
    spreads = spread.required(template, nodes)
    reasons = Counter(
        reason for node in nodes for reason in _why_not(template, node, left, spreads, beside)
    )
    told = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return f"0/{len(nodes)} nodes are available: {told or 'there are none'}."


def less(amount: Amount, taken: Amount) -> Amount:
    """``amount`` without ``taken``."""
    return Amount(
        cpu=amount.cpu - taken.cpu,
        memory_mb=amount.memory_mb - taken.memory_mb,
        gpus=amount.gpus - taken.gpus,
    )


def has_room(wanted: Amount, left: Amount) -> bool:
    """Whether so much finds room in what is left."""
    return not _lacks(wanted, left)


def _why_not(
    template: Template,
    node: Node,
    left: Mapping[str, Amount],
    spreads: Sequence[Spreading],
    beside: Mapping[str, int],
) -> Sequence[str]:
    """What the first of the scheduler's filters that refuses the node says; empty: it takes it."""
    refused = _turns_away(template, node) or _lacks(template.requests, left[node.name])
    if refused or not spreads:
        return refused
    uneven = spread.refusal(spreads, node.name, beside)
    return [uneven] if uneven else []


def _turns_away(template: Template, node: Node) -> Sequence[str]:
    if not node.ready:
        return ["node(s) were not ready"]
    if not node.schedulable:
        return ["node(s) were unschedulable"]
    if taint := _untolerated(template, node):
        return [f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"]
    if any(node.labels.get(key) != value for key, value in template.node_selector.items()):
        return ["node(s) didn't match Pod's node affinity/selector"]
    return []


def _untolerated(template: Template, node: Node) -> Taint | None:
    for taint in node.taints:
        tolerated = any(
            toleration.key == taint.key and toleration.value in (None, taint.value)
            for toleration in template.tolerations
        )
        if not tolerated:
            return taint
    return None


def _lacks(wanted: Amount, left: Amount) -> Sequence[str]:
    """Everything that the node has too little of; what was not asked for is not missed."""
    short = {
        "Insufficient cpu": wanted.cpu > 0 and wanted.cpu > left.cpu + _EPSILON,
        "Insufficient memory": wanted.memory_mb > 0 and wanted.memory_mb > left.memory_mb,
        "Insufficient nvidia.com/gpu": wanted.gpus > 0 and wanted.gpus > left.gpus,
    }
    return [reason for reason, is_short in short.items() if is_short]


def _fullness(template: Template, node: Node, left: Mapping[str, Amount]) -> tuple[float, str]:
    """How full the fullest of its amounts would be; GPU nodes are kept for who asks for GPUs."""
    rest = less(left[node.name], template.requests)
    shares = [
        1 - part / whole
        for part, whole in (
            (rest.cpu, node.capacity.cpu),
            (rest.memory_mb, node.capacity.memory_mb),
        )
        if whole
    ]
    spares_gpus = bool(node.capacity.gpus) and not template.requests.gpus
    return (max(shares, default=1.0) + spares_gpus, node.name)
