"""What every cluster can do, the local one as Kubernetes; one conformance suite runs over all.

Reading is list, then watch from the listing's resource version. Writing is optimistic: each write
names the resource version that it was decided from, and is refused where the object has changed
since, so a zombie's late write undoes nothing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from datetime import timedelta
from typing import Protocol

from midstage.cluster.objects import (
    Change,
    Lease,
    Listing,
    Node,
    NodeUse,
    Pod,
    PodUse,
    Preview,
    QuotaUse,
    Reference,
    Workload,
)
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.running import Disruption


class ConflictError(RefusedError):
    """The object is not as the writer believes: read again and decide anew."""

    def __init__(self, detail: str) -> None:
        """Name the object and what it is now."""
        super().__init__(detail, status=409)


class ExpiredError(UnavailableError):
    """The watch's beginning is too long ago (410): list again."""


Ending = Set[tuple[str, int]] | None
"""Uid and resource version of each pod that a write may end; None: whichever.

Facts of pods and workloads come at different times, so a fresh version of the one proves nothing
about the other: whoever must end no pod but those that are drained says which, as they were seen.
Pods that were never ready may always end.
"""


class Cluster(Protocol):
    """One cluster. Every method raises UnavailableError where it can't be asked now."""

    name: str

    def list(self) -> Listing:
        """Everything at one moment."""
        ...

    def watch(self, since: int) -> Iterator[Change]:
        """Each change after resource version ``since``, in order, without end; bookmarks at least
        each 5 s while nothing changes.

        ExpiredError where the cluster does not remember so far back; UnavailableError where the
        connection breaks. Closing the iterator lets go of the connection.
        """
        ...

    def put_workload(self, workload: Workload, *, expected: int, ending: Ending = None) -> Workload:
        """Make it so; ``expected`` is the resource version it was decided from, 0: there is none.

        What the cluster tells by itself (``drift``, ``ready``, uid, version) is not taken.
        ConflictError where it is another one now, or carries a higher version of the logs, or
        where a pod not in ``ending`` would end. To fewer replicas pods end in Kubernetes' order:
        those on no node, those not started yet, those not ready, of the ready ones those that are
        draining, then most often the youngest; each gets SIGTERM, its grace, SIGKILL.
        """
        ...

    def scale_workload(
        self, name: str, *, replicas: int, expected: int, ending: Ending = None
    ) -> Workload:
        """Change the count alone, of whatever runs there; all else, as in ``put_workload``."""
        ...

    def adopt(self, name: str, *, app: str) -> Workload:
        """Take over the workload ``name`` that somebody else made, as one of ``app`` in revision
        ``adopted``: it and its pods are marked, and run on as they are. Again, it marks the pods
        that were made since.

        RefusedError (404) where there is none, (409) where it is ours already, is changing just
        now, or somebody would go on setting it.
        """
        ...

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        """What ``put_workload`` would change, and why the cluster would not take it; nothing is
        done. RefusedError and ConflictError as there; the versions of the logs are no change.
        """
        ...

    def delete_workload(self, name: str, *, expected: int, ending: Ending = None) -> None:
        """Remove it with its pods; nothing where it is gone already; ConflictError as above."""
        ...

    def drain_pod(self, name: str, *, uid: str, draining: bool) -> Pod:
        """Mark a pod to be taken out of all balancers, or take the mark back; it runs on.

        ConflictError where there is no pod of that name with that uid.
        """
        ...

    def usage(self) -> Sequence[PodUse]:
        """What each running pod uses, measured over the last seconds."""
        ...

    def node_usage(self) -> Sequence[NodeUse]:
        """What each node uses, measured over the last seconds; a node not measured is left out."""
        ...

    def quotas(self) -> Sequence[QuotaUse]:
        """The quotas of the namespace as they are counted now; none where there are none.

        RefusedError where they may not be looked at.
        """
        ...

    def cordon(self, node: str, *, on: bool, emptied: bool = False) -> Node:
        """Let the node take no new pods, or take them again; its pods run on.

        ``emptied`` says beside it that they shall move; whoever cares for them sees to it.
        RefusedError (404) where there is no such node.
        """
        ...

    def evict_pod(self, name: str, *, uid: str) -> None:
        """End a pod so that it comes back elsewhere, as its application's disruption lets.

        UnavailableError where another one has to be ready first: try again. ConflictError where
        there is no pod of that name with that uid.
        """
        ...

    def logs(
        self, pod: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> Iterator[bytes]:
        """What a pod wrote, in pieces as they come; of the ``previous`` process where it restarted.

        RefusedError (404) where there is no such pod.
        """
        ...

    def take_lease(self, name: str, *, holder: str, within: timedelta) -> Lease:
        """Hold the lease ``name`` for ``within`` from now: renew it while it is one's own, take it
        when it has run out; else the lease of whoever holds it is answered.
        """
        ...

    def astray(self, wanted: Mapping[str, Disruption | None]) -> Mapping[str, tuple[str, ...]]:
        """What somebody has made of that which goes with workloads (services, budgets), by
        application of those ``wanted``; as drift, ``manager: path``. The next ``put_workload`` of
        one puts it right, or leaves it, as of the workload's own fields.
        """
        ...

    def references(self, references: Collection[Reference]) -> Mapping[Reference, str]:
        """Of each secret and config that is there, what changes with its content, and tells
        nothing of it.
        """
        ...
