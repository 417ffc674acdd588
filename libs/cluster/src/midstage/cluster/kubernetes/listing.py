"""Everything of a Kubernetes API at one moment: nodes as they are, all else at the same version.

In pages, each decoded and dropped before the next is asked for, so a large cluster takes little
memory. Where the history went on over a page (410), all is asked for anew, once.
"""

from collections.abc import Iterator

import msgspec

from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import Discovery
from midstage.cluster.kubernetes.kinds import Kind, Told
from midstage.cluster.kubernetes.shapes import ListMeta, Shape
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.errors import UnavailableError

PAGE = 500


class _Page(Shape, frozen=True, kw_only=True):
    metadata: ListMeta = ListMeta()
    items: tuple[msgspec.Raw, ...] | None = None


_PAGES = msgspec.json.Decoder(_Page)


class Pages:
    """Lists kinds page by page."""

    def __init__(self, connection: Connection, discovery: Discovery) -> None:
        """Ask nothing yet."""
        self._connection = connection
        self._discovery = discovery

    def at(self, kind: Kind, version: int | None) -> tuple[int, list[Told]]:
        """All objects of ``kind`` as they were at ``version`` (None: as they are now), and the
        version that they are of. ExpiredError where that is not remembered any more.
        """
        found: list[Told] = []
        of = version
        for page in self._pages(kind, version):
            of = of or read(self._connection.name, page.metadata)
            found.extend(told_by(self._connection.name, kind, raw) for raw in page.items or ())
        return of or 0, found

    def _pages(self, kind: Kind, version: int | None) -> Iterator[_Page]:
        path = self._discovery.path(kind.resource, namespace=kind.namespace)
        at = {} if version is None else _exactly(version)
        asked: dict[str, str | int] = {**kind.query, "limit": PAGE}
        more: dict[str, str] = at
        while True:
            body = self._connection.request("GET", path, query={**asked, **more})
            page = self._connection.decoded(body, _PAGES)
            yield page
            if not page.metadata.continue_:
                return
            if more == {"continue": page.metadata.continue_}:
                raise UnavailableError(f"{self._connection.name} answers one page again and again")
            more = {"continue": page.metadata.continue_}

    def newest(self, kind: Kind) -> int:
        """The version that everything is at now, by a question for one object of ``kind``."""
        path = self._discovery.path(kind.resource, namespace=kind.namespace)
        body = self._connection.request("GET", path, query={"limit": 1})
        return read(self._connection.name, self._connection.decoded(body, _PAGES).metadata)


def everything(pages: Pages, kinds: tuple[Kind, ...]) -> tuple[int, list[Told]]:
    """All kinds at the version of the first of them; once more where that was forgotten."""
    try:
        return _everything(pages, kinds)
    except ExpiredError:
        return _everything(pages, kinds)


def _everything(pages: Pages, kinds: tuple[Kind, ...]) -> tuple[int, list[Told]]:
    first, *others = kinds
    version, found = pages.at(first, None)
    for kind in others:
        found.extend(pages.at(kind, version)[1])
    return version, found


def _exactly(version: int) -> dict[str, str]:
    return {"resourceVersion": str(version), "resourceVersionMatch": "Exact"}


def read(name: str, meta: ListMeta) -> int:
    """The version as a number; UnavailableError where it is none."""
    try:
        return int(meta.resource_version)
    except ValueError as e:
        raise UnavailableError(f"{name} tells no version: {meta.resource_version!r}") from e


def told_by(name: str, kind: Kind, body: bytes | msgspec.Raw) -> Told:
    """What an object says; UnavailableError where it can't be read."""
    try:
        return kind.told(body)
    except (msgspec.MsgspecError, ValueError) as e:
        raise UnavailableError(f"{name} tells {kind.resource.plural} not to be read: {e}") from e
