"""Meters whose periods are those of the calendar, asked by whoever has a monotonic clock.

The wall clock is as far ahead of the monotonic one as was last seen; when it is put back, a meter
stands still until it has come up again, as every meter does.
"""

from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.model.account import Settlement


class WallClock:
    """``ahead_ns``: the nanoseconds since the epoch less the monotonic ones."""

    __slots__ = ("ahead_ns",)

    def __init__(self, ahead_ns: int = 0) -> None:
        """As far ahead as it is now."""
        self.ahead_ns = ahead_ns


class OnWallClock:
    """``meter``, in nanoseconds since the epoch."""

    __slots__ = ("_clock", "meter")

    def __init__(self, meter: Meter, clock: WallClock) -> None:
        """``clock`` is shared with whoever sets it."""
        self.meter = meter
        self._clock = clock

    @property
    def ahead_ns(self) -> int:
        """How far its clock is ahead of the one that it is asked by."""
        return self._clock.ahead_ns

    def take(self, units: int, now_ns: int, request: str = "") -> bool:
        """By the wall clock."""
        return self.meter.take(units, now_ns + self._clock.ahead_ns, request)

    def undo(self, units: int, request: str = "") -> None:
        """No clock has a part in it."""
        self.meter.undo(units, request)

    def settle(self, done: Settlement) -> None:
        """Both times by the wall clock."""
        ahead_ns = self._clock.ahead_ns
        self.meter.settle(
            Settlement(
                reserved=done.reserved,
                actual=done.actual,
                taken_ns=done.taken_ns + ahead_ns,
                now_ns=done.now_ns + ahead_ns,
                debt=done.debt,
                request=done.request,
            )
        )

    def remaining(self, now_ns: int) -> int:
        """By the wall clock."""
        return self.meter.remaining(now_ns + self._clock.ahead_ns)

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """By the wall clock."""
        return self.meter.wait_ns(units, now_ns + self._clock.ahead_ns)

    def untouched(self, now_ns: int) -> bool:
        """By the wall clock."""
        return self.meter.untouched(now_ns + self._clock.ahead_ns)
