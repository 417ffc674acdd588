"""Quantiles with a relative error of 1 %, mergeable in any order: DDSketch (Masson et al., 2019).

A value x > 0 falls into bucket ceil(log(x, gamma)) with gamma = (1+a)/(1-a) and a = 0.01; two
sketches add bucket by bucket. On the wire it is ``packed``; a sketch that spells its counts out
means the same and is read for ever. All functions here take either.
"""

import math
from collections.abc import Iterable, Mapping
from operator import add
from typing import Annotated

import msgspec
from msgspec.structs import force_setattr

from midstage.contracts import packing

ACCURACY = 0.01
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
LOG_GAMMA = math.log(GAMMA)
SMALLEST = 1e-3
"""Values below this (milliseconds: a microsecond) count as zero."""


class Sketch(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of values: ``zeros``, and ``counts[i]`` values in bucket ``lowest + i``.

    Or the same as ``packed`` (see ``contracts.packing``); then the other fields are empty.
    """

    lowest: int = 0
    counts: tuple[int, ...] = ()
    zeros: int = 0
    packed: Annotated[str, msgspec.Meta(max_length=packing.LONGEST_TEXT)] = ""

    def __post_init__(self) -> None:
        """Refuse, as unreadable where it comes from the wire, what no sketch can be."""
        if self.packed:
            if self.counts or self.zeros:
                raise ValueError("a sketch is packed, or spells its counts out")
            packing.read(self.packed)
        elif self.counts and not (
            packing.LOWEST <= self.lowest <= packing.HIGHEST - len(self.counts)
        ):
            raise ValueError("a sketch has buckets that no value falls into")
        if self.zeros < 0 or min(self.counts, default=0) < 0:
            raise ValueError("a sketch counts fewer than none")


EMPTY = Sketch()


def bucket(value: float) -> int:
    """The bucket of a value of at least ``SMALLEST``."""
    return math.ceil(math.log(value) / LOG_GAMMA)


def middle(of: int) -> float:
    """The value that stands for bucket ``of``: within 1 % of each value in it."""
    return float(2 * GAMMA**of / (GAMMA + 1))


def sketch(values: Iterable[float]) -> Sketch:
    """The sketch of ``values`` (not negative, at most 1e300)."""
    zeros = 0
    tally: dict[int, int] = {}
    for value in values:
        if value < SMALLEST:
            zeros += 1
        else:
            at = bucket(value)
            tally[at] = tally.get(at, 0) + 1
    return tallied(tally, zeros=zeros)


def tallied(tally: Mapping[int, int], *, zeros: int) -> Sketch:
    """The sketch of counts by bucket."""
    if not tally:
        return Sketch(zeros=zeros)
    low, high = min(tally), max(tally)
    return Sketch(
        lowest=low, counts=tuple(tally.get(i, 0) for i in range(low, high + 1)), zeros=zeros
    )


def packed(of: Sketch) -> Sketch:
    """As it goes on the wire; the same counts always give the same bytes. Empty stays empty."""
    if of.packed:
        return of
    held = [(i, count) for i, count in enumerate(of.counts, of.lowest) if count]
    if not held and not of.zeros:
        return EMPTY
    made = Sketch()
    force_setattr(made, "packed", packing.text(held, zeros=of.zeros))  # or it is read back
    return made


def unpacked(of: Sketch) -> Sketch:
    """With its counts spelt out."""
    if not of.packed:
        return of
    zeros, held = packing.read(of.packed)
    return tallied(dict(held), zeros=zeros)


def merged(*parts: Sketch) -> Sketch:
    """One sketch of everything that the parts saw, its counts spelt out."""
    plain = [unpacked(part) for part in parts]
    zeros = sum(part.zeros for part in plain)
    held = [part for part in plain if any(part.counts)]
    if not held:
        return Sketch(zeros=zeros)
    lowest = min(part.lowest for part in held)
    counts = [0] * (max(part.lowest + len(part.counts) for part in held) - lowest)
    for part in held:
        here = slice(part.lowest - lowest, part.lowest - lowest + len(part.counts))
        counts[here] = map(add, counts[here], part.counts)
    return _spelt(lowest, counts, zeros=zeros)


def _spelt(lowest: int, counts: list[int], *, zeros: int) -> Sketch:
    """From the first bucket that holds a value to the last one; at least one does."""
    first = next(i for i, here in enumerate(counts) if here)
    last = next(i for i in range(len(counts) - 1, -1, -1) if counts[i])
    return Sketch(lowest=lowest + first, counts=tuple(counts[first : last + 1]), zeros=zeros)


def count(of: Sketch) -> int:
    """How many values the sketch has seen."""
    plain = unpacked(of)
    return plain.zeros + sum(plain.counts)


def quantile(of: Sketch, q: float) -> float | None:
    """The value at rank ``q`` (0 to 1) within 1 % of its size; None for an empty sketch."""
    if not 0 <= q <= 1:
        raise ValueError(f"quantile {q} is not between 0 and 1")
    plain = unpacked(of)
    n = count(plain)
    if n == 0:
        return None
    rank = q * (n - 1)
    seen = plain.zeros
    if rank < seen:
        return 0.0
    for i, here in enumerate(plain.counts, plain.lowest):
        seen += here
        if rank < seen:
            return middle(i)
    raise AssertionError("a rank below the count lies in some bucket")
