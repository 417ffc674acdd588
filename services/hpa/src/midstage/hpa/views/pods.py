"""Which pods of an application count, and whether its clusters can be asked.

Pods that end, drain or are lost do not count; all others are ready, or capacity that comes. A
figure that is too old is unknown, whoever folded it.
"""

from datetime import datetime, timedelta
from math import ceil
from typing import Final

from msgspec import UNSET, UnsetType

from midstage.contracts.cluster import Phase, PodObserved
from midstage.contracts.inventory import Inventory
from midstage.contracts.scaling import PodInput
from midstage.hpa.decide.figures import known

FORGOTTEN: Final = timedelta(seconds=60)
CLUSTER_FORGOTTEN: Final = timedelta(minutes=3)
SLOWEST_S: Final = 3600.0
"""Who was ready later than that was ready before, too."""
_SECOND: Final = timedelta(seconds=1)
_COUNTS: Final = frozenset({Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.BACKOFF})


def pods(inventory: Inventory, app: str, now: datetime) -> tuple[PodInput, ...]:
    """The pods that count, by cluster, namespace and name."""
    return tuple(
        _input(inventory, pod, now)
        for pod in inventory.pods_of(app)
        if pod.phase in _COUNTS and not pod.draining
    )


def reached_at(inventory: Inventory, app: str, now: datetime) -> datetime | None:
    """When the clusters with its pods (none: all clusters) were last reached, the oldest of them.

    None: one is unreachable or was silent for minutes, or there is no cluster.
    """
    names = {pod.cluster for pod in inventory.pods_of(app)} or set(inventory.clusters())
    reached = [_reached(inventory, name, now) for name in names]
    known = [at for at in reached if at is not None]
    return min(known) if known and len(known) == len(reached) else None


def cold_start_s(inventory: Inventory, app: str) -> float | None:
    """In that many seconds from being made nine of ten pods became ready; None: none is known.

    A pod that began again, or lost its readiness meanwhile, says nothing of it.
    """
    took = sorted(
        (pod.ready_at - pod.created_at) / _SECOND
        for pod in inventory.pods_of(app)
        if pod.ready and pod.ready_at is not None and not pod.restarts
    )
    believed = [each for each in took if 0 <= each <= SLOWEST_S]
    return believed[ceil(0.9 * len(believed)) - 1] if believed else None


def _input(inventory: Inventory, pod: PodObserved, now: datetime) -> PodInput:
    used = inventory.usage(pod)
    fresh = used is not None and now - used.observed_at <= FORGOTTEN
    found = used if fresh else None
    return PodInput(
        name=pod.name,
        ready=pod.ready,
        cpu=None if found is None else found.cpu,
        cpu_requested=pod.requests.cpu,
        cpu_at=None if found is None else found.observed_at,
        phase=pod.phase,
        started_at=pod.created_at if pod.phase is Phase.PENDING else pod.started_at,
        ready_at=pod.ready_at,
        memory_mb=None if found is None else found.memory_mb,
        memory_requested_mb=pod.requests.memory_mb,
        gpu=None if found is None else found.gpu,
        gpus_requested=pod.requests.gpus,
        gpu_memory_mb=_told(None if found is None else found.gpu_memory_mb),
        gpu_memory_total_mb=_told(None if found is None else found.gpu_memory_total_mb),
    )


def _told(figure: float | None) -> float | UnsetType:
    """Of what can be no measurement nothing."""
    found = known(figure)
    return UNSET if found is None else found


def _reached(inventory: Inventory, cluster: str, now: datetime) -> datetime | None:
    at = inventory.reached_at(cluster)
    if at is None or inventory.unreachable(cluster) is not None or now - at > CLUSTER_FORGOTTEN:
        return None
    return at
