"""What the quotas of an application's namespace have room for, in replicas of it.

A quota bounds the pods of all applications together: what others use is gone, what this one's own
pods use is room for it. What was not told lately is unknown, and bounds nothing.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from midstage.contracts.cluster import Amount, QuotaUsed
from midstage.contracts.inventory import Inventory
from midstage.contracts.quotas import taken, taken_by
from midstage.contracts.scaling import Quota
from midstage.hpa.decide.figures import MOST_REPLICAS, down, shown
from midstage.hpa.views.pods import FORGOTTEN

_MIB: Final = 1024 * 1024


def quota(inventory: Inventory, app: str, each: Amount, now: datetime) -> Quota | None:
    """The least room of all its quotas, for replicas that request ``each``.

    None: no quota says, or it is not known in which one namespace the application is.
    """
    place = _place(inventory, app)
    if place is None:
        return None
    cluster, namespace = place
    told = inventory.quotas(cluster=cluster, namespace=namespace)
    fresh = [fact for fact in told if now - fact.observed_at <= FORGOTTEN]
    rooms = [room for fact in fresh for room in _rooms(fact, inventory, app, taken(each))]
    return min(rooms, key=lambda room: room.replicas, default=None)


def _place(inventory: Inventory, app: str) -> tuple[str, str] | None:
    """Cluster and namespace, where there is only one."""
    of = inventory.pods_of(app) or inventory.workloads_of(app)
    places = {(fact.cluster, fact.namespace) for fact in of}
    return places.pop() if len(places) == 1 else None


def _rooms(
    fact: QuotaUsed, inventory: Inventory, app: str, each: Mapping[str, float]
) -> Iterator[Quota]:
    """The room in each thing that the quota bounds and a replica takes.

    Its own pods are those that the quota had counted: one that came since is not in ``used`` yet.
    """
    counted = [pod.requests for pod in inventory.pods_of(app) if pod.created_at <= fact.observed_at]
    own = taken_by(counted, fact.hard)
    for name, hard in fact.hard.items():
        need, used = each.get(name, 0.0), fact.used.get(name, 0.0)
        if need <= 0 or not math.isfinite(hard) or not math.isfinite(used):
            continue
        others = max(0.0, used - own[name])
        room = down(min(max(0.0, hard - others) / need, MOST_REPLICAS))
        yield Quota(
            replicas=room,
            reason=f"quota {fact.name} has {_amount(name, hard)} {name}, others use "
            f"{_amount(name, others)} of it, a replica takes {_amount(name, need)}",
            observed_at=fact.observed_at,
        )


def _amount(name: str, amount: float) -> str:
    return f"{shown(amount / _MIB)} MiB" if name.endswith("memory") else shown(amount)
