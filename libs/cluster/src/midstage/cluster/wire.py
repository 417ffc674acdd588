"""The HTTP API of a local cluster as both its ends speak it: paths and bodies, JSON by msgspec.

Objects travel as they are in ``objects``. Errors are problem documents: 409 is a ConflictError, 410
an ExpiredError, another 4xx refused, everything else unavailable. A watch answers one ``Change`` a
line, a bookmark each 2 s.
"""

import msgspec

from midstage.cluster.objects import PodUse, Workload

OBJECTS = "/v1/objects"
WATCH = "/v1/watch"
WORKLOADS = "/v1/workloads"
PODS = "/v1/pods"
NODES = "/v1/nodes"
USAGE = "/v1/usage"
LEASES = "/v1/leases"
FAULTS = "/v1/faults"
BOOKMARK_S = 2.0


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of the bodies that are no objects."""


class WorkloadPut(Body, frozen=True, kw_only=True):
    """``PUT /v1/workloads/{name}``; answers the workload as it is now.

    ``PUT /v1/workloads/{name}/preview`` answers a Preview, and does nothing.
    """

    workload: Workload
    expected: int
    ending: tuple[tuple[str, int], ...] | None = None


class WorkloadScaled(Body, frozen=True, kw_only=True):
    """``PUT /v1/workloads/{name}/scaled``; answers the workload as it is now."""

    replicas: int
    expected: int
    ending: tuple[tuple[str, int], ...] | None = None


class WorkloadAdopted(Body, frozen=True, kw_only=True):
    """``PUT /v1/workloads/{name}/adopted``; refused: nobody else makes workloads here."""

    app: str


class WorkloadDeleted(Body, frozen=True, kw_only=True):
    """``PUT /v1/workloads/{name}/deleted``; also where it is gone already."""

    expected: int
    ending: tuple[tuple[str, int], ...] | None = None


class Done(Body, frozen=True, kw_only=True):
    """It is so."""


class PodDrained(Body, frozen=True, kw_only=True):
    """``PUT /v1/pods/{name}/draining``; answers the pod as it is now."""

    uid: str
    draining: bool


class PodEvicted(Body, frozen=True, kw_only=True):
    """``PUT /v1/pods/{name}/evicted``; unavailable while its application can't spare it."""

    uid: str


class NodeCordoned(Body, frozen=True, kw_only=True):
    """``PUT /v1/nodes/{name}/cordoned``; answers the node as it is now."""

    on: bool
    emptied: bool = False


class LeaseTaken(Body, frozen=True, kw_only=True):
    """``PUT /v1/leases/{name}``; answers the lease of whoever holds it now."""

    holder: str
    within_s: float


class Usage(Body, frozen=True, kw_only=True):
    """What ``GET /v1/usage`` answers."""

    pods: tuple[PodUse, ...] = ()


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a problem document."""

    detail: str = ""
