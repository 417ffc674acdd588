"""Whether this process may write the facts of one cluster: it does while its lease surely holds.

The lease is counted from before it was asked for, by a clock that never goes back, and a part of
it is left unused. A process that stood still for longer finds that it holds nothing any more; what
it had handed to the log before carries the old epoch, and readers drop it.
"""

from collections.abc import Callable
from datetime import timedelta

from midstage.control.stream.cluster import Watched, asked

LEASE = "midstage-control"
_RENEWED_AFTER = 1 / 3
_TRUSTED = 3 / 4
_AT_ONCE = timedelta(milliseconds=1)  # a lease can't be given back, only held for less long


class Tenure:
    """The lease of one cluster, as this process sees it."""

    def __init__(
        self, cluster: Watched, *, holder: str, lease_s: float, monotonic: Callable[[], float]
    ) -> None:
        """Hold nothing yet."""
        self.epoch = 0
        self._cluster = cluster
        self._holder = holder
        self._lease_s = lease_s
        self._monotonic = monotonic
        self._taken_at: float | None = None

    def held(self) -> bool:
        """Whether facts may be written now."""
        return self._left_s(_TRUSTED) > 0

    def due_in_s(self) -> float:
        """Seconds until the lease is to be renewed; 0: now."""
        return max(0.0, self._left_s(_RENEWED_AFTER))

    def taken(self) -> bool:
        """Take or renew it; False where another one holds it. AwayError: nobody knows."""
        before = self._monotonic()
        lease = asked(
            lambda: self._cluster.take_lease(
                LEASE, holder=self._holder, within=timedelta(seconds=self._lease_s)
            )
        )
        if lease.holder != self._holder:
            self._taken_at = None
            return False
        self.epoch, self._taken_at = lease.epoch, before
        return True

    def keep(self) -> bool:
        """Renew it where it is time; whether facts may be written now."""
        if self.due_in_s() > 0:
            return True
        return self.taken()

    def leave(self) -> None:
        """Let the next one have it at once; AwayError where it will have to run out."""
        if self._taken_at is None:
            return
        self._taken_at = None
        asked(lambda: self._cluster.take_lease(LEASE, holder=self._holder, within=_AT_ONCE))

    def _left_s(self, part: float) -> float:
        if self._taken_at is None:
            return 0.0
        return self._taken_at + part * self._lease_s - self._monotonic()
