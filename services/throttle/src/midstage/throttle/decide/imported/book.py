"""The rules in force: files that can't be read leave those before them in force, and say so."""

from collections.abc import Iterable, Mapping

from midstage.contracts.errors import RefusedError
from midstage.throttle.decide.imported.reading import Document, domains_of
from midstage.throttle.model.imported import Node


class Book:
    """The trees of all domains, and how often reading them succeeded and failed."""

    def __init__(self, *, merge: bool = False) -> None:
        """No rule; ``merge`` lets several files be of one domain."""
        self.domains: Mapping[str, Node] = {}
        self.loaded = 0
        self.failed = 0
        self._merge = merge

    def load(self, documents: Iterable[Document]) -> str | None:
        """Take these files in place of all before; why not, if one of them is refused."""
        try:
            self.domains = domains_of(documents, merge=self._merge)
        except RefusedError as e:
            self.failed += 1
            return str(e)
        self.loaded += 1
        return None
