"""What is in the secrets and configs that applications name, looked at each 5 s.

Only fingerprints are ever known here. Where the cluster can't be asked, what was seen last holds;
a name that has never been looked at is not known.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from midstage.chassis.logs import logger
from midstage.cluster.objects import Reference, ReferenceKind
from midstage.contracts.errors import RefusedError, UnavailableError

EVERY_S = 5.0

_log = logger(__name__)


class Holds(Protocol):
    """The cluster, as far as it holds secrets and configs."""

    def references(self, references: Collection[Reference], /) -> Mapping[Reference, str]:
        """A fingerprint of each that is there."""
        ...


class References:
    """One thread looks at the cluster, any may ask what was seen."""

    def __init__(self, cluster: Holds, *, monotonic: Callable[[], float]) -> None:
        """Nothing was looked at yet."""
        self._cluster = cluster
        self._monotonic = monotonic
        self._found: Mapping[str, str] = {}
        self._looked: frozenset[str] = frozenset()
        self._next_s = self._again_s = 0.0

    def look(self, names: frozenset[str]) -> None:
        """See what is in ``names`` (``secret/name``), if it is time or one of them is new."""
        now_s = self._monotonic()
        due = now_s >= self._next_s or not names <= self._looked
        if not names or not due or now_s < self._again_s:
            return
        self._next_s = now_s + EVERY_S
        asked = [_reference(name) for name in sorted(names)]
        try:
            found = self._cluster.references(asked)
        except (RefusedError, UnavailableError) as e:
            self._again_s = now_s + EVERY_S
            _log.warning("references_unknown", names=len(names), reason=str(e))
            self._looked |= names & self._found.keys()
            return
        self._found = {f"{each.kind}/{each.name}": value for each, value in found.items()}
        self._looked = names

    def of(self, names: frozenset[str]) -> Mapping[str, str] | None:
        """The fingerprints of those that are there; None where one was never looked at."""
        if not names <= self._looked:
            return None
        return {name: self._found[name] for name in names if name in self._found}


def _reference(name: str) -> Reference:
    kind, _, rest = name.partition("/")
    return Reference(kind=ReferenceKind(kind), name=rest)
