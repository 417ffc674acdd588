"""How a meter is written down so that whoever reads it never allows more than the meter does.

A claim is a state of the meter, as whole numbers, in which some units count as used that are not
used yet. The promise of ``room``: after so many units, used at any times from now on, what is
still allowed by the meter is at least what a successor allows that begins with the claim, at every
moment. So a claim may be the last word of a meter that is lost, and nothing is granted twice.

The first units of a counter are implied: every successor begins without them, whatever it finds in
the log. So they may be used under no claim at all, by whoever holds the counter's partition.
"""

from functools import lru_cache
from typing import Final, Protocol, TypeVar

from midstage.throttle.model.account import Settlement

Standing = tuple[int, ...]
M_contra = TypeVar("M_contra", contravariant=True)
SHARE: Final = 16
"""One part in so many of a counter is implied: what a crash takes from a customer who used none."""
LONG_SHARE: Final = 256
"""Of a window that is longer than a minute: it is long until that part comes back."""
LONG_NS: Final = 60_000_000_000


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

    def give_back(self, meter: M_contra, back: Settlement) -> None:
        """What was reserved was not used, and no more is there than if nobody had asked for it.

        What came in since is not given back: it may have come in for these units, and a meter from
        which they were never taken would have been too full for it.
        """
        ...

    def restore(self, meter: M_contra, claim: Standing, now_ns: int) -> None:
        """Make a new meter go on from the claim; ValueError where it is none of this algorithm."""
        ...

    def part(self, meter: M_contra) -> int:
        """How many units are implied by the terms of the meter."""
        ...

    def implied(self, meter: M_contra, part: int, now_ns: int) -> int:
        """Units that are left of the implied ones; 0 or less where there are none."""
        ...

    def begin(self, meter: M_contra, part: int, until_ns: int, now_ns: int) -> None:
        """Go on as if the implied units had been used at ``until_ns``, or before.

        To be said at each touch until then, and once after it; more often changes nothing.
        """
        ...


@lru_cache(maxsize=4096)
def part_of(most: int, share: int = SHARE) -> int:
    """One part in ``share`` of ``most``, to the nearest unit: none of what is small."""
    return (most + share // 2) // share


def checked(claim: Standing, length: int) -> Standing:
    """The claim, if it has so many numbers; ValueError."""
    if len(claim) != length:
        raise ValueError(f"{len(claim)} numbers, where a meter stands as {length}")
    return claim
