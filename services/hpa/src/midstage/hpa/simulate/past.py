"""What a forecast would have known at each step of a series: the same arithmetic as live.

A floor changes with each slot, the verdict each hour; both look only at what was complete by then.
"""

from math import isnan
from typing import Final

from midstage.contracts.forecast import Forecast, ForecastInput
from midstage.contracts.peaks import SLOT_S
from midstage.hpa.decide.forecast.backtest import Verdict, tried, verdict
from midstage.hpa.decide.forecast.foreseen import SETTLED
from midstage.hpa.decide.forecast.seasons import maxima_of, packed, unpacked
from midstage.hpa.simulate.series import STEP_S, Series

_PER_SLOT: Final = SLOT_S // STEP_S
_PER_HOUR: Final = 3600 // SLOT_S
_SEEN_S: Final = 60.0


class Past:
    """Asked step by step, forward."""

    def __init__(self, series: Series, said: Forecast, *, cold_start_s: float) -> None:
        """The whole series at once: a slot's floor looks at nothing younger than a season."""
        seen = maxima_of(series.values, step_s=STEP_S, mean_s=_SEEN_S)
        maxima = unpacked(packed(seen))  # as exact as they are kept
        self._tried = tried(maxima, said, cold_start_s=cold_start_s)
        self._margin = said.margin
        self._slot = self._hour = -1
        self._verdict = Verdict()
        self._found = ForecastInput()

    def at(self, step: int) -> ForecastInput:
        """What was known at ``step``."""
        slot = step // _PER_SLOT
        if slot != self._slot:
            self._slot = slot
            self._found = self._asked(slot)
        return self._found

    def _asked(self, slot: int) -> ForecastInput:
        if slot // _PER_HOUR != self._hour:
            self._hour = slot // _PER_HOUR
            self._verdict = verdict(self._tried, max(0, self._hour * _PER_HOUR - SETTLED))
        floor = float(self._tried.floor[slot]) / self._margin
        return ForecastInput(
            carried=None if isnan(floor) else floor,
            tested_s=self._verdict.tested_s,
            lost_without=self._verdict.lost_without,
            lost_with=self._verdict.lost_with,
            off=self._verdict.off,
        )
