"""What the past of a load says of each time, in slots of five minutes: pure arithmetic on columns.

A slot holds the largest mean of a minute in it; NaN is unknown, which is never zero. What is
expected of a slot is the median, over earlier seasons, of the most that came from then until a
replica ordered then is ready and a bit. A median lets one odd day, and any gap, change nothing.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from midstage.contracts.forecast import Season
from midstage.contracts.peaks import SLOT_S, SLOTS_A_DAY

Column = npt.NDArray[np.float64]
DAY: Final = SLOTS_A_DAY
DAYS: Final = 15
"""So much is remembered: a week to test in, and the seasons before its first day."""
SLOTS: Final = DAYS * DAY
UNKNOWN: Final = 0xFFFF
"""Of two bytes: nothing is known of the slot."""
_BACK: Final = {
    Season.DAY: tuple(day * DAY for day in range(1, 8)),
    Season.WEEK: (7 * DAY, 14 * DAY),
}
_FEWEST: Final = {Season.DAY: 2, Season.WEEK: 1}
"""Of so many earlier seasons a slot has to be known, or one odd day would be the forecast."""


def slots(seconds: float) -> int:
    """The slots that hold so much time."""
    return -int(-seconds // SLOT_S)


def expected(maxima: Column, season: Season, *, ahead_s: float, hold_s: float) -> Column:
    """For each slot what is expected there, and was within ``hold_s`` before; NaN: unknown.

    Only what lies a season before a slot, or longer ago, is looked at: one slot more than
    ``maxima`` has can be asked for, the one that comes.
    """
    coming = _most(_shifted(maxima, 0, 1), ahead=slots(ahead_s))
    back, length = _BACK[season], len(coming)
    held = np.full((len(back), length), np.nan)
    for row, lag in enumerate(back):
        if lag < length:
            held[row, lag:] = coming[: length - lag]
    return trailing(_median(held, _FEWEST[season]), 0, slots(hold_s))


def trailing(values: Column, first: int, last: int) -> Column:
    """For each slot the most of the slots from ``last`` to ``first`` before it; NaN: none known."""
    found = _shifted(values, first)
    for lag in range(first + 1, last + 1):
        found = np.fmax(found, _shifted(values, lag))
    return found


def maxima_of(values: Column, *, step_s: float, mean_s: float) -> Column:
    """Slots of a series that has a value each ``step_s``; the means are those of ``mean_s``."""
    span, each = max(1, round(mean_s / step_s)), max(1, round(SLOT_S / step_s))
    sums = np.concatenate(([0.0], np.cumsum(values)))
    means = values.astype(np.float64)
    if len(values) >= span:
        means[span - 1 :] = (sums[span:] - sums[:-span]) / span
    filled = np.full(-(-len(values) // each) * each, np.nan)
    filled[: len(values)] = means
    found: Column = np.fmax.reduce(filled.reshape(-1, each), axis=1)
    return found


def packed(maxima: Column) -> npt.NDArray[np.uint16]:
    """Two bytes a slot: the upper bits of a float without its sign, rounded up by 0.4 % at most.

    Rounded up, so that what was carried still is below; the highest number is unknown.
    """
    bits = np.nan_to_num(maxima, nan=0.0).astype(np.float32).view(np.uint32)
    rounded = np.minimum((bits + np.uint32((1 << 15) - 1)) >> 15, UNKNOWN - 1)
    return np.where(np.isnan(maxima), np.uint16(UNKNOWN), rounded.astype(np.uint16))


def unpacked(held: npt.NDArray[np.uint16]) -> Column:
    """The slots again."""
    values = (held.astype(np.uint32) << 15).view(np.float32).astype(np.float64)
    return np.where(held == UNKNOWN, np.nan, values)


def _shifted(values: Column, by: int, more: int = 0) -> Column:
    """The values ``by`` slots later, and ``more`` unknown ones behind."""
    length = len(values)
    found = np.full(length + more, np.nan)
    found[by:length] = values[: max(0, length - by)]
    return found


def _most(values: Column, *, ahead: int) -> Column:
    """For each slot the most of it and the ``ahead`` slots after it."""
    return trailing(values[::-1], 0, ahead)[::-1]


def _median(rows: Column, fewest: int) -> Column:
    """By column, of what is known; NaN where that are fewer than ``fewest``."""
    ordered = np.sort(rows, axis=0)  # NaN last
    known = np.count_nonzero(~np.isnan(ordered), axis=0)
    columns: Sequence[int] | npt.NDArray[np.intp] = np.arange(ordered.shape[1])
    low = ordered[np.maximum(0, known - 1) // 2, columns]
    high = ordered[np.minimum(len(rows) - 1, known // 2), columns]
    return np.where(known >= fewest, (low + high) / 2, np.nan)
