"""A past in the log's words: columns of slots become records of days."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from midstage.contracts.forecast import Forecast
from midstage.contracts.peaks import SLOT_S, SLOTS_A_DAY, PeaksObserved
from midstage.contracts.policy import Measure, Policy
from midstage.hpa.decide.forecast.seasons import Column, packed
from tests.hpa.engine import policy

SLOT = timedelta(seconds=SLOT_S)


def slot_of(at: datetime) -> int:
    """The number of the slot of a time."""
    return int(at.timestamp()) // SLOT_S


def foreseeing(**changed: object) -> Policy:
    """10 in flight each, as many replicas as it takes, and a forecast by the day."""
    return policy(**{"max": 100, "forecast": Forecast(), **changed})


def daily(count: int, *, end: int, peak: float = 100.0, at: int) -> Column:
    """Days up to slot ``end``: each 10, and an hour of ``peak`` from the slot ``at`` of the day."""
    of_day = (np.arange(end - count * SLOTS_A_DAY, end) - at) % SLOTS_A_DAY
    return np.where(of_day < 12, peak, 10.0)


def told(
    column: Column, *, end: int, app: str = "chat", measure: Measure = Measure.CONCURRENCY
) -> Sequence[PeaksObserved]:
    """The newest record of each day of the slots up to before ``end``."""
    begin = end - len(column)
    found = []
    for day in range(begin // SLOTS_A_DAY, (end - 1) // SLOTS_A_DAY + 1):
        first = day * SLOTS_A_DAY
        slots = np.full(min(SLOTS_A_DAY, end - first), np.nan)
        known = np.arange(max(begin, first), min(end, first + SLOTS_A_DAY))
        slots[known - first] = column[known - begin]
        found.append(
            PeaksObserved(
                app=app,
                measure=measure,
                day=datetime.fromtimestamp(first * SLOT_S, UTC),
                peaks=packed(slots).astype("<u2").tobytes(),
            )
        )
    return found
