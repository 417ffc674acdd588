"""Moving window (a log of hits), exact in any window; and the counter of two weighted windows.

The log admits at most ``limit`` in any window of the period, at the cost of an entry for each hit.
The counter needs two numbers, and takes the last window's hits to have come evenly: it admits what
passes ``floor(previous x what is left of its window / period) + current <= limit``.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from midstage.throttle.model.account import Settlement


class MovingWindow:
    """A hit counts for ``period_ns``, and at the end of it no more."""

    __slots__ = ("at_ns", "hits", "limit", "period_ns", "used")

    def __init__(self, *, limit: int, period_ns: int, now_ns: int) -> None:
        """No hits yet."""
        self.limit = limit
        self.period_ns = period_ns
        self.at_ns = now_ns
        self.used = 0
        self.hits: deque[tuple[int, int]] = deque()

    def follow(self, *, limit: int, period_ns: int, now_ns: int) -> None:
        """Hold by these terms; hits that count no more by the old period are gone."""
        self._come_to(now_ns)
        self.limit, self.period_ns = limit, period_ns
        self._forget()

    def take(self, units: int, now_ns: int, request: str = "") -> bool:  # noqa: ARG002  Meter
        """Log ``units``, all or none."""
        self._come_to(now_ns)
        if self.used + units > self.limit:
            return False
        self._log(units)
        return True

    def undo(self, units: int, request: str = "") -> None:  # noqa: ARG002  Meter
        """Unlog what was logged last."""
        if units:
            ahead = self._ahead()
            at, logged = self.hits.pop()
            if logged > units:
                self.hits.append((at, logged - units))
            self.hits.extend(ahead)
            self.used -= units

    def settle(self, done: Settlement) -> None:
        """More counts from now on; less is taken from the hits of the time of the reservation."""
        self._come_to(done.now_ns)
        more = done.more
        if more >= 0:
            self._log(min(more, max(0, self.limit + done.debt - self.used)))
            return
        for number, (at, logged) in enumerate(self.hits):
            if at == done.taken_ns:
                back = min(logged, -more)
                self.used -= back
                self.hits[number] = (at, logged - back)
                return

    def remaining(self, now_ns: int) -> int:
        """What fits into the window that ends now."""
        self._come_to(now_ns)
        return self.limit - self.used

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """Until enough of the oldest hits count no more."""
        self._come_to(now_ns)
        over = self.used + units - self.limit
        if over <= 0:
            return 0
        if units > self.limit:
            return None
        for at, logged in self.hits:
            over -= logged
            if over <= 0:
                return at + self.period_ns - self.at_ns
        return None

    def untouched(self, now_ns: int) -> bool:
        """No hit counts."""
        self._come_to(now_ns)
        return not self.used

    def _log(self, units: int) -> None:
        if not units:
            return
        self.used += units
        ahead = self._ahead()
        if self.hits and self.hits[-1][0] == self.at_ns:
            units += self.hits.pop()[1]
        self.hits.append((self.at_ns, units))
        self.hits.extend(ahead)

    def _ahead(self) -> Sequence[tuple[int, int]]:
        """Taken off: what someone before claimed for times to come, which stays behind all hits.

        In front of them it would hold them until it counts no more itself.
        """
        ahead: list[tuple[int, int]] = []
        while self.hits and self.hits[-1][0] > self.at_ns:
            ahead.append(self.hits.pop())
        return ahead[::-1]

    def _come_to(self, now_ns: int) -> None:
        if now_ns > self.at_ns:
            self.at_ns = now_ns
            self._forget()

    def _forget(self) -> None:
        last = self.at_ns - self.period_ns
        hits = self.hits
        while hits and hits[0][0] <= last:
            self.used -= hits.popleft()[1]


class SlidingCounter:
    """``current`` hits in the window of ``start_ns``, ``previous`` in the one before."""

    __slots__ = ("at_ns", "current", "limit", "period_ns", "previous", "start_ns")

    def __init__(self, *, limit: int, period_ns: int, now_ns: int) -> None:
        """No hits yet; windows are aligned to the epoch."""
        self.limit = limit
        self.period_ns = period_ns
        self.at_ns = now_ns
        self.start_ns = now_ns - now_ns % period_ns
        self.current = self.previous = 0

    def follow(self, *, limit: int, period_ns: int, now_ns: int) -> None:
        """Hold by these terms; with another period the estimate becomes a count of now."""
        self.limit = limit
        if period_ns != self.period_ns:
            self.current, self.previous = self.weighted(now_ns), 0
            self.period_ns = period_ns
            self.start_ns = self.at_ns - self.at_ns % period_ns

    def recount(self, *, previous: int, current: int) -> None:
        """Go on from these counts."""
        self.previous, self.current = previous, current

    def weighted(self, now_ns: int) -> int:
        """The estimate of what passed in the period that ends now."""
        self._come_to(now_ns)
        left = self.start_ns + self.period_ns - self.at_ns
        return self.previous * left // self.period_ns + self.current

    def take(self, units: int, now_ns: int, request: str = "") -> bool:  # noqa: ARG002  Meter
        """Count ``units``, all or none."""
        if self.weighted(now_ns) + units > self.limit:
            return False
        self.current += units
        return True

    def undo(self, units: int, request: str = "") -> None:  # noqa: ARG002  Meter
        """Count them back."""
        self.current -= units

    def settle(self, done: Settlement) -> None:
        """Less comes back in the window that it was taken in, while that one counts."""
        weighted = self.weighted(done.now_ns)
        more = done.more
        if more >= 0:
            self.current += min(more, max(0, self.limit + done.debt - weighted))
        elif done.taken_ns >= self.start_ns:
            self.current = max(0, self.current + more)
        elif done.taken_ns >= self.start_ns - self.period_ns:
            self.previous = max(0, self.previous + more)

    def remaining(self, now_ns: int) -> int:
        """What the estimate leaves."""
        return self.limit - self.weighted(now_ns)

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """Until enough of the windows' hits have lost their weight."""
        if self.weighted(now_ns) + units <= self.limit:
            return 0
        if units > self.limit:
            return None
        edges = [self.at_ns, self.start_ns + self.period_ns, self.start_ns + 2 * self.period_ns]
        counts = [(self.previous, self.current), (self.current, 0)]
        for (begin, end), (fading, counted) in zip(pairwise(edges), counts, strict=True):
            room = self.limit - counted - units
            if room < 0:
                continue
            # floor(fading x left / period) <= room, and that as early as may be
            left = ((room + 1) * self.period_ns - 1) // fading if fading else self.period_ns
            at = max(begin, end - left)
            if at < end:
                return at - self.at_ns
        return edges[-1] - self.at_ns

    def untouched(self, now_ns: int) -> bool:
        """Neither window has a hit."""
        self._come_to(now_ns)
        return not self.current and not self.previous

    def _come_to(self, now_ns: int) -> None:
        if now_ns <= self.at_ns:
            return
        self.at_ns = now_ns
        passed = (now_ns - self.start_ns) // self.period_ns
        if passed:
            self.previous = self.current if passed == 1 else 0
            self.current = 0
            self.start_ns += passed * self.period_ns
