"""A run as text: what was needed, what served, and the bounds of its policy; 80 columns.

Each column is some time and shows its most of both, so that no peak is lost.
"""

from collections.abc import Iterator
from math import floor
from typing import Final

import numpy as np

from midstage.hpa.decide.forecast.seasons import Column
from midstage.hpa.simulate.replay import Run
from midstage.hpa.simulate.series import STEP_S

COLUMNS: Final = 72
ROWS: Final = 10
SERVED, SPARE, SHORT, NOTHING, BOUND = "█", "░", "!", " ", "┄"
LEGEND: Final = f"{SERVED} needed and ready  {SPARE} ready, not needed  {SHORT} needed, not ready"


def chart(run: Run, bounds: tuple[int, int] | None = None) -> Iterator[str]:
    """The lines of the chart; replicas upwards, days to the right.

    ``bounds``: the least and most replicas of the policy, drawn where the chart is that high.
    """
    columns = min(COLUMNS, len(run.load))
    needed = columned(np.nan_to_num(run.load) / run.each, columns)
    ready = columned(run.ready.astype(np.float64), columns)
    most = max(1.0, float(needed.max()), float(ready.max()))
    for row in reversed(range(ROWS)):
        level = (row + 0.5) * most / ROWS
        is_bound = row in {max(0, floor(bound * ROWS / most - 0.5)) for bound in bounds or ()}
        free = BOUND if is_bound else NOTHING
        cells = "".join(
            _cell(float(want), float(have), level, free)
            for want, have in zip(needed, ready, strict=True)
        )
        yield f"{(row + 1) * most / ROWS:>5.0f} │{cells}".rstrip()
    yield f"{'':>5} └{'─' * columns}"
    yield f"{'days':>5}  0{len(run.load) * STEP_S / 86_400:>{columns - 1}.1f}"
    yield LEGEND
    if bounds is not None:
        yield f"{BOUND} from {bounds[0]} to {bounds[1]} replicas"


def columned(values: Column, columns: int) -> Column:
    """The most of each of so many parts."""
    edges = [column * len(values) // columns for column in range(columns)]
    found: Column = np.maximum.reduceat(values, edges)
    return found


def _cell(needed: float, ready: float, level: float, free: str) -> str:
    if needed >= level:
        return SERVED if ready >= level else SHORT
    return SPARE if ready >= level else free
