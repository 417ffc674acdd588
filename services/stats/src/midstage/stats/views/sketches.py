"""Sketches of many groups at once, in whole columns.

The same as ``contracts.sketch``, but that a value within one rounding of two buckets' border may
lie in the other one: no farther from what stands for it.
"""

import numpy as np

from midstage.contracts.sketch import LOG_GAMMA, SMALLEST, Sketch
from midstage.stats.model import Doubles, Longs


def sketches(groups: Longs, values: Doubles, *, count: int) -> list[Sketch]:
    """Of each group from 0 to ``count`` - 1 the sketch of its values; NaN is no value."""
    zeros = np.bincount(groups[values < SMALLEST], minlength=count).tolist()
    positive = values >= SMALLEST
    held, buckets = groups[positive], _buckets(values[positive])
    lows, highs = _least(held, buckets, count), -_least(held, -buckets, count)
    sizes = np.where(lows <= highs, highs - lows + 1, 0)
    begins = np.concatenate(([0], np.cumsum(sizes)))
    places = begins[held] + buckets - lows[held]
    counts = np.bincount(places, minlength=int(begins[-1])).tolist()
    return [
        Sketch(lowest=low if size else 0, counts=tuple(counts[at : at + size]), zeros=zero)
        for low, size, at, zero in zip(
            lows.tolist(), sizes.tolist(), begins[:-1].tolist(), zeros, strict=True
        )
    ]


def _buckets(values: Doubles) -> Longs:
    return np.ceil(np.log(values) / LOG_GAMMA).astype(np.int64)


def _least(groups: Longs, values: Longs, count: int) -> Longs:
    """The least value of each group; where there is none, more than any."""
    least = np.full(count, 2**40, np.int64)
    np.minimum.at(least, groups, values)
    return least
