"""Many policies of requests a second on one series at once: a column of numbers for each.

The same counts as ``Rule`` run by run, in a fraction of the time, where the policies differ in
their target, tolerance, windows, bounds and forecast only; a property holds both to the same.
Replicas that start are taken away first, the newest before others, so what serves is the least
count since a cold start ago.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf, isnan
from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from midstage.contracts.forecast import Forecast
from midstage.contracts.peaks import SLOT_S
from midstage.contracts.policy import Policy
from midstage.hpa.decide import policies
from midstage.hpa.decide.figures import MOST_REPLICAS, needed, up
from midstage.hpa.decide.forecast.seasons import Column
from midstage.hpa.simulate.past import Past
from midstage.hpa.simulate.replay import USE, Run, seen_of
from midstage.hpa.simulate.series import STEP_S, Series

Counts = npt.NDArray[np.int16]
_MICRO: Final = 1_000_000
_CHUNK: Final = 2_000
_ROUNDED: Final = 1 + 5e-10
_PER_SLOT: Final = SLOT_S // STEP_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """``there``: replicas that serve or start, by step and policy."""

    series: Series
    there: Counts
    start: int
    each: float
    cold_start_s: float

    def run(self, column: int) -> Run:
        """One policy's run."""
        there = self.there[:, column].astype(np.int64)
        steps = round(self.cold_start_s / STEP_S)
        return Run(
            load=self.series.values,
            ready=_least(there, steps, self.start),
            there=there,
            queue=np.zeros(len(there)),
            each=self.each,
            waits_s=(self.cold_start_s,) if (np.diff(there) > 0).any() else (),
        )


