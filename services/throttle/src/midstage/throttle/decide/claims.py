"""How a meter is written down so that whoever reads it never allows more than the meter does.

A claim is a state of the meter, as whole numbers, in which some units count as used that are not
used yet. The promise of ``room``: after so many units, used at any times from now on, what is
still allowed by the meter is at least what a successor allows that begins with the claim, at every
moment. So a claim may be the last word of a meter that is lost, and nothing is granted twice.
"""

from typing import Final, Protocol, TypeVar

from midstage.throttle.decide.meters.bucket import TOKEN, TokenBucket

Standing = tuple[int, ...]
M_contra = TypeVar("M_contra", contravariant=True)


class Claims(Protocol[M_contra]):
    """For the meters of one algorithm."""

    @property
    def algorithm(self) -> str:
        """Its name in the log."""
        ...

    def of(self, meter: M_contra, units: int, now_ns: int, until_ns: int) -> Standing:
        """The meter as it is, with ``units`` more used; they need not be used before ``until_ns``.

        0 units are the meter as it is: no room at all.
        """
        ...

    def room(self, meter: M_contra, claim: Standing, now_ns: int) -> int:
        """Units that the meter may use now under a claim that was made under its own terms.

        0 or less where there is none.
        """
        ...

    def restore(self, meter: M_contra, claim: Standing, now_ns: int) -> None:
        """Make a new meter go on from the claim; ValueError where it is none of this algorithm."""
        ...


class BucketClaims:
    """(level, since, rate, full): the level up to the time ``since``, refilled from there on.

    Up to ``since`` a successor gets nothing new, so what comes in meanwhile is room as well. Both
    refill alike afterwards, so the distance between the two stays until the meter is full.
    """

    algorithm: Final = "token-bucket"

    def of(self, meter: TokenBucket, units: int, now_ns: int, until_ns: int) -> Standing:
        """Units above what is there leave a level of 0, or the debt that there is."""
        meter.fill(now_ns)
        if not units:
            return (meter.level, meter.at_ns, meter.rate, meter.full)
        level = max(min(0, meter.level), meter.level - units * TOKEN)
        return (level, max(until_ns, meter.at_ns), meter.rate, meter.full)

    def room(self, meter: TokenBucket, claim: Standing, now_ns: int) -> int:
        """The distance of the levels, in whole tokens."""
        meter.fill(now_ns)
        level, since, rate, full = claim
        gap = meter.at_ns - since
        if gap > 0:
            level = min(full, level + rate * gap)
        return (meter.level - level) // TOKEN

    def restore(self, meter: TokenBucket, claim: Standing, now_ns: int) -> None:
        """As if it had met the terms of the meter now."""
        if len(claim) != _BUCKET or min(claim[1:]) < 0:
            raise ValueError("a token bucket stands as level, time, rate and full level")
        rate, full = meter.rate, meter.full
        meter.level, meter.at_ns, meter.rate, _ = claim
        meter.follow(rate_micros=rate, burst=full // TOKEN, now_ns=now_ns)


_BUCKET: Final = 4
BUCKET_CLAIMS: Final = BucketClaims()
