"""Token bucket with burst: in any window at most burst + rate x time, to the last token.

The level is in femto-tokens (10**-15): micro-tokens a second times nanoseconds are a whole number
of them. A bucket that meets a changed limit keeps its level, bounded by the new burst; what it
gained since it was last touched counts at the lower of the two rates, so no change admits more than
the old or the new limit would.
"""

from typing import Final

from midstage.throttle.model.account import Settlement

TOKEN: Final = 10**15
"""One token as a level: 10**6 micro-tokens a second x 10**9 nanoseconds."""


class TokenBucket:
    """``level`` femto-tokens at ``at_ns``; ``rate`` micro-tokens a second come in to ``full``."""

    __slots__ = ("at_ns", "full", "level", "rate")

    def __init__(self, *, rate_micros: int, burst: int, now_ns: int) -> None:
        """A full bucket; ``rate_micros`` is millionths of a token a second."""
        self.rate = rate_micros
        self.full = self.level = burst * TOKEN
        self.at_ns = now_ns

    def follow(self, *, rate_micros: int, burst: int, now_ns: int) -> None:
        """Hold by these terms from ``now_ns`` on."""
        self.rate, self.full = min(self.rate, rate_micros), burst * TOKEN
        self.fill(now_ns)
        self.rate = rate_micros
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
        cost = units * TOKEN
        if cost > self.level:
            return False
        self.level -= cost
        return True

    def take_what_is_there(self, units: int, now_ns: int) -> None:
        """Take as many of ``units`` as there are, never into debt."""
        self.fill(now_ns)
        self.level -= max(0, min(units * TOKEN, self.level))

    def undo(self, units: int, request: str = "") -> None:  # noqa: ARG002  Meter
        """Put them back."""
        self.level += units * TOKEN

    def settle(self, done: Settlement) -> None:
        """A refund fills the bucket, and not above its rim."""
        self.fill(done.now_ns)
        level = self.level - done.more * TOKEN
        self.level = min(self.full, max(level, min(self.level, -done.debt * TOKEN)))

    def remaining(self, now_ns: int) -> int:
        """Whole tokens; the part of one that is there counts for nothing."""
        self.fill(now_ns)
        return self.level // TOKEN

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """More than a whole burst never passes."""
        self.fill(now_ns)
        missing = units * TOKEN - self.level
        if missing <= 0:
            return 0
        if units * TOKEN > self.full or not self.rate:
            return None
        return -(-missing // self.rate)

    def until_more_ns(self) -> int:
        """From the last touch to the next whole token; 0 when it is full."""
        if self.level >= self.full or not self.rate:
            return 0
        return -(-(TOKEN - self.level % TOKEN) // self.rate)

    def until_full_ns(self) -> int:
        """From the last touch to the rim."""
        return -(-(self.full - self.level) // self.rate) if self.rate else 0

    def untouched(self, now_ns: int) -> bool:
        """Full."""
        self.fill(now_ns)
        return self.level == self.full
