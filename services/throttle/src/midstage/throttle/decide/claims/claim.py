"""How a meter is written down so that whoever reads it never allows more than the meter does.

A claim is a state of the meter, as whole numbers, in which some units count as used that are not
used yet. The promise of ``room``: after so many units, used at any times from now on, what is
still allowed by the meter is at least what a successor allows that begins with the claim, at every
moment. So a claim may be the last word of a meter that is lost, and nothing is granted twice.
"""

from typing import Protocol, TypeVar

from midstage.throttle.model.account import Settlement

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

    def give_back(self, meter: M_contra, back: Settlement) -> None:
        """What was reserved was not used, and no more is there than if nobody had asked for it.

        What came in since is not given back: it may have come in for these units, and a meter from
        which they were never taken would have been too full for it.
        """
        ...

    def restore(self, meter: M_contra, claim: Standing, now_ns: int) -> None:
        """Make a new meter go on from the claim; ValueError where it is none of this algorithm."""
        ...


def checked(claim: Standing, length: int) -> Standing:
    """The claim, if it has so many numbers; ValueError."""
    if len(claim) != length:
        raise ValueError(f"{len(claim)} numbers, where a meter stands as {length}")
    return claim
