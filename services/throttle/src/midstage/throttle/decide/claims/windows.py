"""Claims of what begins anew at an edge, or never: windows, quotas, sliding counter, moving window.

Room of a window ends with it: what the next one allows is claimed in the next one. A moving
window's units count as used at the end of the claim's term, later than they are; so its room ends
with that. What is implied is the first of a window: no successor begins any emptier.
"""

from collections import deque
from typing import Final

from midstage.throttle.decide.claims.claim import (
    LONG_NS,
    LONG_SHARE,
    SHARE,
    Standing,
    checked,
    part_of,
)
from midstage.throttle.decide.meters.sliding import MovingWindow, SlidingCounter
from midstage.throttle.decide.meters.window import (
    FirstHitWindow,
    FixedWindow,
    LifetimeQuota,
    RefilledBucket,
    Window,
)
from midstage.throttle.model.account import Settlement

_WINDOW: Final = 4
_COUNTER: Final = 5
_MOVING: Final = 4
MOST_HITS: Final = 32
"""A moving window's hits are written as so many at most: those together count from the last."""


class WindowClaims:
    """For windows with edges: (start, end, used, limit)."""

    algorithm: Final = "window"

    def of(self, meter: Window, units: int, now_ns: int, until_ns: int) -> Standing:
        """A window that a hit would open is open from now on."""
        del until_ns
        meter.remaining(now_ns)
        if units and meter.end_ns == meter.start_ns:
            meter.start_ns, meter.end_ns = meter.period(meter.at_ns)
        used = max(meter.used, min(meter.limit, meter.used + units))
        return (meter.start_ns, meter.end_ns, used, meter.limit)

    def room(self, meter: Window, claim: Standing, now_ns: int) -> int:
        """In the window of the claim alone; of a later one it knows nothing that was used."""
        meter.remaining(now_ns)
        start, end, used, _ = claim
        is_open = (start, end) == (meter.start_ns, meter.end_ns)
        return (used if is_open else 0) - meter.used

    def give_back(self, meter: Window, back: Settlement) -> None:
        """In the window that it was taken in."""
        meter.settle(back)

    def restore(self, meter: Window, claim: Standing, now_ns: int) -> None:
        """What is more than a limit that is lower now is no debt, but for what was one before."""
        start, end, used, limit = checked(claim, _WINDOW)
        meter.start_ns, meter.end_ns = start, max(start, end)
        meter.at_ns = min(meter.at_ns, start)
        meter.used = min(used, meter.limit + max(0, used - limit))
        meter.remaining(now_ns)

    def part(self, meter: Window) -> int:
        """None where a call opens the window: nobody else would know when it began."""
        match meter:
            case FirstHitWindow() | RefilledBucket():
                return 0
            case FixedWindow(period_ns=period_ns, limit=limit):
                return _part(limit, period_ns)
            case _:
                return part_of(meter.limit, LONG_SHARE)

    def implied(self, meter: Window, part: int, now_ns: int) -> int:
        """Of this window."""
        meter.remaining(now_ns)
        return part - meter.used

    def begin(self, meter: Window, part: int, until_ns: int, now_ns: int) -> None:
        """Of each window that had begun by then."""
        meter.remaining(now_ns)
        if meter.start_ns <= until_ns:
            meter.used = max(meter.used, part)


class LifetimeClaims:
    """For a quota that never ends: (used,)."""

    algorithm: Final = "lifetime"

    def of(self, meter: LifetimeQuota, units: int, now_ns: int, until_ns: int) -> Standing:
        """As it is, with these."""
        del now_ns, until_ns
        return (max(meter.used, min(meter.limit, meter.used + units)),)

    def room(self, meter: LifetimeQuota, claim: Standing, now_ns: int) -> int:
        """What was claimed and not used."""
        del now_ns
        return claim[0] - meter.used

    def give_back(self, meter: LifetimeQuota, back: Settlement) -> None:
        """All of it."""
        meter.settle(back)

    def restore(self, meter: LifetimeQuota, claim: Standing, now_ns: int) -> None:
        """What was used stays used."""
        del now_ns
        (meter.used,) = checked(claim, 1)

    def part(self, meter: LifetimeQuota) -> int:
        """None: it would never come back."""
        del meter
        return 0

    def implied(self, meter: LifetimeQuota, part: int, now_ns: int) -> int:
        """None."""
        del meter, part, now_ns
        return 0

    def begin(self, meter: LifetimeQuota, part: int, until_ns: int, now_ns: int) -> None:
        """With nothing implied."""


