"""A past in two halves: a policy tuned on the first, told on the second, beside HPA v2.

Both at equal money: HPA's violation is that at the policy's own cost, its cost that of the setting
which violates no more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np

from midstage.contracts.errors import UnreadableError
from midstage.contracts.policy import Policy
from midstage.hpa.simulate.money import SETTINGS, at_cost, at_violation
from midstage.hpa.simulate.replay import Figures, judged
from midstage.hpa.simulate.series import STEP_S, Series
from midstage.hpa.simulate.sweep import Sweep, Swept
from midstage.hpa.simulate.tuning import FEWEST_S, baseline, tuned

Progress = Callable[[str, float], None]
"""Told what is being done, and the share of it that is done."""
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """The policy's ``figures``; ``theirs``: HPA v2's violation at the policy's cost.

    ``their_cost``: of the HPA that violates no more than the policy; inf where none does.
    ``static``: the violation of the mean of the policy's counts, all the time.
    """

    figures: Figures
    theirs: float
    their_cost: float
    static: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """What was tuned on ``first`` and is told on ``second``; a replica serves ``each``."""

    policy: Policy
    each: float
    first: Half
    second: Half


def halves(
    series: Series,
    *,
    cold_start_s: float,
    warm_up_s: float,
    each: float | None = None,
    money: float = inf,
    most: int = 1000,
    progress: Progress | None = None,
) -> Halves:
    """Tune and tell; without ``each`` 100 replicas serve the series' 99.9th percentile.

    UnreadableError where the series is too short, or nothing is so cheap as ``money``.
    """
    half, warm_up = len(series.values) // 2, int(warm_up_s // STEP_S)
    if (half - warm_up) * STEP_S < FEWEST_S:
        least = 2 * (warm_up_s + FEWEST_S) / _DAY_S
        raise UnreadableError(
            f"a series of {series.days:.1f} days is too short: its first half has to outlast the "
            f"warm-up by half a day, so give {least:.1f} days, or a shorter --warm-up"
        )
    carries = series.each if each is None else each
    if carries <= 0:
        raise UnreadableError("the series has no load to scale by")
    policy = tuned(
        Series(begun=series.begun, values=series.values[:half]),
        each=carries,
        cold_start_s=cold_start_s,
        warm_up_s=warm_up_s,
        money=money,
        most=most,
        told=_part(progress, "tuning on the first half"),
    )
    sweep = Sweep(
        series,
        each=carries,
        cold_start_s=cold_start_s,
        told=_part(progress, "telling on the second half"),
    )
    swept = sweep([*baseline(carries, most), policy])
    return Halves(
        policy=policy,
        each=carries,
        first=_half(swept, warm_up, half),
        second=_half(swept, half, len(series.values)),
    )


def _half(swept: Swept, begin: int, end: int) -> Half:
    """The policy is the last column."""
    *theirs, mine = (swept.run(column) for column in range(len(SETTINGS) + 1))
    baseline = [judged(each, begin=begin, end=end) for each in theirs]
    figures = judged(mine, begin=begin, end=end)
    load = mine.load[begin:end]
    most = float(mine.there[begin:end].mean()) * mine.each
    known = max(1, int(np.count_nonzero(~np.isnan(load))))
    return Half(
        figures=figures,
        theirs=at_cost(baseline, figures.cost),
        their_cost=at_violation(baseline, figures.violation),
        static=float(np.count_nonzero(load > most)) / known,
    )


def _part(progress: Progress | None, words: str) -> Callable[[float], None] | None:
    return None if progress is None else lambda share: progress(words, share)
