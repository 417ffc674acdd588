"""What one limit's callers were answered, and what the limit would have allowed them.

An answer lies between two moments of one clock, the nanoseconds since the epoch, which throttle
counts by too. So a pass counts in a window only where it surely lies in it: what is found to be
too much is too much.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from midstage.contracts import algorithms
from midstage.contracts.limits import LimitSet
from midstage.throttle.decide.metering import meter_of, ns
from midstage.throttle.decide.meters.wall import WallClock

_NS = 1_000_000_000


@dataclass(slots=True, kw_only=True)
class Seen:
    """When callers asked, when they knew, and whether it passed; ``failed``: no answer came."""

    limit: LimitSet
    asked: list[tuple[int, int, bool]] = field(default_factory=list)
    failed: int = 0

    def admitted(self, since_ns: int = 0) -> int:
        """How many passed, of those that were answered since."""
        return sum(ok for _, known, ok in self.asked if known >= since_ns)

    def allowed(self, since_ns: int = 0) -> int:
        """What one meter that never dies lets pass of them; it was asked the others before."""
        known = sorted(known for _, known, _ in self.asked)
        meter = meter_of(self.limit, min(since for since, _, _ in self.asked), WallClock())
        return sum(meter.take(1, each) and each >= since_ns for each in known)

    def overshoot(self) -> float:
        """The most by which any window exceeds what the algorithm promises; 0 or less: none."""
        since = sorted(since for since, _, ok in self.asked if ok)
        known = sorted(known for _, known, ok in self.asked if ok)
        amount = self.limit.amount
        match self.limit.algorithm:
            case (
                algorithms.TokenBucket(period_s=period_s, burst=burst)
                | algorithms.Gcra(period_s=period_s, burst=burst)
            ):
                return _above_bucket(since, known, amount / ns(period_s)) - (burst or amount)
            case algorithms.FixedWindow(period_s=period_s):
                period = ns(period_s)
                starts = {each - each % period for each in since}
            case algorithms.MovingWindow(period_s=period_s):
                period, starts = ns(period_s), set(since)
            case other:
                raise TypeError(f"no window of {other} is known")
        inside = (_between(since, known, start, start + period - 1) for start in starts)
        return max(inside, default=0) - amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a run; ``steady_ns``: from when on nobody was killed or stopped."""

    seen: Sequence[Seen]
    kills: int = 0
    stops: int = 0
    takings: int = 0
    forwarded: int = 0
    failure_mode_allowed: int = 0
    steady_ns: int = 0

    @property
    def checks(self) -> int:
        """That were answered."""
        return sum(len(each.asked) for each in self.seen)

    @property
    def overshoot(self) -> float:
        """Of the worst window of all limits."""
        return max(each.overshoot() for each in self.seen)

    def share(self, since_ns: int = 0) -> float:
        """Admitted of what the limits allowed, all together."""
        allowed = sum(each.allowed(since_ns) for each in self.seen)
        return sum(each.admitted(since_ns) for each in self.seen) / max(1, allowed)


def _between(since: Sequence[int], known: Sequence[int], first: int, last: int) -> int:
    """Passes that lie in it from their question to their answer, at the least."""
    return bisect_right(known, last) - bisect_left(since, first)


def _above_bucket(since: Sequence[int], known: Sequence[int], rate: float) -> float:
    """The most of any window, less what comes in meanwhile."""
    if not known:
        return 0.0
    begun = since[0]
    worst = lowest = float("-inf")
    begins = 0
    for number, at in enumerate(known, start=1):
        while begins < len(since) and since[begins] <= at:
            lowest = max(lowest, rate * (since[begins] - begun) - begins)
            begins += 1
        worst = max(worst, number + lowest - rate * (at - begun))
    return worst


def gaps_s(seen: Seen) -> Sequence[float]:
    """Between passes, longest first: where nobody let pass, and how long."""
    known = sorted(known for _, known, ok in seen.asked if ok)
    return sorted(((after - before) / _NS for before, after in pairwise(known)), reverse=True)
