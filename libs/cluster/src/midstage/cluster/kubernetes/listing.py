"""Everything of a Kubernetes API at one moment: pods as they are, all else at the same version.

Pods come as the beginning of a watch where the server can, all else in pages; each line and page is
decoded and dropped before the next, so a large cluster takes little memory. Where the history went
on over a page (410), all is asked for anew, once.
"""

from collections.abc import Iterator, Sequence

import msgspec

from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import Discovery
from midstage.cluster.kubernetes.events import told_by, version_of
from midstage.cluster.kubernetes.initial import Initial
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
            of = of or self._version(page)
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
        return self._version(self._connection.decoded(body, _PAGES))

    def _version(self, page: _Page) -> int:
        return version_of(self._connection.name, page.metadata.resource_version)


def everything(
    pages: Pages, initial: Initial, first: Kind, others: Sequence[Kind]
) -> tuple[int, list[Told]]:
    """All kinds at the version of the first; once more where that was forgotten meanwhile."""
    try:
        return _everything(pages, initial, first, others)
    except ExpiredError:
        return _everything(pages, initial, first, others)


def _everything(
    pages: Pages, initial: Initial, first: Kind, others: Sequence[Kind]
) -> tuple[int, list[Told]]:
    version, found = initial.of(first) or pages.at(first, None)
    for kind in others:
        found.extend(pages.at(kind, version)[1])
    return version, found


def _exactly(version: int) -> dict[str, str]:
    return {"resourceVersion": str(version), "resourceVersionMatch": "Exact"}
