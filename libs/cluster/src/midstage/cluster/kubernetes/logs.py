"""What a pod wrote, as the API fetches it from the pod's node."""

from collections.abc import Iterator

from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import PODS, Discovery
from midstage.cluster.kubernetes.names import CONTAINER
from midstage.contracts.errors import RefusedError

_SILENT_S = 30.0
_ANY = "*/*"


class Logs:
    """The logs of pods of one namespace."""

    def __init__(self, connection: Connection, discovery: Discovery, *, namespace: str) -> None:
        """Ask nothing yet."""
        self._connection = connection
        self._discovery = discovery
        self._namespace = namespace

    def read(self, pod: str, *, follow: bool, tail: int | None, previous: bool) -> Iterator[bytes]:
        """As ``Cluster.logs``."""
        path = self._discovery.path(PODS, namespace=self._namespace, name=pod, part="log")
        query: dict[str, str | int] = {"container": CONTAINER}
        if follow:
            query["follow"] = "true"
        if tail is not None:
            query["tailLines"] = max(0, tail)
        if previous:
            query["previous"] = "true"
        silent_s = None if follow else _SILENT_S
        try:
            with self._connection.stream(path, query=query, silent_s=silent_s, accept=_ANY) as told:
                yield from told.pieces
        except RefusedError as e:
            if previous and e.status == 400:
                raise RefusedError(f"pod {pod} has one run only: {e}", status=404) from e
            raise
