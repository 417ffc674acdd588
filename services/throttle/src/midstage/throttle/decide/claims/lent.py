"""Claims of token buckets of which parts are lent: what is kept, and who has the rest.

(level, since, rate, part, full, whole rate, whole full) and then the parts that others have
(``decide.grants``). The first five are the owner's part, as of a token bucket; as a lease ends, so
much more is the successor's. So whoever counts next goes on with the same leases: a holder that
asks it renews its own. A lease is told only once it stands in a claim that was accepted.
"""

from typing import Final

from midstage.throttle.decide.claims.claim import Standing, part_of
from midstage.throttle.decide.claims.levels import BucketClaims, unfilled
from midstage.throttle.decide.grants import Grants
from midstage.throttle.decide.lending import TOKEN, LentBucket
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.model.account import Settlement

_BUCKET: Final = BucketClaims()
_OWN: Final = 5
_FIRST_ENDS: Final = 7


class LentClaims:
    """Of the owner's part, and the leases."""

    algorithm: Final = "lent-bucket"

    def of(self, meter: LentBucket, units: int, now_ns: int, until_ns: int) -> Standing:
        """As of a token bucket, of the owner's part alone; what is lent is nobody's room."""
        own = _BUCKET.of(meter, units, now_ns, until_ns)
        whole_full = meter.whole_burst * meter.token
        return (*own, meter.whole_rate, whole_full, *meter.grants.written())

    def room(self, meter: LentBucket, claim: Standing, now_ns: int) -> int:
        """The distance of the levels, in whole tokens; a successor regains what ends."""
        meter.fill(now_ns)
        return (meter.level - _level(claim, meter.at_ns)) // meter.token

    def give_back(self, meter: LentBucket, back: Settlement) -> None:
        """As to a token bucket; what comes in for others counts as well."""
        meter.fill(back.now_ns)
        rate = max(meter.rate, meter.whole_rate)
        more = unfilled(back, part=meter.token, rate=rate, at_ns=meter.at_ns)
        meter.level = min(meter.full, meter.level + more)

    def restore(self, meter: LentBucket, claim: Standing, now_ns: int) -> None:
        """With the same leases, and as if it had met the terms of the meter now."""
        rate, burst = meter.whole_rate, meter.whole_burst
        _resume(meter, claim)
        meter.follow(units=rate, period_ns=TOKEN, burst=burst, now_ns=now_ns)
        meter.fill(now_ns)

    def part(self, meter: LentBucket) -> int:
        """Of all that the bucket was before parts of it were lent."""
        return part_of(meter.whole_burst)

    def implied(self, meter: LentBucket, part: int, now_ns: int) -> int:
        """None: what is lent has to be in the log anyhow."""
        del meter, part, now_ns
        return 0

    def begin(self, meter: LentBucket, part: int, until_ns: int, now_ns: int) -> None:
        """As of a token bucket, which it was when that part was left out: it fills no higher.

        What it has stays: of that a part was left out already, and what is lent is less of it.
        """
        before = meter.level
        meter.fill(now_ns)
        most = meter.full - part * meter.token + meter.rate * max(0, now_ns - until_ns)
        meter.level = min(meter.level, max(before, most))


def _level(claim: Standing, at_ns: int) -> int:
    """What a successor has at ``at_ns``."""
    level, since, rate, _, full = claim[:_OWN]
    if len(claim) > _FIRST_ENDS and at_ns >= claim[_FIRST_ENDS]:
        successor = LentBucket(TokenBucket(units=0, period_ns=TOKEN, burst=0, now_ns=since))
        _resume(successor, claim)
        successor.fill(at_ns)
        return successor.level
    gap = at_ns - since
    return min(full, level + rate * gap) if gap > 0 else level


def _resume(meter: LentBucket, claim: Standing) -> None:
    if len(claim) < _FIRST_ENDS or min(claim[1:]) < 0:
        raise ValueError("a lent bucket stands as seven numbers and its parts, none below 0")
    level, since_ns, _, token, _, whole_rate, whole_full = claim[:_FIRST_ENDS]
    if token != TOKEN:
        raise ValueError(f"a part of {token}, where a lent bucket has {TOKEN}")
    meter.resume(
        level=level,
        since_ns=since_ns,
        whole_rate=whole_rate,
        whole_burst=whole_full // TOKEN,
        grants=Grants.read(claim[_FIRST_ENDS:]),
    )
