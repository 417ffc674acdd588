"""Whether this process may write the facts of one cluster: it does while its lease surely holds.

The lease is counted from before it was asked for, by a clock that never goes back, and a part of
it is left unused. A process that stood still for longer finds that it holds nothing any more; what
it had handed to the log before carries the old epoch, and readers drop it. While it is held it is
renewed beside the writing, which does not wait for the cluster's answer.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from math import inf

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
        self._asking = threading.Lock()
        self._renewal: Future[bool] | None = None

    def held(self) -> bool:
        """Whether facts may be written now."""
        return self._left_s(_TRUSTED) > 0

    def due_in_s(self) -> float:
        """Seconds until the lease is to be renewed; 0: now; infinite while it is being."""
        if self._renewal is not None:
            return inf
        return max(0.0, self._left_s(_RENEWED_AFTER))

    def taken(self) -> bool:
        """Take or renew it; False where another one holds it. AwayError: nobody knows."""
        with self._asking:
            self._renewal = None
            return self._taken()

    def keep(self) -> bool:
        """Begin to renew it where it is time; whether facts may be written now, under ``epoch``.

        AwayError where the last renewal found that nobody knows. Who stood still for too long to
        be sure of anything waits for the answer.
        """
        renewal = self._renewal
        if renewal is None:
            if self.due_in_s() > 0:
                return True
            if not self.held():
                epoch = self.epoch
                return self.taken() and self.epoch == epoch
            renewal = self._renewal = Future()
            name = f"lease:{self._cluster.name}"
            threading.Thread(target=self._renew, args=(renewal,), name=name, daemon=True).start()
        if not renewal.done():
            return self.held()
        self._renewal = None
        return renewal.result()

    def leave(self) -> None:
        """Let the next one have it at once; AwayError where it will have to run out."""
        with self._asking:
            self._renewal = None
            if self._taken_at is None:
                return
            self._taken_at = None
            asked(lambda: self._cluster.take_lease(LEASE, holder=self._holder, within=_AT_ONCE))

    def _renew(self, renewal: "Future[bool]") -> None:
        """In a thread of its own: whether it is held on, under the same epoch."""
        with self._asking:
            if self._renewal is not renewal:
                return  # it was taken anew, or left, meanwhile
            epoch = self.epoch
            try:
                renewal.set_result(self._taken() and self.epoch == epoch)
            except Exception as e:  # noqa: BLE001  the thread that writes raises it
                renewal.set_exception(e)

    def _taken(self) -> bool:
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

    def _left_s(self, part: float) -> float:
        if self._taken_at is None:
            return 0.0
        return self._taken_at + part * self._lease_s - self._monotonic()