class SlidingClaims:
    """For the two weighted windows: (start, previous, current, period, limit)."""

    algorithm: Final = "sliding-counter"

    def of(self, meter: SlidingCounter, units: int, now_ns: int, until_ns: int) -> Standing:
        """The units are of the window that is open."""
        del until_ns
        meter.remaining(now_ns)
        current = meter.current + units
        return (meter.start_ns, meter.previous, current, meter.period_ns, meter.limit)

    def room(self, meter: SlidingCounter, claim: Standing, now_ns: int) -> int:
        """In the window of the claim alone; of a later one it knows nothing that was used."""
        meter.remaining(now_ns)
        return (claim[2] if claim[0] == meter.start_ns else 0) - meter.current

    def give_back(self, meter: SlidingCounter, back: Settlement) -> None:
        """In the window that it was taken in, while that one counts."""
        meter.settle(back)

    def restore(self, meter: SlidingCounter, claim: Standing, now_ns: int) -> None:
        """As if it had met the terms of the meter now."""
        start, previous, current, period, _ = checked(claim, _COUNTER)
        if period <= 0:
            raise ValueError("a period is above 0")
        limit, period_ns = meter.limit, meter.period_ns
        meter.start_ns = meter.at_ns = start
        meter.previous, meter.current, meter.period_ns = previous, current, period
        meter.remaining(now_ns)
        meter.follow(limit=limit, period_ns=period_ns, now_ns=now_ns)

    def part(self, meter: SlidingCounter) -> int:
        """Of the limit."""
        return _part(meter.limit, meter.period_ns)

    def implied(self, meter: SlidingCounter, part: int, now_ns: int) -> int:
        """Of the window that is open, as far as the one before leaves it."""
        left = meter.remaining(now_ns)
        return min(left, part - meter.current)

    def begin(self, meter: SlidingCounter, part: int, until_ns: int, now_ns: int) -> None:
        """Of each window that had begun by then."""
        meter.remaining(now_ns)
        if meter.start_ns <= until_ns:
            meter.current = max(meter.current, part)
        if meter.start_ns - meter.period_ns <= until_ns:
            meter.previous = max(meter.previous, part)


class MovingClaims:
    """For the log of hits: (made, until, units, period, and each hit's time and units)."""

    algorithm: Final = "moving-window"

    def of(self, meter: MovingWindow, units: int, now_ns: int, until_ns: int) -> Standing:
        """The units count from ``until_ns`` on for a whole period."""
        meter.remaining(now_ns)
        hits = _together(list(meter.hits))
        return (meter.at_ns, until_ns, units, meter.period_ns, *hits)

    def room(self, meter: MovingWindow, claim: Standing, now_ns: int) -> int:
        """What was claimed and not used since, until its term is over."""
        meter.remaining(now_ns)
        made, until, units, *_ = claim
        for at, logged in reversed(meter.hits):
            if at < made:
                break
            if at <= meter.at_ns:  # else it is what someone before claimed ahead
                units -= logged
        return min(units, 0) if meter.at_ns > until else units

    def give_back(self, meter: MovingWindow, back: Settlement) -> None:
        """Of the hits of the time that it was taken at."""
        meter.settle(back)

    def restore(self, meter: MovingWindow, claim: Standing, now_ns: int) -> None:
        """With the claimed units as the last hit."""
        if len(claim) < _MOVING or len(claim) % 2:
            raise ValueError("a moving window stands as four numbers, and two for each hit")
        _, until, units, period, *hits = claim
        kept = [*zip(hits[::2], hits[1::2], strict=True), (until, units)]
        limit, period_ns = meter.limit, meter.period_ns
        meter.hits = deque((at, logged) for at, logged in kept if logged)
        meter.used = sum(logged for _, logged in meter.hits)
        meter.period_ns = period
        meter.remaining(now_ns)
        meter.follow(limit=limit, period_ns=period_ns, now_ns=now_ns)

    def part(self, meter: MovingWindow) -> int:
        """Of the limit."""
        return _part(meter.limit, meter.period_ns)

    def implied(self, meter: MovingWindow, part: int, now_ns: int) -> int:
        """Of the window that ends now."""
        meter.remaining(now_ns)
        return part - meter.used

    def begin(self, meter: MovingWindow, part: int, until_ns: int, now_ns: int) -> None:
        """So many hits at least are of ``until_ns`` or later: the oldest are moved there."""
        meter.remaining(now_ns)
        missing = part - sum(logged for at, logged in meter.hits if at >= until_ns)
        if missing <= 0 or until_ns + meter.period_ns <= now_ns:
            return
        earlier, later = [], []
        left = missing
        for at, logged in meter.hits:
            if at >= until_ns:
                later.append((at, logged))
                continue
            moved = min(left, logged)
            left -= moved
            if logged > moved:
                earlier.append((at, logged - moved))
        meter.hits = deque([*earlier, (until_ns, missing), *later])
        meter.used += left


def _part(limit: int, period_ns: int) -> int:
    return part_of(limit, SHARE if period_ns <= LONG_NS else LONG_SHARE)


def _together(hits: list[tuple[int, int]]) -> list[int]:
    each = -(-len(hits) // MOST_HITS) or 1
    groups = [hits[at : at + each] for at in range(0, len(hits), each)]
    return [number for group in groups for number in (group[-1][0], sum(n for _, n in group))]
