"""What goes with the workloads in the cluster (services, budgets), looked at each 5 s.

Where the cluster can't be asked, what was seen last holds. What was just put right is not known to
be astray until it is looked at again.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from midstage.chassis.logs import logger
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.running import Disruption

EVERY_S = 5.0

_log = logger(__name__)


class Accompanied(Protocol):
    """The cluster, as far as something goes with its workloads."""

    def astray(self, wanted: Mapping[str, Disruption | None], /) -> Mapping[str, tuple[str, ...]]:
        """What somebody has made of it, by application."""
        ...


class Companions:
    """One thread looks and corrects, any may ask what was seen."""

    def __init__(self, cluster: Accompanied, *, monotonic: Callable[[], float]) -> None:
        """Nothing was looked at yet."""
        self._cluster = cluster
        self._monotonic = monotonic
        self._astray: Mapping[str, tuple[str, ...]] = {}
        self._next_s = 0.0

    def look(self, wanted: Mapping[str, Disruption | None]) -> None:
        """See, if it is time, what goes with these applications, whose workloads were written."""
        now_s = self._monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        try:
            self._astray = self._cluster.astray(wanted) if wanted else {}
        except (RefusedError, UnavailableError) as e:
            _log.warning("companions_unknown", apps=len(wanted), reason=str(e))

    def of(self, app: str) -> tuple[str, ...]:
        """As ``manager: path``; empty where all is as it was put."""
        return self._astray.get(app, ())

    def corrected(self, app: str) -> None:
        """A write has put them right."""
        self._astray = {each: told for each, told in self._astray.items() if each != app}
