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
    of_pods, of_nodes = _by_owner(uses.gpus)
    facts: list[PodUsed | NodeUsed | QuotaUsed] = []
    for use in uses.pods:
        key = key_of(cluster=stamp.cluster, kind=Kind.POD, namespace=use.namespace, name=use.name)
        pod = known.newest(key)
        if isinstance(pod, PodObserved):
            gpus = of_pods.get((use.namespace, use.name), ())
            facts.append(_pod_used(use, pod, stamp, now, gpus=gpus))
    for each in uses.nodes:
        node = known.node(cluster=stamp.cluster, name=each.name)
        if node is not None:
            facts.append(_node_used(each, node, stamp, now, gpus=of_nodes.get(each.name, ())))
    facts.extend(_quota_used(each, stamp, now) for each in uses.quotas)
    return facts


def _by_owner(
    gpus: Iterable[GpuUse],
) -> tuple[Mapping[tuple[str, str], Sequence[GpuUse]], Mapping[str, Sequence[GpuUse]]]:
    """Those of each pod and those of each node."""
    of_pods: defaultdict[tuple[str, str], list[GpuUse]] = defaultdict(list)
    of_nodes: defaultdict[str, list[GpuUse]] = defaultdict(list)
    for gpu in gpus:
        of_nodes[gpu.node].append(gpu)
        if gpu.pod:
            of_pods[gpu.namespace, gpu.pod].append(gpu)
    return of_pods, of_nodes


def _share(gpus: Sequence[GpuUse], otherwise: float | None) -> float | None:
    """The mean of those that are known."""
    shares = [gpu.share for gpu in gpus if gpu.share is not None]
    return fmean(shares) if shares else otherwise


def _sum(figures: Iterable[float | None]) -> float | None:
    """All together; a sum without one of them would be too small, so it is unknown."""
    known = list(figures)
    found = [each for each in known if each is not None]
    return sum(found) if found and len(found) == len(known) else None


def _pod_used(
    use: PodUse, pod: PodObserved, stamp: Stamp, now: datetime, *, gpus: Sequence[GpuUse]
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
        gpu=_share(gpus, use.gpu),
        gpu_memory_mb=_sum(gpu.memory_mb for gpu in gpus),
        gpu_memory_total_mb=_sum(gpu.memory_total_mb for gpu in gpus),
    )


def _node_used(
    use: NodeUse, node: NodeObserved, stamp: Stamp, now: datetime, *, gpus: Sequence[GpuUse]
) -> NodeUsed:
    return NodeUsed(
        cluster=stamp.cluster,
        name=use.name,
        epoch=stamp.epoch,
        observed_at=now,
        uid=node.uid,
        cpu=use.cpu,
        memory_mb=use.memory_mb,
        gpu=_share(gpus, use.gpu),
        gpu_memory_mb=_sum(gpu.memory_mb for gpu in gpus),
        gpu_memory_total_mb=_sum(gpu.memory_total_mb for gpu in gpus),
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
