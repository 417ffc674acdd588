"""What is kept of a counter at rest: beside the claim that stands, the meter as it was let go of.

A claim says less than the meter has. With the meter's own standing beside it the room is opened
again as it was; so a counter that nobody asks for needs no meter, no room and no account. Written
as bytes, without the numbers that are the claim's own: there may be a million.
"""

from itertools import zip_longest
from typing import Final

import msgspec

from midstage.throttle.decide.claims.claim import Standing

_BETWEEN: Final = b" "


class Rested(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``meter`` as it was; ``terms`` and ``taking`` number what the claim's room was under.

    It holds only where the claim is the newest, the partition was not taken since, and nothing of
    it where the terms are others: that is for whoever opens it to compare.
    """

    meter: Standing
    terms: int
    taking: int


def written(rested: Rested, claim: Standing) -> bytes:
    """As bytes without a line's end."""
    numbers = (
        b"" if number == same else b"%d" % number
        for number, same in zip_longest(rested.meter, claim[: len(rested.meter)])
    )
    return _BETWEEN.join([b"%d" % rested.terms, b"%d" % rested.taking, *numbers])


def read(told: bytes, claim: Standing) -> Rested:
    """What was written beside that claim."""
    terms, taking, *numbers = told.split(_BETWEEN)
    meter = [int(number) if number else claim[at] for at, number in enumerate(numbers)]
    return Rested(meter=tuple(meter), terms=int(terms), taking=int(taking))
