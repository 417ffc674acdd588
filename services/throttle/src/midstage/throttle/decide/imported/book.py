"""The rules in force: files that can't be taken leave those before them in force, and say so."""

from collections.abc import Collection, Mapping, Sequence

from midstage.throttle.decide.imported.reading import Document, RuleError, domains_of
from midstage.throttle.model.imported import Node


class Book:
    """The trees of all domains, and how often taking files succeeded and failed."""

    def __init__(self, *, merge: bool = False, reserved: Collection[str] = ()) -> None:
        """No rule; ``merge`` lets several files be of one domain, ``reserved`` ones be of none."""
        self.domains: Mapping[str, Node] = {}
        self.loaded = 0
        self.failed = 0
        self.refused: RuleError | None = None
        self._merge = merge
        self.reserved = frozenset(reserved)

    def load(self, documents: Sequence[Document]) -> RuleError | None:
        """Take these files in place of all before; why not, if one of them is refused."""
        try:
            domains = domains_of(documents, merge=self._merge)
        except RuleError as e:
            return self.fail(e)
        taken = sorted(self.reserved.intersection(domains))
        if taken:
            why = f"domain {taken[0]!r} is the platform's own; its limits are set through the API"
            return self.fail(RuleError(why, file=_of(documents, taken[0])))
        self.domains = domains
        self.refused = None
        self.loaded += 1
        return None

    def fail(self, error: RuleError) -> RuleError:
        """The newest files can't be taken, for this reason."""
        self.refused = error
        self.failed += 1
        return error


def _of(documents: Sequence[Document], domain: str) -> str:
    """The first file of a domain."""
    found = (
        file
        for file, content in documents
        if isinstance(content, Mapping) and content.get("domain") == domain
    )
    return next(found, "")
