"""One kind watched from one version on: each change in order, over the ends of single watches.

The server ends each watch after some seconds by our own wish, and the next one goes on where it
ended; so a connection on which nothing comes for longer is half open, and nothing is missed. An
object that is over for good is told gone once, whenever the API removes it.
"""

import time
from collections.abc import Callable, Iterator

from midstage.cluster.kubernetes.connection import Connection, Stream
from midstage.cluster.kubernetes.discovery import Discovery
from midstage.cluster.kubernetes.events import Mark, Seen, events
from midstage.cluster.kubernetes.kinds import Kind, Told
from midstage.cluster.objects import Change, Endpoints, Node, Pod, Workload
from midstage.contracts.errors import UnavailableError

EACH_S = 15
SILENT_S = 20.0
_AT_ONCE_S = 0.5


class Following:
    """The changes of ``kind`` after version ``since``; ``over``: uids of those over by then."""

    def __init__(
        self,
        connection: Connection,
        discovery: Discovery,
        kind: Kind,
        *,
        since: int,
        over: frozenset[str] = frozenset(),
        silent_s: float = SILENT_S,
    ) -> None:
        """Ask nothing yet."""
        self._connection = connection
        self._discovery = discovery
        self._kind = kind
        self._version = since
        self._over = set(over)
        self._silent_s = silent_s
        self._each_s = max(1, int(silent_s * EACH_S / SILENT_S))

    def changes(self, opened: Callable[[Stream], None]) -> Iterator[Change]:
        """Each change, and bookmarks, without end; ``opened`` gets each single watch's stream.

        ExpiredError where the beginning is forgotten, UnavailableError where the line breaks.
        """
        while True:
            began, at = time.monotonic(), self._version
            yield from self._one(opened)
            if self._version == at and time.monotonic() - began < _AT_ONCE_S:
                raise UnavailableError(
                    f"{self._connection.name} ends the watch of {self._kind.resource.plural} "
                    "as it begins"
                )

    def _one(self, opened: Callable[[Stream], None]) -> Iterator[Change]:
        path = self._discovery.path(self._kind.resource, namespace=self._kind.namespace)
        asked: dict[str, str | int] = {
            **self._kind.query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": self._each_s,
        }
        with self._connection.stream(
            path, query=asked, silent_s=self._silent_s, accept=self._kind.accept
        ) as stream:
            opened(stream)
            for event in events(self._connection.name, self._kind, stream):
                if (change := self._change(event)) is not None:
                    yield change

    def _change(self, event: Mark | Seen) -> Change | None:
        match event:
            case Mark(version=version):
                self._version = version
                return Change(resource_version=version)
            case Seen(told=told, deleted=deleted):
                self._version = told.item.resource_version
                return self._told(told, deleted=deleted)

    def _told(self, told: Told, *, deleted: bool) -> Change | None:
        """Nothing of what was not there before and is not there now."""
        uid = told.item.uid
        if told.there:
            self._over.discard(uid)
            return change_of(told, gone=deleted)
        known = uid in self._over
        if deleted:
            self._over.discard(uid)
        else:
            self._over.add(uid)
        return None if known else change_of(told, gone=True)


def change_of(told: Told, *, gone: bool) -> Change:
    """The change that tells the object."""
    item = told.item
    version = item.resource_version
    match item:
        case Node():
            return Change(resource_version=version, gone=gone, node=item)
        case Pod():
            return Change(resource_version=version, gone=gone, pod=item)
        case Workload():
            return Change(resource_version=version, gone=gone, workload=item)
        case Endpoints():
            return Change(resource_version=version, gone=gone, endpoints=item)
