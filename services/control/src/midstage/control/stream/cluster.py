"""The part of a cluster that control reads, and how its absence is told apart from the log's."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

from midstage.cluster.objects import Change, Lease, Listing, NodeUse, PodUse, QuotaUse
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.errors import RefusedError, UnavailableError

T = TypeVar("T")


class Watched(Protocol):
    """What is asked of a cluster; ``midstage.cluster.protocol.Cluster`` has it."""

    name: str

    def list(self) -> Listing:
        """Everything at one moment."""
        ...

    def watch(self, since: int) -> Iterator[Change]:
        """Each change after ``since``, without end."""
        ...

    def usage(self) -> Sequence[PodUse]:
        """What each pod uses."""
        ...

    def node_usage(self) -> Sequence[NodeUse]:
        """What each node uses."""
        ...

    def quotas(self) -> Sequence[QuotaUse]:
        """What the namespace may have."""
        ...

    def take_lease(self, name: str, *, holder: str, within: timedelta) -> Lease:
        """Hold a lease, or be told whose it is."""
        ...


class AwayError(UnavailableError):
    """The cluster can't be asked (not the log): that is a fact to be written."""


class WatchEndedError(UnavailableError):
    """The watch broke off: whether the cluster is away, the next question tells."""


def asked(question: Callable[[], T]) -> T:
    """What the cluster answers; AwayError where it does not, or refuses us.

    ExpiredError passes: the cluster is there, only the watch's beginning is too old.
    """
    try:
        return question()
    except ExpiredError:
        raise
    except (UnavailableError, RefusedError) as e:
        raise AwayError(str(e)) from e
