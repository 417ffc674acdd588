"""The replicas of one application as they are seen: those of the wanted revision, and older ones.

A crew is one workload with the pods that the cluster counts as its replicas. Facts of a workload
and of its pods come in any order: a crew with more pods than replicas is not settled, because the
cluster is ending some of them, and nothing is decided about it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from midstage.contracts.cluster import Phase, PodObserved, WorkloadObserved
from midstage.deploy.decide.room import is_living
from midstage.deploy.model import Situation

UNSCHEDULABLE = "Unschedulable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """One workload and its living pods."""

    workload: WorkloadObserved
    pods: tuple[PodObserved, ...]

    @property
    def replicas(self) -> int:
        """How many the cluster was told."""
        return self.workload.replicas

    @property
    def settled(self) -> bool:
        """Whether the pods seen are all of those that the cluster means to keep."""
        return len(self.pods) <= self.replicas

    @property
    def draining(self) -> frozenset[str]:
        """The uids of the pods that are marked."""
        return frozenset(pod.uid for pod in self.pods if pod.draining)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """``new`` runs the wanted revision (None: no such workload yet), ``old`` all others."""

    new: Crew | None
    old: tuple[Crew, ...]

    @property
    def crews(self) -> tuple[Crew, ...]:
        """All of them, the new one first."""
        return ((self.new,) if self.new else ()) + self.old

    @property
    def new_pods(self) -> tuple[PodObserved, ...]:
        """The living pods of the wanted revision."""
        return self.new.pods if self.new else ()

    @property
    def old_pods(self) -> tuple[PodObserved, ...]:
        """The living pods of all other revisions."""
        return tuple(pod for crew in self.old for pod in crew.pods)

    @property
    def new_replicas(self) -> int:
        """What the cluster was told of the wanted revision."""
        return self.new.replicas if self.new else 0

    @property
    def old_replicas(self) -> int:
        """What the cluster was told of all others."""
        return sum(crew.replicas for crew in self.old)


def fleet_of(situation: Situation, revision: str) -> Fleet:
    """The fleet, seen with ``revision`` as the wanted one."""
    crews = [
        Crew(workload=workload, pods=_pods_of(workload, situation.pods))
        for workload in sorted(situation.workloads, key=lambda each: each.name)
    ]
    return Fleet(
        new=next((crew for crew in crews if crew.workload.revision == revision), None),
        old=tuple(crew for crew in crews if crew.workload.revision != revision),
    )


def serves(pod: PodObserved) -> bool:
    """Whether new requests go to the pod."""
    return pod.ready and not pod.draining


def serving(pods: Iterable[PodObserved]) -> int:
    """How many of the pods new requests go to."""
    return sum(1 for pod in pods if serves(pod))


def unschedulable(pods: Iterable[PodObserved]) -> int:
    """How many of the pods have no node because none has room."""
    return sum(1 for pod in pods if is_unschedulable(pod))


def is_unschedulable(pod: PodObserved) -> bool:
    """Whether it has no node because none has room."""
    return pod.phase is Phase.PENDING and pod.reason == UNSCHEDULABLE


def serving_revision(crews: Sequence[Crew]) -> str:
    """The revision of the crew that serves most; empty where there is none."""
    best = max(crews, key=lambda crew: (serving(crew.pods), len(crew.pods)), default=None)
    return best.workload.revision if best else ""


def _pods_of(workload: WorkloadObserved, pods: Sequence[PodObserved]) -> tuple[PodObserved, ...]:
    return tuple(pod for pod in pods if pod.workload == workload.name and is_living(pod))
