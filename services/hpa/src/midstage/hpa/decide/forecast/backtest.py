"""Whether a floor of the past would have helped in the last week: it holds only while it would.

Both ways are given the same money: the floor with what the load wanted by itself, against the
latter alone with so much more everywhere as the floor costs. What counts is the load above what
was there, for a replica at its target has room for more.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from midstage.contracts.forecast import Forecast
from midstage.contracts.peaks import SLOT_S
from midstage.hpa.decide.forecast.seasons import DAY, Column, expected, slots, trailing

TESTED: Final = 7 * DAY
FEWEST: Final = DAY // 2
ROOM: Final = 0.7
"""What a target is believed to be of what a replica can carry."""
BETTER: Final = 0.8
"""It holds while at most so much is lost of what is lost without it: noise switches nothing."""
_SEES_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """For each slot of a past: what came, what was expected, what the load asked for by itself."""

    came: Column
    floor: Column
    asked: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The shares of the load that were lost; ``off`` says why the floor does not hold."""

    tested: int = 0
    lost_without: float = 0.0
    lost_with: float = 0.0
    off: str = ""

    @property
    def tested_s(self) -> float:
        """So much time was known well enough to test."""
        return float(self.tested * SLOT_S)


def tried(maxima: Column, said: Forecast, *, cold_start_s: float) -> Tried:
    """The past as both ways would have met it; ``floor`` has one slot more, the one that comes."""
    lag = slots(cold_start_s + _SEES_S)
    return Tried(
        came=maxima,
        floor=expected(maxima, said.season, ahead_s=cold_start_s + said.lead_s, hold_s=said.hold_s)
        * said.margin,
        asked=trailing(maxima, lag, lag + slots(said.hold_s)),
    )


def verdict(past: Tried, end: int) -> Verdict:
    """Of the week before slot ``end``."""
    begin = max(0, end - TESTED)
    came, floor, asked = past.came[begin:end], past.floor[begin:end], past.asked[begin:end]
    known = ~(np.isnan(came) | np.isnan(floor) | np.isnan(asked))
    tested = int(np.count_nonzero(known))
    if tested < FEWEST:
        return Verdict(tested=tested, off="too little of the past is known to test it")
    came, floor, asked = came[known], floor[known], asked[known]
    both = np.maximum(asked, floor)
    total, alone = float(came.sum()), float(asked.sum())
    if total <= 0 or alone <= 0:
        return Verdict(tested=tested, off="nothing was carried")
    without = _lost(came, asked * (float(both.sum()) / alone)) / total
    with_it = _lost(came, both) / total
    off = ""
    if without <= 0:
        off = "without it nothing was lost either"
    elif with_it > BETTER * without:
        off = f"with it {with_it:.3%} of the load were lost, {without:.3%} without it"
    return Verdict(tested=tested, lost_without=without, lost_with=with_it, off=off)


def _lost(came: Column, there: Column) -> float:
    return float(np.maximum(came - there / ROOM, 0.0).sum())
