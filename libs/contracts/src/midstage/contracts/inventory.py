"""What the clusters are now: the one fold of cluster facts, for every reader of them.

Of each object the fact with the highest (epoch, resource version) holds, of each measurement and
of a cluster's reachability the one with the highest (epoch, time observed). So the order of
partitions does not matter, a fact seen twice changes nothing, a zombie of a lower epoch changes
nothing that the newer one has spoken of, and what is gone stays gone.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar, assert_never

from midstage.contracts.cluster import (
    ClusterFact,
    ClusterReached,
    ClusterUnreachable,
    EndpointsObserved,
    Kind,
    NodeObserved,
    NodeUsed,
    ObjectGone,
    PodObserved,
    PodUsed,
    QuotaUsed,
    WorkloadObserved,
    key_of,
)

GONE_KEPT: Final = 20_000
"""So many objects that are gone are remembered, the latest ones, lest a late fact revive them."""

Living = NodeObserved | PodObserved | WorkloadObserved | EndpointsObserved
Used = PodUsed | NodeUsed | QuotaUsed
Reach = ClusterReached | ClusterUnreachable
T = TypeVar("T")
F = TypeVar("F", Used, Reach)


class Folded(StrEnum):
    """What a fact was to the fold; only ``NEWER`` has changed it."""

    NEWER = "newer"
    SAME = "same"  # seen before
    OLDER = "older"  # something newer is known: late, out of order, or a zombie's


def kind_of(fact: ClusterFact) -> Kind:  # noqa: PLR0911  a kind for each
    """The kind of thing that ``fact`` is about."""
    match fact:
        case NodeObserved() | NodeUsed():
            return Kind.NODE
        case PodObserved() | PodUsed():
            return Kind.POD
        case WorkloadObserved():
            return Kind.WORKLOAD
        case EndpointsObserved():
            return Kind.ENDPOINTS
        case ObjectGone():
            return fact.kind
        case QuotaUsed():
            return Kind.QUOTA
        case ClusterReached() | ClusterUnreachable():
            return Kind.CLUSTER
        case _:
            assert_never(fact)


def key_of_fact(fact: ClusterFact) -> str:
    """The key under which ``fact`` stands in the topics."""
    return key_of(
        cluster=fact.cluster, kind=kind_of(fact), namespace=fact.namespace, name=fact.name
    )


class Inventory:
    """The newest of everything; ``apply`` takes constant time. Not for two threads at once.

    ``version`` grows with each change, so a reader can see whether anything did.
    """

    def __init__(self, facts: Iterable[ClusterFact] = ()) -> None:
        """Begin with ``facts``, in any order."""
        self.version = 0
        self._living: dict[str, Living] = {}
        self._gone: dict[str, ObjectGone] = {}
        self._used: dict[str, Used] = {}
        self._reach: dict[str, Reach] = {}
        self._epochs: dict[str, int] = {}
        self._nodes: dict[str, NodeObserved] = {}
        self._pods: dict[str, dict[str, PodObserved]] = {}
        self._workloads: dict[str, dict[str, WorkloadObserved]] = {}
        self._endpoints: dict[str, EndpointsObserved] = {}
        self._quotas: dict[tuple[str, str], dict[str, QuotaUsed]] = {}
        self._pod_keys: list[str] | None = []
        for fact in facts:
            self.apply(fact)

    def apply(self, fact: ClusterFact) -> Folded:
        """Take one fact in."""
        if fact.epoch > self._epochs.get(fact.cluster, -1):
            self._epochs[fact.cluster] = fact.epoch
        match fact:
            case (
                NodeObserved()
                | PodObserved()
                | WorkloadObserved()
                | EndpointsObserved()
                | ObjectGone()
            ):
                folded = self._see(key_of_fact(fact), fact)
            case PodUsed() | NodeUsed() | QuotaUsed():
                folded = self._measure(key_of_fact(fact), fact)
            case ClusterReached() | ClusterUnreachable():
                folded = _newest(self._reach, fact.cluster, fact)
            case _:
                assert_never(fact)
        if folded is Folded.NEWER:
            self.version += 1
        return folded

    def nodes(self) -> Sequence[NodeObserved]:
        """All nodes, by cluster and name."""
        return _sorted(self._nodes.items())

    def pods(self) -> Sequence[PodObserved]:
        """All pods, by cluster, namespace and name."""
        if self._pod_keys is None:  # one came or went: their order is asked for far more often
            self._pod_keys = sorted(key for pods in self._pods.values() for key in pods)
        found = map(self._living.get, self._pod_keys)
        return [each for each in found if isinstance(each, PodObserved)]

    def pods_of(self, app: str) -> Sequence[PodObserved]:
        """The pods of one application, by cluster, namespace and name."""
        return _sorted(self._pods.get(app, {}).items())

    def workloads(self) -> Sequence[WorkloadObserved]:
        """All workloads, by cluster, namespace and name."""
        return _sorted(each for held in self._workloads.values() for each in held.items())

    def workloads_of(self, app: str) -> Sequence[WorkloadObserved]:
        """The workloads of one application, by cluster, namespace and name."""
        return _sorted(self._workloads.get(app, {}).items())

    def endpoints(self) -> Sequence[EndpointsObserved]:
        """All slices of endpoints, by cluster, namespace and name."""
        return _sorted(self._endpoints.items())

    def node(self, *, cluster: str, name: str) -> NodeObserved | None:
        """One node; None where it is gone or was never there."""
        return self._nodes.get(key_of(cluster=cluster, kind=Kind.NODE, namespace="", name=name))

    def pod(self, *, cluster: str, namespace: str, name: str) -> PodObserved | None:
        """One pod; None where it is gone or was never there."""
        found = self._living.get(
            key_of(cluster=cluster, kind=Kind.POD, namespace=namespace, name=name)
        )
        return found if isinstance(found, PodObserved) else None

    def usage(self, pod: PodObserved) -> PodUsed | None:
        """What the pod used when it was measured last; None: not measured yet."""
        found = self._used.get(key_of_fact(pod))
        return found if isinstance(found, PodUsed) else None

    def node_usage(self, node: NodeObserved) -> NodeUsed | None:
        """What the node used when it was measured last; None: not measured yet."""
        found = self._used.get(key_of_fact(node))
        return found if isinstance(found, NodeUsed) else None

    def quotas(self, *, cluster: str, namespace: str) -> Sequence[QuotaUsed]:
        """The quotas of a namespace as they were told last, by name; one that is gone stays."""
        return _sorted(self._quotas.get((cluster, namespace), {}).items())

    def clusters(self) -> Sequence[str]:
        """The names of all clusters ever heard of."""
        return sorted(self._epochs)

    def reached_at(self, cluster: str) -> datetime | None:
        """Up to when the cluster answered, as last heard; None: it was never heard of."""
        match self._reach.get(cluster):
            case ClusterReached(observed_at=at) | ClusterUnreachable(since=at):
                return at
            case None:
                return None

    def unreachable(self, cluster: str) -> ClusterUnreachable | None:
        """Why the cluster can't be asked now; None: it can, or nothing is known of it."""
        newest = self._reach.get(cluster)
        return newest if isinstance(newest, ClusterUnreachable) else None

    def epoch(self, cluster: str) -> int:
        """The highest epoch seen in the cluster's facts; 0: none."""
        return self._epochs.get(cluster, 0)

    def newest(self, key: str) -> Living | ObjectGone | None:
        """What holds of the object under ``key``; None: nothing was ever said."""
        return self._living.get(key) or self._gone.get(key)

    def objects(self, cluster: str) -> Sequence[Living]:
        """All that is there in one cluster, by key."""
        return _sorted(each for each in self._living.items() if each[1].cluster == cluster)

    def gone(self, cluster: str, *, before: datetime) -> Sequence[ObjectGone]:
        """What of one cluster was gone ``before``, as far as it is remembered."""
        held = self._gone.values()
        return [each for each in held if each.cluster == cluster and each.observed_at < before]

    def forget(self, fact: ObjectGone) -> None:
        """Remember no more that it is gone; nothing where something newer is known."""
        key = key_of_fact(fact)
        if self._gone.get(key) == fact:
            del self._gone[key]

    def _see(self, key: str, fact: Living | ObjectGone) -> Folded:
        known = self.newest(key)
        if known is not None:
            if known == fact:
                return Folded.SAME
            if _order(fact) <= _order(known):
                return Folded.OLDER
            self._forget(key)
        if known is None or isinstance(known, ObjectGone) or isinstance(fact, ObjectGone):
            self._pod_keys = None
        if isinstance(fact, ObjectGone):
            self._bury(key, fact)
        else:
            self._keep(key, fact)
        return Folded.NEWER

    def _keep(self, key: str, fact: Living) -> None:
        self._living[key] = fact
        match fact:
            case NodeObserved():
                self._nodes[key] = fact
            case PodObserved():
                self._pods.setdefault(fact.app, {})[key] = fact
            case WorkloadObserved():
                self._workloads.setdefault(fact.app, {})[key] = fact
            case EndpointsObserved():
                self._endpoints[key] = fact
            case _:
                assert_never(fact)

    def _bury(self, key: str, fact: ObjectGone) -> None:
        self._used.pop(key, None)
        self._gone[key] = fact
        if len(self._gone) > GONE_KEPT:
            del self._gone[next(iter(self._gone))]

    def _forget(self, key: str) -> None:
        self._gone.pop(key, None)
        match self._living.pop(key, None):
            case NodeObserved():
                del self._nodes[key]
            case PodObserved(app=app):
                _drop(self._pods, app, key)
            case WorkloadObserved(app=app):
                _drop(self._workloads, app, key)
            case EndpointsObserved():
                del self._endpoints[key]
            case None:
                pass

    def _measure(self, key: str, fact: Used) -> Folded:
        folded = Folded.OLDER if key in self._gone else _newest(self._used, key, fact)
        if folded is Folded.NEWER and isinstance(fact, QuotaUsed):
            self._quotas.setdefault((fact.cluster, fact.namespace), {})[key] = fact
        return folded


def _order(fact: Living | ObjectGone) -> tuple[int, int, bool]:
    return fact.epoch, fact.resource_version, isinstance(fact, ObjectGone)


def _time_order(fact: Used | Reach) -> tuple[int, datetime, bool]:
    return fact.epoch, fact.observed_at, isinstance(fact, ClusterUnreachable)


def _newest(held: dict[str, F], key: str, fact: F) -> Folded:
    known = held.get(key)
    if known is not None and _time_order(fact) <= _time_order(known):
        return Folded.SAME if known == fact else Folded.OLDER
    held[key] = fact
    return Folded.NEWER


def _sorted(held: Iterable[tuple[str, T]]) -> Sequence[T]:
    return [value for _, value in sorted(held, key=lambda each: each[0])]


def _drop(held: dict[str, dict[str, T]], app: str, key: str) -> None:
    del held[app][key]
    if not held[app]:
        del held[app]
