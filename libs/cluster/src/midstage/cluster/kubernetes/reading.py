"""The reading half of ``Cluster`` on Kubernetes: everything at one moment, then each change.

``list`` remembers what it left out (pods that are over) for the watches that begin there.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import Discovery
from midstage.cluster.kubernetes.following import SILENT_S, Following
from midstage.cluster.kubernetes.initial import Initial
from midstage.cluster.kubernetes.kinds import Kind, kinds_of
from midstage.cluster.kubernetes.listing import Pages, everything
from midstage.cluster.kubernetes.places import Places
from midstage.cluster.kubernetes.watching import Merged
from midstage.cluster.objects import Change, Endpoints, Item, Listing, Node, Pod, Workload
from midstage.cluster.protocol import ExpiredError

Item_ = TypeVar("Item_", Node, Pod, Workload, Endpoints)

_LISTINGS_KEPT = 8


class Reading:
    """Lists and watches; ``silent_s`` is how long a watch may say nothing at all."""

    def __init__(
        self,
        connection: Connection,
        discovery: Discovery,
        *,
        namespace: str,
        silent_s: float = SILENT_S,
    ) -> None:
        """Ask nothing yet; ``places`` is where the pods are that it has told of."""
        self._connection = connection
        self._discovery = discovery
        self._kinds: tuple[Kind, ...] = tuple(kinds_of(namespace))
        self._pages = Pages(connection, discovery)
        self._initial = Initial(connection, discovery)
        self._silent_s = silent_s
        self._over: dict[int, frozenset[str]] = {}
        self.places = Places(lambda: self.list().pods)

    def list(self) -> Listing:
        """As ``Cluster.list``."""
        *others, pods = self._kinds
        version, found = everything(self._pages, self._initial, pods, others)
        self._remember(version, frozenset(each.item.uid for each in found if not each.there))
        items = [each.item for each in found if each.there]
        listing = Listing(
            resource_version=version,
            nodes=_of(items, Node),
            pods=_of(items, Pod),
            workloads=_of(items, Workload),
            endpoints=_of(items, Endpoints),
        )
        self.places.listed(listing.pods)
        return listing

    def watch(self, since: int) -> Iterator[Change]:
        """As ``Cluster.watch``; in order within each kind."""
        newest = self._pages.newest(self._kinds[0])
        if not 0 < since <= newest:
            raise ExpiredError(
                f"{self._connection.name} is at version {newest}, and was never at {since}: "
                "list again"
            )
        over = self._over.get(since, frozenset())
        kinds = [
            Following(
                self._connection,
                self._discovery,
                kind,
                since=since,
                over=over,
                silent_s=self._silent_s,
            )
            for kind in self._kinds
        ]
        for change in Merged(kinds, since=since).changes():
            self.places.changed(change)
            yield change

    def _remember(self, version: int, over: frozenset[str]) -> None:
        kept = {**self._over, version: over}
        self._over = {each: kept[each] for each in sorted(kept)[-_LISTINGS_KEPT:]}


def _of(items: Sequence[Item], kind: type[Item_]) -> tuple[Item_, ...]:
    return tuple(item for item in items if isinstance(item, kind))
