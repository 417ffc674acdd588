"""Token bucket with burst: in any window at most burst + rate x time, to the last token.

The level is in parts of a token (1 / period), so what comes in is elapsed x units, a whole number,
and nothing is rounded. A bucket that meets a changed limit keeps its level, bounded by the new
burst; what it gained since it was last touched counts at the lower of the two rates, so no change
admits more than the old or the new limit would.
"""

from midstage.throttle.model.account import Settlement


class TokenBucket:
    """``level`` parts at ``at_ns``, ``token`` of which are one; ``rate`` a nanosecond come in."""

    __slots__ = ("at_ns", "full", "level", "rate", "token")

    def __init__(self, *, units: int, period_ns: int, burst: int, now_ns: int) -> None:
        """A full bucket; ``units`` tokens come in each ``period_ns``."""
        self.rate = units
        self.token = period_ns
        self.full = self.level = burst * period_ns
        self.at_ns = now_ns

    def follow(self, *, units: int, period_ns: int, burst: int, now_ns: int) -> None:
        """Hold by these terms from ``now_ns`` on."""
        if units * self.token < self.rate * period_ns:  # slower: what came since came so slowly
            self._measure(period_ns)
            self.rate = units
        self.full = burst * self.token
        self.fill(now_ns)
        self._measure(period_ns)
        self.rate, self.full = units, burst * period_ns
        self.level = min(self.level, self.full)

    def fill(self, now_ns: int) -> None:
        """Bring the level up to ``now_ns``."""
        gap = now_ns - self.at_ns
        if gap > 0:
            level = self.level + self.rate * gap
            self.level = level if level < self.full else self.full
            self.at_ns = now_ns

    def take(self, units: int, now_ns: int, request: str = "") -> bool:  # noqa: ARG002  Meter
        """Take whole tokens, all or none."""
        gap = now_ns - self.at_ns
        if gap > 0:  # as in fill; a call would cost a third of the check
            level = self.level + self.rate * gap
            self.level = level if level < self.full else self.full
            self.at_ns = now_ns
        cost = units * self.token
        if cost > self.level:
            return False
        self.level -= cost
        return True

    def undo(self, units: int, request: str = "") -> None:  # noqa: ARG002  Meter
        """Put them back."""
        self.level += units * self.token

    def settle(self, done: Settlement) -> None:
        """A refund fills the bucket, and not above its rim."""
        self.fill(done.now_ns)
        level = self.level - done.more * self.token
        self.level = min(self.full, max(level, min(self.level, -done.debt * self.token)))

    def remaining(self, now_ns: int) -> int:
        """Whole tokens; the part of one that is there counts for nothing."""
        self.fill(now_ns)
        return self.level // self.token

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """More than a whole burst never passes."""
        self.fill(now_ns)
        missing = units * self.token - self.level
        if missing <= 0:
            return 0
        if units * self.token > self.full or not self.rate:
            return None
        return -(-missing // self.rate)

    def untouched(self, now_ns: int) -> bool:
        """Full."""
        self.fill(now_ns)
        return self.level == self.full

    def _measure(self, token: int) -> None:
        """Count in other parts of a token; what is no whole part is lost."""
        if token != self.token:
            self.level = self.level * token // self.token
            self.full = self.full * token // self.token
            self.token = token
