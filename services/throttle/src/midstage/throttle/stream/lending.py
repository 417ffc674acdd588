"""Parts of limits lent to callers who then check by themselves, told when the log knows of them.

Whoever counts next goes by the log, so a lease is answered no sooner than its claim stands there.
One that the log does not take in time counts as lent all the same: it may be known to its holder.
"""

from collections.abc import Callable, Mapping
from typing import Final

from midstage.throttle.decide.kept import Lacking
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.later import Later
from midstage.throttle.model.leases import Lent, Passed, Wanted
from midstage.throttle.stream.keeping import Waits
from midstage.throttle.views.leases import Lender

LENT_WITHIN_S: Final = 1.0
"""A lease is no check: it may wait for the log, as others ask for it ahead of need."""


class Lending:
    """Belongs to the loop of the checks."""

    def __init__(
        self, *, lender: Lender, waits: Waits, metrics: Metrics, monotonic_ns: Callable[[], int]
    ) -> None:
        """``lender`` says what is lent; it ``waits`` for the log."""
        self._lender = lender
        self._waits = waits
        self._metrics = metrics
        self._monotonic_ns = monotonic_ns

    def lend(self, wanted: Wanted) -> Lent | Later[Lent | None] | None:
        """Parts of the limits that a customer's requests meet, for a term.

        Told when the log says so too; None where it does not in time: it is lent all the same.
        """
        lent, rooms = self._lender.lend(wanted, self._monotonic_ns())
        self._metrics.leases.inc()

        def unwritten() -> Lacking:
            return [(room, 1) for room in rooms if not room.is_written]

        lacks = unwritten()
        if not lacks:
            return lent
        later: Later[Lent | None] = Later()

        def again() -> Lacking:
            still = unwritten()
            if not still:
                later.told(lent)
            return still

        waits = self._waits.wait(
            lacks, within_s=LENT_WITHIN_S, again=again, over=lambda: later.told(None)
        )
        return later if waits else None

    def give_back(
        self, holder: str, customer: str, *, holding: int, left: Mapping[str, int]
    ) -> None:
        """A holder ends its leases before their term."""
        self._lender.give_back(
            holder, customer, holding=holding, left=left, now_ns=self._monotonic_ns()
        )

    def report(self, passed: Passed) -> None:
        """What passed by leases counts in limits in shadow mode."""
        refused = self._lender.report(passed, self._monotonic_ns())
        self._metrics.shadowed.inc(refused)
