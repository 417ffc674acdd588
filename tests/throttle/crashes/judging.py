"""What one limit's callers were answered, and what the limit would have allowed them.

An answer lies between two moments of one clock, the nanoseconds since the epoch, which throttle
counts by too. So a pass counts in a window only where it surely lies in it: what is found to be
too much is too much.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from midstage.contracts import algorithms
from midstage.contracts.limits import LimitSet
from midstage.throttle.decide.metering import meter_of, ns
from midstage.throttle.decide.meters.wall import WallClock


@dataclass(slots=True, kw_only=True)
class Seen:
    """When callers asked, when they knew, and whether it passed; ``failed``: no answer came.

    ``held``: from when to when a request surely had a slot.
    """

    limit: LimitSet
    asked: list[tuple[int, int, bool]] = field(default_factory=list)
    held: list[tuple[int, int]] = field(default_factory=list)
    failed: int = 0

    def admitted(self, since_ns: int = 0) -> int:
        """How many passed, of those that were answered since."""
        return sum(ok for _, known, ok in self.asked if known >= since_ns)

    def allowed(self, since_ns: int = 0) -> tuple[int, int]:
        """What one meter that never dies lets pass of all, and of those answered since.

        Of slots what passed: nobody knows how long a request would have run that was refused.
        """
        if isinstance(self.limit.algorithm, algorithms.Slots):
            return self.admitted(), self.admitted(since_ns)
        meter = meter_of(self.limit, min(since for since, _, _ in self.asked), WallClock())
        known = sorted(known for _, known, _ in self.asked)
        passes = [each for each in known if meter.take(1, each)]
        return len(passes), len(passes) - bisect_left(passes, since_ns)

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
            case algorithms.Slots():
                return _at_once(self.held) - amount
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
    handed: int = 0
    forwarded: int = 0
    failure_mode_allowed: int = 0
    steady_ns: int = 0

    def verdicts(self) -> Sequence["Verdict"]:
        """One for each limit."""
        return [Verdict.of(each, self.steady_ns) for each in self.seen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``over``: the most by which any window exceeds its limit; 0 or less: none does."""

    name: str
    checks: int
    failed: int
    over: float
    admitted: int
    allowed: int
    admitted_in_peace: int
    allowed_in_peace: int

    @classmethod
    def of(cls, seen: Seen, steady_ns: int) -> "Verdict":
        """What one limit's callers were answered."""
        allowed, in_peace = seen.allowed(steady_ns)
        return cls(
            name=seen.limit.limit,
            checks=len(seen.asked),
            failed=seen.failed,
            over=seen.overshoot(),
            admitted=seen.admitted(),
            allowed=allowed,
            admitted_in_peace=seen.admitted(steady_ns),
            allowed_in_peace=in_peace,
        )


def _between(since: Sequence[int], known: Sequence[int], first: int, last: int) -> int:
    """Passes that lie in it from their question to their answer, at the least."""
    return bisect_right(known, last) - bisect_left(since, first)


def _at_once(held: Sequence[tuple[int, int]]) -> int:
    """The most that surely had a slot at one moment; who ends then had one no more."""
    changes = [(since, 1) for since, _ in held] + [(until, -1) for _, until in held]
    return max(accumulate(change for _, change in sorted(changes)), default=0)


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
