"""What is expected of the next hour and whether that helped lately: made anew each hour.

It looks at nothing younger than ``boundary``, so within its hour it is the same whenever it is
made; each application has its hour at another time, or all would be made at once.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from typing import Final
from zlib import crc32

import numpy as np

from midstage.contracts.forecast import Forecast, ForecastInput
from midstage.contracts.peaks import SLOT_S
from midstage.hpa.decide.forecast.backtest import Verdict, tried, verdict
from midstage.hpa.decide.forecast.seasons import Column, slots

SETTLED: Final = 3
"""So many slots at the end are left out of a test: late facts may still change them."""
_HOUR_S: Final = 3600
_COMING: Final = _HOUR_S // SLOT_S + SETTLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """``expected[n]`` is of slot ``boundary + n``; ``end``: of the newest slot that is known."""

    boundary: int
    expected: tuple[float, ...]
    verdict: Verdict
    end: int | None

    def at(self, now: datetime) -> ForecastInput:
        """What it says of ``now``, which is within its hour."""
        carried = self.expected[int(now.timestamp()) // SLOT_S - self.boundary]
        return ForecastInput(
            carried=None if isnan(carried) else carried,
            until=None if self.end is None else datetime.fromtimestamp(self.end * SLOT_S, UTC),
            tested_s=self.verdict.tested_s,
            lost_without=self.verdict.lost_without,
            lost_with=self.verdict.lost_with,
            off=self.verdict.off,
        )


def boundary(app: str, now: datetime) -> int:
    """The first slot that is not looked at in the application's hour of ``now``."""
    second = int(now.timestamp())
    hour = second - (second - crc32(app.encode())) % _HOUR_S
    return hour // SLOT_S - SETTLED


def foreseen(maxima: Column, said: Forecast, *, cold_start_s: float, before: int) -> Foreseen:
    """``maxima`` are the slots up to before the slot ``before``, the boundary of the hour."""
    coming = np.concatenate((maxima, np.full(_COMING, np.nan)))
    past = tried(coming, said, cold_start_s=cold_start_s)
    known = np.flatnonzero(~np.isnan(maxima))
    return Foreseen(
        boundary=before,
        expected=tuple(float(each) / said.margin for each in past.floor[len(maxima) :]),
        verdict=verdict(past, len(maxima)),
        end=None if not len(known) else before - len(maxima) + int(known[-1]) + 1,
    )


def looks(said: Forecast, cold_start_s: float) -> tuple[int, int]:
    """The slots that a forecast looks ahead: it changes with the cold start only as they do."""
    return slots(cold_start_s + said.lead_s), slots(cold_start_s)
