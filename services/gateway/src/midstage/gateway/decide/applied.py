"""What this edge says of its routes, from what Envoy was told and what Envoy says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from midstage.contracts.fact import Event
from midstage.contracts.routes import ROUTES_APPLIED, Endpoint, RoutesApplied, Way
from midstage.gateway.decide.ways import standing
from midstage.gateway.model.apps import App, Homeless, Place, Replica
from midstage.gateway.model.inforce import Seen, Standing, Watch

Watches = Mapping[Place, Watch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at Envoy: what is so with each replica of each application.

    ``settled``: nothing that Envoy was told is still to come, and nobody waits for a drain.
    """

    apps: Mapping[str, tuple[Endpoint, ...]]
    watches: Watches
    settled: bool


def looked(told: Sequence[App], seen: Seen, *, before: Watches, now_s: float) -> Look:
    """From ``before``, the watches of the last look, to this one at ``now_s`` (monotonic)."""
    by_app: dict[str, tuple[Endpoint, ...]] = {}
    watches: dict[Place, Watch] = {}
    settled = True
    for app in told:
        endpoints = [_drained(homeless) for homeless in app.homeless]
        for replica in app.replicas:
            place = app.name, replica.endpoint
            found = standing(replica, seen.hosts.get(place), before=before.get(place), now_s=now_s)
            settled = settled and _settled(replica, found)
            if found is not None:
                endpoints.append(_endpoint(replica, found))
            if found is not None and found.watch is not None:
                watches[place] = found.watch
        by_app[app.name] = tuple(sorted(endpoints, key=lambda each: (each.pod, each.address)))
    return Look(apps=by_app, watches=watches, settled=settled)


def fact(
    app: str, *, edge: str, at: datetime, routed: App | None, endpoints: Sequence[Endpoint]
) -> RoutesApplied:
    """What is said; ``routed`` is the application as the routes in force have it, if they do."""
    return RoutesApplied(
        edge=edge,
        app=app,
        at=at,
        spec_version=routed.version if routed else 0,
        prefix=routed.prefix if routed else "",
        hosts=routed.hosts if routed else (),
        endpoints=tuple(endpoints),
    )


def same(one: RoutesApplied, other: RoutesApplied) -> bool:
    """Whether both say the same; requests come and go, so their number is nothing new."""
    return _essence(one) == _essence(other)


def event(said: RoutesApplied) -> Event[RoutesApplied]:
    """As it is written, of source ``edges/<edge>``."""
    return Event(
        id=f"{said.app}/{said.at.isoformat()}",
        source=f"edges/{said.edge}",
        type=ROUTES_APPLIED,
        time=said.at,
        subject=said.app,
        data=said,
    )


def _essence(said: RoutesApplied) -> RoutesApplied:
    endpoints = tuple(msgspec.structs.replace(each, active=0) for each in said.endpoints)
    return msgspec.structs.replace(said, at=datetime.min.replace(tzinfo=UTC), endpoints=endpoints)


def _settled(replica: Replica, found: Standing | None) -> bool:
    if found is None:
        return False
    if not replica.out:
        return True
    if replica.ending:
        return found.way is Way.DRAINED
    return found.watch is not None


def _endpoint(replica: Replica, found: Standing) -> Endpoint:
    return Endpoint(
        pod=replica.pod or str(replica.endpoint),
        address=str(replica.endpoint),
        way=found.way,
        active=found.active,
        cluster=replica.cluster,
        revision=replica.revision,
        uid=replica.uid,
        resource_version=replica.resource_version,
    )


def _drained(homeless: Homeless) -> Endpoint:
    return Endpoint(
        pod=homeless.pod,
        address="",
        way=Way.DRAINED,
        cluster=homeless.cluster,
        revision=homeless.revision,
        uid=homeless.uid,
        resource_version=homeless.resource_version,
    )
