"""Which pods of an application count, and whether its clusters can be asked.

Pods that end, drain or are lost do not count; all others are ready, or capacity that comes. A
figure that is too old is unknown, whoever folded it.
"""

from datetime import datetime, timedelta
from typing import Final

from midstage.contracts.cluster import Phase, PodObserved
from midstage.contracts.inventory import Inventory
from midstage.contracts.scaling import PodInput

FORGOTTEN: Final = timedelta(seconds=60)
CLUSTER_FORGOTTEN: Final = timedelta(minutes=3)
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


def _input(inventory: Inventory, pod: PodObserved, now: datetime) -> PodInput:
    used = inventory.usage(pod)
    fresh = used is not None and now - used.observed_at <= FORGOTTEN
    return PodInput(
        name=pod.name,
        ready=pod.ready,
        cpu=used.cpu if used is not None and fresh else None,
        cpu_requested=pod.requests.cpu,
        cpu_at=used.observed_at if used is not None and fresh else None,
    )


def _reached(inventory: Inventory, cluster: str, now: datetime) -> datetime | None:
    at = inventory.reached_at(cluster)
    if at is None or inventory.unreachable(cluster) is not None or now - at > CLUSTER_FORGOTTEN:
        return None
    return at
