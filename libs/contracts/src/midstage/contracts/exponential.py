"""A sketch as OpenTelemetry's exponential histogram, for whoever keeps metrics in that form.

Bucket ``i`` of scale ``s`` holds the values in (base**i, base**(i+1)], base = 2**(2**-s)
(opentelemetry-specification, metrics/data-model, "ExponentialHistogram"). Each bucket of the sketch
goes as a whole to where its middle lies, so the two errors add: see ``error``.
"""

import math
from dataclasses import dataclass

from midstage.contracts import sketch
from midstage.contracts.sketch import Sketch

COARSEST, FINEST = -10, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """``counts[i]`` values in bucket ``offset + i``; ``zero_count`` below ``zero_threshold``."""

    scale: int
    zero_count: int
    zero_threshold: float
    offset: int
    counts: tuple[int, ...]


def exponential(of: Sketch, *, scale: int = 6) -> Exponential:
    """The histogram of ``scale`` (-10 to 10); ValueError outside. No value is lost."""
    if not COARSEST <= scale <= FINEST:
        raise ValueError(f"scale {scale} is not between {COARSEST} and {FINEST}")
    plain = sketch.unpacked(of)
    tally: dict[int, int] = {}
    for i, here in enumerate(plain.counts, plain.lowest):
        if here:
            at = math.ceil(math.log2(sketch.middle(i)) * 2.0**scale) - 1
            tally[at] = tally.get(at, 0) + here
    offset = min(tally, default=0)
    return Exponential(
        scale=scale,
        zero_count=plain.zeros,
        zero_threshold=sketch.SMALLEST,
        offset=offset,
        counts=tuple(tally.get(i, 0) for i in range(offset, max(tally, default=-1) + 1)),
    )


def error(scale: int) -> float:
    """How far, relative to it, a value can be from the middle 2b**(i+1)/(b+1) of its bucket.

    1.6 % at scale 6, 2.1 % at scale 5, 1.0 % and nothing more at the finest.
    """
    base = math.exp2(math.exp2(-scale))
    own = (base - 1) / (base + 1)
    return sketch.ACCURACY + own + sketch.ACCURACY * own
