"""Whether a replica serves, drains, or is drained: only what Envoy's own figures say.

Envoy's main thread shows a replica as draining before each worker has heard of it, so a request
can still begin a moment later. A replica is drained when it was told to end, Envoy shows it as
draining for ``QUIET_S`` without a request that began or waits for a connection, and none is open.
"""

from midstage.contracts.routes import Way
from midstage.gateway.model.apps import Replica
from midstage.gateway.model.inforce import Host, Standing, Watch

QUIET_S = 0.5
"""Workers hear of a change at their next turn, which takes milliseconds (without merge window)."""


def standing(
    replica: Replica, host: Host | None, *, before: Watch | None, now_s: float
) -> Standing | None:
    """What is so with a replica that Envoy shows as ``host``; None where nothing can be said yet.

    ``before`` is what the last look has found, None at the first one or where the replica was not
    out then. A replica that Envoy does not know (yet) is not drained: its list may be refused.
    """
    if host is None:
        return Standing(way=Way.DRAINING, active=0) if replica.out else None
    if not host.draining:
        return _serving(host)
    watch = _watched(replica, host, before=before, now_s=now_s)
    quiet = now_s - watch.since_s >= QUIET_S
    empty = not (host.active or host.waiting)
    drained = replica.ending and quiet and empty
    return Standing(
        way=Way.DRAINED if drained else Way.DRAINING,
        active=host.active + host.waiting,
        watch=watch,
    )


def _serving(host: Host) -> Standing | None:
    if host.checking:
        return None
    return Standing(way=Way.DRAINING if host.failing else Way.SERVING, active=host.active)


def _watched(replica: Replica, host: Host, *, before: Watch | None, now_s: float) -> Watch:
    if before is not None and before.replica == replica and before.begun == host.begun:
        return before
    return Watch(replica=replica, begun=host.begun, since_s=now_s)
