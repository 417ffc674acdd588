"""Claims of what refills evenly: token bucket, leaky bucket, GCRA.

(level, since, rate, part, full): the level up to the time ``since``, in parts of which ``part`` are
a unit; ``rate`` parts a nanosecond come in from there on, up to ``full``. Up to ``since`` a
successor gets nothing new, so what comes in meanwhile is room as well. Both refill alike
afterwards, so the distance between the two stays until the meter is full. What is implied is the
top of the level: no successor begins any fuller.
"""

from typing import Final

from midstage.throttle.decide.claims.claim import Standing, checked, part_of
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.meters.gcra import Gcra
from midstage.throttle.decide.meters.leaky import LeakyBucket
from midstage.throttle.model.account import Settlement

_NUMBERS: Final = 5


class BucketClaims:
    """For token buckets."""

    algorithm: Final = "token-bucket"

    def of(self, meter: TokenBucket, units: int, now_ns: int, until_ns: int) -> Standing:
        """Units above what is there leave a level of 0, or the debt that there is."""
        meter.fill(now_ns)
        level, since = _lowered(meter.level, units * meter.token), max(until_ns, meter.at_ns)
        return (level, since if units else meter.at_ns, meter.rate, meter.token, meter.full)

    def room(self, meter: TokenBucket, claim: Standing, now_ns: int) -> int:
        """The distance of the levels, in whole tokens."""
        meter.fill(now_ns)
        return (meter.level - _level(claim, meter.at_ns)) // meter.token

    def give_back(self, meter: TokenBucket, back: Settlement) -> None:
        """Less what came in since it was taken."""
        meter.fill(back.now_ns)
        more = unfilled(back, part=meter.token, rate=meter.rate, at_ns=meter.at_ns)
        meter.level = min(meter.full, meter.level + more)

    def restore(self, meter: TokenBucket, claim: Standing, now_ns: int) -> None:
        """As if it had met the terms of the meter now."""
        rate, token, full = meter.rate, meter.token, meter.full
        meter.level, meter.at_ns, meter.rate, meter.token, meter.full = _sound(claim)
        meter.follow(units=rate, period_ns=token, burst=full // token, now_ns=now_ns)

    def part(self, meter: TokenBucket) -> int:
        """Of the burst."""
        return part_of(meter.full // meter.token)

    def implied(self, meter: TokenBucket, part: int, now_ns: int) -> int:
        """What the level is above the most that a successor has."""
        meter.fill(now_ns)
        return (meter.level - meter.full) // meter.token + part

    def begin(self, meter: TokenBucket, part: int, until_ns: int, now_ns: int) -> None:
        """Not full at ``until_ns``, and filling since."""
        meter.fill(now_ns)
        most = meter.full - part * meter.token + meter.rate * max(0, now_ns - until_ns)
        meter.level = min(meter.level, most)


class LeakyClaims:
    """For leaky buckets: the level is the room in it."""

    algorithm: Final = "leaky-bucket"

    def of(self, meter: LeakyBucket, units: int, now_ns: int, until_ns: int) -> Standing:
        """As of a token bucket."""
        meter.remaining(now_ns)
        level, since = _lowered(meter.room, units * meter.period_ns), max(until_ns, meter.at_ns)
        full = meter.burst * meter.period_ns
        return (level, since if units else meter.at_ns, meter.limit, meter.period_ns, full)

    def room(self, meter: LeakyBucket, claim: Standing, now_ns: int) -> int:
        """The distance, in whole units."""
        meter.remaining(now_ns)
        return (meter.room - _level(claim, meter.at_ns)) // meter.period_ns

    def give_back(self, meter: LeakyBucket, back: Settlement) -> None:
        """Less what has leaked since it was taken."""
        meter.remaining(back.now_ns)
        more = unfilled(back, part=meter.period_ns, rate=meter.limit, at_ns=meter.at_ns)
        meter.room = min(meter.burst * meter.period_ns, meter.room + more)

    def restore(self, meter: LeakyBucket, claim: Standing, now_ns: int) -> None:
        """As if it had met the terms of the meter now."""
        limit, period_ns, burst = meter.limit, meter.period_ns, meter.burst
        meter.room, meter.at_ns, meter.limit, meter.period_ns, full = _sound(claim)
        meter.burst = full // meter.period_ns
        meter.follow(limit=limit, period_ns=period_ns, burst=burst, now_ns=now_ns)

    def part(self, meter: LeakyBucket) -> int:
        """Of the burst."""
        return part_of(meter.burst)

    def implied(self, meter: LeakyBucket, part: int, now_ns: int) -> int:
        """As of a token bucket."""
        meter.remaining(now_ns)
        return meter.room // meter.period_ns - meter.burst + part

    def begin(self, meter: LeakyBucket, part: int, until_ns: int, now_ns: int) -> None:
        """As of a token bucket."""
        meter.remaining(now_ns)
        most = (meter.burst - part) * meter.period_ns + meter.limit * max(0, now_ns - until_ns)
        meter.room = min(meter.room, most)


class GcraClaims:
    """For GCRA: the level is the tolerance that is left."""

    algorithm: Final = "gcra"

    def of(self, meter: Gcra, units: int, now_ns: int, until_ns: int) -> Standing:
        """As of a token bucket."""
        meter.remaining(now_ns)
        level = _lowered(_tolerated(meter), units * meter.period_ns)
        since = max(until_ns, meter.at_ns) if units else meter.at_ns
        return (level, since, meter.units, meter.period_ns, meter.tolerance)

    def room(self, meter: Gcra, claim: Standing, now_ns: int) -> int:
        """The distance, in whole units."""
        meter.remaining(now_ns)
        return (_tolerated(meter) - _level(claim, meter.at_ns)) // meter.period_ns

    def give_back(self, meter: Gcra, back: Settlement) -> None:
        """Less the time that has passed since it was taken."""
        meter.remaining(back.now_ns)
        more = unfilled(back, part=meter.period_ns, rate=meter.units, at_ns=meter.at_ns)
        meter.tat = max(meter.at_ns * meter.units, meter.tat - more)

    def restore(self, meter: Gcra, claim: Standing, now_ns: int) -> None:
        """As if it had met the terms of the meter now."""
        units, period_ns, tolerance = meter.units, meter.period_ns, meter.tolerance
        level, meter.at_ns, meter.units, meter.period_ns, meter.tolerance = _sound(claim)
        meter.tat = meter.tolerance - level + meter.at_ns * meter.units
        burst = tolerance // period_ns
        meter.follow(units=units, period_ns=period_ns, burst=burst, now_ns=now_ns)

    def part(self, meter: Gcra) -> int:
        """Of the tolerance."""
        return part_of(meter.tolerance // meter.period_ns)

    def implied(self, meter: Gcra, part: int, now_ns: int) -> int:
        """As of a token bucket."""
        meter.remaining(now_ns)
        return (_tolerated(meter) - meter.tolerance) // meter.period_ns + part

    def begin(self, meter: Gcra, part: int, until_ns: int, now_ns: int) -> None:
        """As of a token bucket."""
        meter.remaining(now_ns)
        most = meter.tolerance - part * meter.period_ns + meter.units * max(0, now_ns - until_ns)
        meter.tat += max(0, _tolerated(meter) - most)


def unfilled(back: Settlement, *, part: int, rate: int, at_ns: int) -> int:
    """Parts of what was reserved that nothing has come in for."""
    return max(0, -back.more * part - rate * max(0, at_ns - back.taken_ns))


def _lowered(level: int, by: int) -> int:
    return max(min(0, level), level - by)


def _level(claim: Standing, at_ns: int) -> int:
    """What a successor has at ``at_ns``."""
    level, since, rate, _, full = claim
    gap = at_ns - since
    return min(full, level + rate * gap) if gap > 0 else level


def _tolerated(meter: Gcra) -> int:
    return meter.tolerance - meter.tat + meter.at_ns * meter.units


def _sound(claim: Standing) -> Standing:
    checked(claim, _NUMBERS)
    if min(claim[1:]) < 0 or not claim[3]:
        raise ValueError("times, rates, parts and full levels are not below 0")
    return claim
