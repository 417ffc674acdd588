"""Claims of slots: who has one, and how many more may be given under the claim.

(at, until, given, spare, spare until, kinds of ghosts, (how many, until) of each, (request's
number, until) of each that has a slot). What is given again after an end counts as well: so an end
is nobody's room, and a successor may free a slot by it though the one before has too. ``spare``
are those of which a successor knows no request: what may still be given, and what has no name. They
are free again when the time of the last one is up, for none is given after ``until``.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.meters.slots import Ghosts, Slots, number_of
from midstage.throttle.model.account import Settlement

MOST_NAMED: Final = 4096
"""Requests that a claim names, the youngest ones; of more, a successor knows how many."""
TERMS: Final = 16
"""A claim is for one part in so many of the time that a slot is held at most."""
_MOST_GHOSTS: Final = 8
_NUMBERS: Final = 6


class SlotClaims:
    """A successor begins with all of it taken."""

    algorithm: Final = "slots"

    def of(self, meter: Slots, units: int, now_ns: int, until_ns: int) -> Standing:
        """With ``units`` that may be given until then, or for longer."""
        meter.remaining(now_ns)
        at_ns = meter.at_ns
        ends_ns = max(until_ns, at_ns + meter.ttl_ns // TERMS) if units else at_ns
        named, nameless = _named(meter)
        free_ns = max(ends_ns + meter.ttl_ns, max(nameless, default=0))
        ghosts = _fewer(meter.ghosts)
        return (
            at_ns,
            ends_ns,
            meter.given + units,
            units + len(nameless),
            free_ns,
            len(ghosts),
            *(number for kind in ghosts for number in kind),
            *(number for each in named for number in each),
        )

    def room(self, meter: Slots, claim: Standing, now_ns: int) -> int:
        """Slots that may be given yet."""
        meter.remaining(now_ns)
        _, until_ns, given = claim[:3]
        left = given - meter.given
        return left if meter.at_ns <= until_ns else min(0, left)

    def give_back(self, meter: Slots, back: Settlement) -> None:
        """The slot is free."""
        meter.settle(back)

    def restore(self, meter: Slots, claim: Standing, now_ns: int) -> None:
        """Who had a slot has it, and what might have been given is."""
        if len(claim) < _NUMBERS or len(claim) % 2 or min(claim) < 0:
            raise ValueError("slots stand as pairs of numbers, none of them below 0")
        at_ns, until_ns, _, spare, spare_until_ns, kinds = claim[:_NUMBERS]
        if not at_ns <= until_ns <= spare_until_ns or 2 * kinds > len(claim) - _NUMBERS:
            raise ValueError("no slot is free before it is given")
        pairs = _pairs(claim[_NUMBERS:])
        ghosts = [Ghosts(*pair) for pair in islice(pairs, kinds)]
        meter.inherit(pairs, [*ghosts, Ghosts(spare, spare_until_ns)])
        meter.remaining(now_ns)

    def part(self, meter: Slots) -> int:
        """None: a crash would take it from the customer for as long as a slot may be held."""
        del meter
        return 0

    def implied(self, meter: Slots, part: int, now_ns: int) -> int:
        """None."""
        del meter, part, now_ns
        return 0

    def begin(self, meter: Slots, part: int, until_ns: int, now_ns: int) -> None:
        """There is nothing that others may use without saying so."""


def _named(meter: Slots) -> tuple[Sequence[tuple[int, int]], Sequence[int]]:
    """The requests that a claim names, and until when slots are held that it does not."""
    named: dict[int, int] = {}
    nameless: list[int] = []
    for held in (meter.held, meter.inherited):
        for holder, until_ns in reversed(held.items()):
            if len(named) >= MOST_NAMED or (isinstance(holder, int) and held is meter.held):
                nameless.append(until_ns)
            else:
                named[number_of(holder) if isinstance(holder, str) else holder] = until_ns
    return tuple(named.items()), nameless


def _fewer(ghosts: Sequence[Ghosts]) -> Sequence[Ghosts]:
    """The oldest together, where there are too many kinds."""
    if len(ghosts) <= _MOST_GHOSTS:
        return ghosts
    kinds = sorted(ghosts, key=lambda each: each.until_ns)
    old, rest = kinds[: 1 - _MOST_GHOSTS], kinds[1 - _MOST_GHOSTS :]
    return (Ghosts(sum(each.slots for each in old), old[-1].until_ns), *rest)


def _pairs(numbers: Standing) -> Iterator[tuple[int, int]]:
    each = iter(numbers)
    return zip(each, each, strict=True)
