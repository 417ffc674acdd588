"""All objects of a kind as a watch tells them at its beginning (WatchList), one by one.

The server needs no page in memory for it, and neither do we. It ends with a mark: what was told up
to there is all that there was at the mark's version. A server that does not know of it refuses, or
never marks the end; then whoever asked lists in pages, and does not ask again.
"""

from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import Discovery
from midstage.cluster.kubernetes.events import Mark, Seen, events
from midstage.cluster.kubernetes.kinds import Kind, Told
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.errors import RefusedError, UnavailableError

_WITHIN_S = 60
_SILENT_S = 5.0
_NOT_TO_BE_HAD = (400, 403, 422)
"""Not known to the server, or not allowed: whoever may list need not be allowed to watch."""


class Initial:
    """Asks for beginnings, as long as the server knows how."""

    def __init__(self, connection: Connection, discovery: Discovery) -> None:
        """Ask nothing yet."""
        self._connection = connection
        self._discovery = discovery
        self._known = True

    def of(self, kind: Kind) -> tuple[int, list[Told]] | None:
        """All objects of ``kind`` and the version that they are of; None: it is not to be had."""
        if not self._known:
            return None
        try:
            found = self._asked(kind)
        except RefusedError as e:
            if e.status not in _NOT_TO_BE_HAD:
                raise
            found = None
        except ExpiredError:
            raise
        except UnavailableError:
            return None  # pages tell whether the server is away, or is only bad at this
        self._known = found is not None
        return found

    def _asked(self, kind: Kind) -> tuple[int, list[Told]] | None:
        path = self._discovery.path(kind.resource, namespace=kind.namespace)
        query: dict[str, str | int] = {
            **kind.query,
            "watch": "true",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": _WITHIN_S,
        }
        found: dict[str, Told] = {}
        with self._connection.stream(
            path, query=query, silent_s=_SILENT_S, accept=kind.accept
        ) as stream:
            for event in events(self._connection.name, kind, stream):
                match event:
                    case Mark(begun=True, version=version):
                        return version, list(found.values())
                    case Mark():
                        pass
                    case Seen(told=told, deleted=True):
                        found.pop(told.item.uid, None)
                    case Seen(told=told):
                        found[told.item.uid] = told
        return None
