"""Quantiles with a relative error of 1 %, mergeable in any order: DDSketch (Masson et al., 2019).

A value x > 0 falls into bucket ceil(log(x, gamma)) with gamma = (1+a)/(1-a) and a = 0.01; two
sketches add bucket by bucket. On the wire it is dense: the lowest bucket and the counts from it.
"""

import math
from collections.abc import Iterable

import msgspec

ACCURACY = 0.01
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(GAMMA)
SMALLEST = 1e-3
"""Values below this (milliseconds: a microsecond) count as zero."""


class Sketch(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of values: ``zeros``, and ``counts[i]`` values in bucket ``lowest + i``."""

    lowest: int = 0
    counts: tuple[int, ...] = ()
    zeros: int = 0


EMPTY = Sketch()


def bucket(value: float) -> int:
    """The bucket of a value of at least ``SMALLEST``."""
    return math.ceil(math.log(value) / _LOG_GAMMA)


def sketch(values: Iterable[float]) -> Sketch:
    """The sketch of ``values`` (not negative)."""
    zeros = 0
    tally: dict[int, int] = {}
    for value in values:
        if value < SMALLEST:
            zeros += 1
        else:
            at = bucket(value)
            tally[at] = tally.get(at, 0) + 1
    return _dense(tally, zeros)


def merged(*parts: Sketch) -> Sketch:
    """One sketch of everything that the parts saw."""
    tally: dict[int, int] = {}
    for part in parts:
        for i, count in enumerate(part.counts, part.lowest):
            if count:
                tally[i] = tally.get(i, 0) + count
    return _dense(tally, sum(part.zeros for part in parts))


def count(of: Sketch) -> int:
    """How many values the sketch has seen."""
    return of.zeros + sum(of.counts)


def quantile(of: Sketch, q: float) -> float | None:
    """The value at rank ``q`` (0 to 1) within 1 % of its size; None for an empty sketch."""
    if not 0 <= q <= 1:
        raise ValueError(f"quantile {q} is not between 0 and 1")
    n = count(of)
    if n == 0:
        return None
    rank = q * (n - 1)
    seen = of.zeros
    if rank < seen:
        return 0.0
    for i, here in enumerate(of.counts, of.lowest):
        seen += here
        if rank < seen:
            return float(2 * GAMMA**i / (GAMMA + 1))
    raise AssertionError("a rank below the count lies in some bucket")


def _dense(tally: dict[int, int], zeros: int) -> Sketch:
    if not tally:
        return Sketch(zeros=zeros)
    low, high = min(tally), max(tally)
    return Sketch(
        lowest=low, counts=tuple(tally.get(i, 0) for i in range(low, high + 1)), zeros=zeros
    )
