"""What an application carried at most within one slot of its past, from its seconds."""

from typing import Final

import numpy as np

from midstage.contracts.peaks import SLOT_S
from midstage.contracts.policy import Measure
from midstage.hpa.decide.forecast.seasons import Column
from midstage.hpa.views.carried import Carried

MEAN_S: Final = 60
_FEWEST_OF_MEAN: Final = MEAN_S // 2
_FEWEST: Final = SLOT_S // 2
"""A slot of which less is known is unknown: its peak may be in what is not."""


def peak(carried: Carried, app: str, measure: Measure, slot: int) -> float | None:
    """The largest mean of a minute that ends in the slot, of its known seconds; None: unknown."""
    begin, end = slot * SLOT_S, (slot + 1) * SLOT_S
    first = begin - MEAN_S + 1
    found = carried.between(app, measure, first, end)
    if len(found) < _FEWEST:
        return None
    values, known = np.zeros(end - first), np.zeros(end - first)
    at = np.fromiter(found, dtype=np.intp, count=len(found)) - first
    values[at] = np.fromiter(found.values(), dtype=np.float64, count=len(found))
    known[at] = 1
    if known[MEAN_S - 1 :].sum() < _FEWEST:
        return None
    sums, counts = _trailing(values), _trailing(known)
    enough = counts >= _FEWEST_OF_MEAN
    return float((sums[enough] / counts[enough]).max()) if enough.any() else None


def _trailing(values: Column) -> Column:
    """The sums over each minute."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    found: Column = sums[MEAN_S:] - sums[:-MEAN_S]
    return found
