"""From measurements to facts: what pods, nodes and quotas have in use, GPUs from elsewhere.

What was not measured is unknown and stays out; nothing is ever taken for zero.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from statistics import fmean

from midstage.cluster.objects import NodeUse, PodUse, QuotaUse
from midstage.contracts.cluster import (
    Kind,
    NodeObserved,
    NodeUsed,
    PodObserved,
    PodUsed,
    QuotaUsed,
    key_of,
)
from midstage.contracts.inventory import Inventory
from midstage.control.model import GpuUse, Stamp, Uses


def measured(
    uses: Uses, known: Inventory, stamp: Stamp, now: datetime
) -> Sequence[PodUsed | NodeUsed | QuotaUsed]:
    """What each known pod and node uses, with the GPUs that somebody else measured; each quota."""
    of_pods, of_nodes = _shares(uses.gpus)
    facts: list[PodUsed | NodeUsed | QuotaUsed] = []
    for use in uses.pods:
        key = key_of(cluster=stamp.cluster, kind=Kind.POD, namespace=use.namespace, name=use.name)
        pod = known.newest(key)
        if isinstance(pod, PodObserved):
            gpu = of_pods.get((use.namespace, use.name), use.gpu)
            facts.append(_pod_used(use, pod, stamp, now, gpu=gpu))
    for each in uses.nodes:
        node = known.node(cluster=stamp.cluster, name=each.name)
        if node is not None:
            gpu = of_nodes.get(each.name, each.gpu)
            facts.append(_node_used(each, node, stamp, now, gpu=gpu))
    facts.extend(_quota_used(each, stamp, now) for each in uses.quotas)
    return facts


def _shares(
    gpus: Iterable[GpuUse],
) -> tuple[Mapping[tuple[str, str], float], Mapping[str, float]]:
    """The mean share of each pod's and of each node's GPUs."""
    of_pods: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    of_nodes: defaultdict[str, list[float]] = defaultdict(list)
    for gpu in gpus:
        of_nodes[gpu.node].append(gpu.share)
        if gpu.pod:
            of_pods[gpu.namespace, gpu.pod].append(gpu.share)
    return (
        {pod: fmean(shares) for pod, shares in of_pods.items()},
        {node: fmean(shares) for node, shares in of_nodes.items()},
    )


def _pod_used(
    use: PodUse, pod: PodObserved, stamp: Stamp, now: datetime, *, gpu: float | None
) -> PodUsed:
    return PodUsed(
        cluster=stamp.cluster,
        name=use.name,
        namespace=use.namespace,
        epoch=stamp.epoch,
        observed_at=now,
        uid=pod.uid,
        app=pod.app,
        cpu=use.cpu,
        memory_mb=use.memory_mb,
        gpu=gpu,
    )


def _node_used(
    use: NodeUse, node: NodeObserved, stamp: Stamp, now: datetime, *, gpu: float | None
) -> NodeUsed:
    return NodeUsed(
        cluster=stamp.cluster,
        name=use.name,
        epoch=stamp.epoch,
        observed_at=now,
        uid=node.uid,
        cpu=use.cpu,
        memory_mb=use.memory_mb,
        gpu=gpu,
    )


def _quota_used(use: QuotaUse, stamp: Stamp, now: datetime) -> QuotaUsed:
    return QuotaUsed(
        cluster=stamp.cluster,
        name=use.name,
        namespace=use.namespace,
        epoch=stamp.epoch,
        observed_at=now,
        hard=use.hard,
        used=use.used,
    )