class Sweep:
    """Policies on one series and cold start; the forecasts' pasts are worked out once each."""

    def __init__(
        self,
        series: Series,
        *,
        each: float,
        cold_start_s: float,
        told: Callable[[float], None] | None = None,
    ) -> None:
        """One replica serves ``each`` a second, ``cold_start_s`` after it was ordered.

        ``told`` is called with the share that is done, now and then.
        """
        self._series = series
        self._each = each
        self._cold_start_s = cold_start_s
        self._told = told
        self._carried: dict[Forecast, Sequence[float | None]] = {}

    def __call__(self, tried: Sequence[Policy]) -> Swept:
        """All steps of all of them; begins with what the first known load needs."""
        load = self._series.values
        first = float(np.nan_to_num(load[:1]).max(initial=0.0))
        start = max(1, ceil(first / (self._each * USE)))
        there = np.empty((len(load), len(tried)), np.int16)
        state = _State(tried, start=start, cold=max(1, round(self._cold_start_s / STEP_S)))
        least = np.array([float(policy.min) for policy in tried])
        floors = np.maximum(np.array([self._floors(policy) for policy in tried]).T, least)
        seen = seen_of(load)
        for begin in range(0, len(load), _CHUNK):
            state.chunk(begin, seen[begin : begin + _CHUNK], floors, there)
            if self._told is not None:
                self._told(min(1.0, (begin + _CHUNK) / len(load)))
        return Swept(
            series=self._series,
            there=there,
            start=start,
            each=self._each,
            cold_start_s=self._cold_start_s,
        )

    def _floors(self, policy: Policy) -> Column:
        """By slot; 0 where none holds."""
        slots = -(-len(self._series.values) // _PER_SLOT)
        said, target = policy.forecast, policy.targets.requests_per_s
        if said is None or target is None:
            return np.zeros(slots)
        if said not in self._carried:
            past = Past(self._series, said, cold_start_s=self._cold_start_s)
            found = [past.at(slot * _PER_SLOT) for slot in range(slots)]
            self._carried[said] = [None if one.off else one.carried for one in found]
        return np.array(
            [
                0 if carried is None else up(needed(carried * said.margin, target))
                for carried in self._carried[said]
            ],
            dtype=np.float64,
        )


class _State:
    """What all policies remember, step by step."""

    def __init__(self, tried: Sequence[Policy], *, start: int, cold: int) -> None:
        targets = [policy.targets.requests_per_s or inf for policy in tried]
        self._target = np.array(targets)
        self._average = np.array([max(1, round(target * _MICRO)) for target in targets], float)
        tolerances = [policies.tolerance(policy) for policy in tried]
        self._low = np.array([1.0 - each.down for each in tolerances])
        self._high = np.array([1.0 + each.up for each in tolerances])
        self._most = np.array([policy.max for policy in tried], float)
        self._current = np.full(len(tried), float(start))
        self._ready = _Extremes(np.minimum, [cold] * len(tried), fill=float(start))
        windows = [max(1, ceil(policies.longest_s(policy)[1] / STEP_S)) for policy in tried]
        self._largest = _Extremes(np.maximum, windows, fill=-inf)
        self._nothing = np.full(len(tried), -inf)

    def chunk(self, begin: int, seen: Column, floors: Column, found: Counts) -> None:
        """Some steps, into ``found``."""
        value = np.round(seen * _MICRO)[:, None]
        asked = np.ceil(value / self._average)
        exact = np.minimum(seen[:, None] / self._target, MOST_REPLICAS) / _ROUNDED
        for row, carried in enumerate(seen.tolist()):
            if not isnan(carried):
                step = begin + row
                self._step(value[row], asked[row], exact[row], floors[step // _PER_SLOT])
            else:
                self._unasked()
            found[begin + row] = self._current

    def _step(self, value: Column, asked: Column, exact: Column, floor: Column) -> None:
        current, ready = self._current, self._ready.now
        ratio = value / (self._average * current)
        want = np.where((ratio >= self._low) & (ratio <= self._high), current, asked)
        want = np.where((want < current) & (exact > ready), current, want)
        self._largest.add(want)
        figure = np.minimum(np.maximum(current, want), self._largest.now)
        np.minimum(figure, np.maximum(current * 2, current + 4), out=figure)
        np.maximum(figure, floor, out=figure)
        np.minimum(figure, self._most, out=figure)
        self._current = figure
        self._ready.add(figure)

    def _unasked(self) -> None:
        self._largest.add(self._nothing)
        self._ready.add(self._current)


class _Extremes:
    """The extreme of the last values of each column, of as many as its width says.

    In blocks as long as the least width: what a window holds of earlier blocks is worked out for
    all places of a block at its beginning.
    """

    def __init__(self, which: np.ufunc, widths: Sequence[int], *, fill: float) -> None:
        self.now: Column = np.full(len(widths), fill)
        self._which = which
        self._length = min(widths)
        self._groups = [
            (width, np.flatnonzero(np.array(widths) == width)) for width in sorted(set(widths))
        ]
        self._past = np.full((max(widths), len(widths)), fill)  # the newest last
        self._earlier = np.empty((self._length, len(widths)))
        self._block = np.empty((self._length, len(widths)))
        self._so_far, self._place = self.now, 0
        self._begin()

    def add(self, values: Column) -> None:
        """The newest of each column."""
        if self._place == self._length:
            self._begin()
        self._block[self._place] = values
        self._so_far = self._which(self._so_far, values)
        self.now = self._which(self._so_far, self._earlier[self._place])
        self._place += 1

    def _begin(self) -> None:
        length = self._length
        self._past = np.concatenate((self._past, self._block[: self._place]))[-len(self._past) :]
        nothing = np.full(self._past.shape[1], -inf if self._which is np.maximum else inf)
        for width, columns in self._groups:
            left = self._which.accumulate(self._past[::-1][: width - 1, columns])
            rows = np.concatenate((nothing[None, columns], left))  # of the newest 0, 1, 2 …
            self._earlier[:, columns] = rows[width - 1 - np.arange(length)]
        self._so_far, self._place = nothing, 0


def _least(there: npt.NDArray[np.int64], steps: int, start: int) -> npt.NDArray[np.int64]:
    """For each step the least of it and so many before it."""
    padded = np.concatenate((np.full(steps, start), there))
    found: npt.NDArray[np.int64] = sliding_window_view(padded, steps + 1).min(axis=1)
    return found
