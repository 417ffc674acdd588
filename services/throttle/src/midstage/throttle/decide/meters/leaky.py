"""Leaky bucket as Gubernator counts it: holds ``burst``, and ``limit`` leak out in a ``period``.

Room is kept in parts of a unit (1 / period), so a leak is elapsed x limit and nothing is rounded;
Gubernator's floats drop such parts now and then, and let a bucket hold a part more than its burst.
"""

from midstage.throttle.model.account import Settlement


class LeakyBucket:
    """``room`` for more, in units x ``period_ns``."""

    __slots__ = ("at_ns", "burst", "limit", "period_ns", "room")

    def __init__(self, *, limit: int, period_ns: int, burst: int, now_ns: int) -> None:
        """Empty, so that the whole burst fits."""
        self.limit = limit
        self.period_ns = period_ns
        self.burst = burst
        self.room = burst * period_ns
        self.at_ns = now_ns

    def follow(self, *, limit: int, period_ns: int, burst: int, now_ns: int) -> None:
        """Hold by these terms; what is in it stays, as far as it fits, and so does a debt."""
        self._leak(now_ns)
        held = self.burst * self.period_ns - self.room
        room = burst * period_ns + (-held * period_ns // self.period_ns)
        self.room = max(room, min(0, self.room) * period_ns // self.period_ns)
        self.limit, self.period_ns, self.burst = limit, period_ns, burst

    def follow_as_gubernator(self, *, limit: int, period_ns: int, burst: int, now_ns: int) -> None:
        """Hold by these terms; a larger burst than there is room empties it."""
        if (limit, period_ns, burst) == (self.limit, self.period_ns, self.burst):
            return
        self._leak(now_ns)
        whole = burst * period_ns
        room = self.room * period_ns // self.period_ns
        self.room = whole if burst != self.burst and whole > room else min(whole, room)
        self.limit, self.period_ns, self.burst = limit, period_ns, burst

    def empty(self) -> None:
        """Let everything leak at once."""
        self.room = self.burst * self.period_ns

    def take(self, units: int, now_ns: int, request: str = "") -> bool:  # noqa: ARG002  Meter
        """Pour in ``units``, all or none."""
        self._leak(now_ns)
        cost = units * self.period_ns
        if cost > self.room:
            return False
        self.room -= cost
        return True

    def undo(self, units: int, request: str = "") -> None:  # noqa: ARG002  Meter
        """Take them out again."""
        self.room += units * self.period_ns

    def settle(self, done: Settlement) -> None:
        """Never emptier than empty, never fuller than the debt."""
        self._leak(done.now_ns)
        room = self.room - done.more * self.period_ns
        least = min(self.room, -done.debt * self.period_ns)
        self.room = min(self.burst * self.period_ns, max(room, least))

    def remaining(self, now_ns: int) -> int:
        """Whole units that fit."""
        self._leak(now_ns)
        return self.room // self.period_ns

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """More than the burst never fits."""
        self._leak(now_ns)
        missing = units * self.period_ns - self.room
        if missing <= 0:
            return 0
        if units > self.burst or not self.limit:
            return None
        return -(-missing // self.limit)

    def untouched(self, now_ns: int) -> bool:
        """Empty."""
        self._leak(now_ns)
        return self.room == self.burst * self.period_ns

    def _leak(self, now_ns: int) -> None:
        gap = now_ns - self.at_ns
        if gap > 0:
            whole = self.burst * self.period_ns
            room = self.room + gap * self.limit
            self.room = room if room < whole else whole
            self.at_ns = now_ns
