"""What control would tell of a cluster's objects."""

from datetime import datetime

import msgspec

from midstage.cluster.objects import Node, Pod, Workload
from midstage.contracts.cluster import (
    Amount,
    ClusterFact,
    ClusterReached,
    Kind,
    NodeObserved,
    ObjectGone,
    PodObserved,
    WorkloadObserved,
)
from midstage.testkit.clock import NOON

CLUSTER = "local"


def node(name: str, *, cpu: float = 4, memory_mb: int = 65_536, gpus: int = 0) -> Node:
    return Node(name=name, capacity=Amount(cpu=cpu, memory_mb=memory_mb, gpus=gpus), uid=name)


def observed_pod(pod: Pod, cluster: str = CLUSTER) -> PodObserved:
    return msgspec.convert(_told(pod, cluster), PodObserved, from_attributes=True)


def observed_workload(workload: Workload, cluster: str = CLUSTER) -> WorkloadObserved:
    return msgspec.convert(_told(workload, cluster), WorkloadObserved, from_attributes=True)


def observed_node(of: Node, cluster: str = CLUSTER) -> NodeObserved:
    return msgspec.convert(_told(of, cluster), NodeObserved, from_attributes=True)


def gone(fact: ClusterFact, version: int) -> ObjectGone:
    kinds = {PodObserved: Kind.POD, WorkloadObserved: Kind.WORKLOAD, NodeObserved: Kind.NODE}
    return ObjectGone(
        cluster=fact.cluster,
        name=fact.name,
        namespace=fact.namespace,
        epoch=1,
        observed_at=NOON,
        uid=fact.uid,
        resource_version=version,
        kind=next(kind for of, kind in kinds.items() if isinstance(fact, of)),
    )


def reached(at: datetime, cluster: str = CLUSTER) -> ClusterReached:
    return ClusterReached(cluster=cluster, name=cluster, epoch=1, observed_at=at)


def _told(thing: Node | Pod | Workload, cluster: str) -> dict[str, object]:
    return {**msgspec.structs.asdict(thing), "cluster": cluster, "epoch": 1, "observed_at": NOON}
