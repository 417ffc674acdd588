"""A policy tuned on a past: of a fixed grid, the one that violates least beside HPA v2's money.

Only the series that it is given is looked at. Few steps of it are violated, so a setting is judged
by a load that is higher too, and by the worst of both: what fails at the first load that differs
is not taken. The same past gives the same policy.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Final

import msgspec
import numpy as np

from midstage.contracts.errors import UnreadableError
from midstage.contracts.forecast import Forecast, Season
from midstage.contracts.policy import Policy
from midstage.hpa.simulate.money import SAYS, SETTINGS, at_cost, hpa
from midstage.hpa.simulate.replay import Figures, Run, judged
from midstage.hpa.simulate.series import STEP_S, Series
from midstage.hpa.simulate.sweep import Sweep, Swept

USES: Final = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
WINDOWS_S: Final = (300.0, 900.0, 1800.0, 3600.0)
TOLERANCES: Final = (0.1, 0.05, 0.02)
FORECASTS: Final = (
    Forecast(),
    Forecast(margin=1.15),
    Forecast(hold_s=3600.0),
    Forecast(margin=1.1, lead_s=900.0, hold_s=3600.0),
    Forecast(season=Season.WEEK),
)
REVERSALS: Final = 12.0
"""At most so many a day in the past, so that there are at most 15 in what comes."""
FEWEST_S: Final = 43_200.0
"""So much has to be counted of a past, or chance would choose."""
LOADS: Final = (1.0, 1.1, 1.2)
"""So many times the past's load; the policies are those of the past, what comes is higher."""
NOISE: Final = SAYS / 10
"""A share of time that chance violates: settings that violate less are alike."""
BETTER: Final = 0.75
"""From so much of HPA v2's violation on a setting is worth leaving HPA for: less may be chance."""
_ROUNDED: Final = 1 + 1e-12
ROOM: Final = 0.93
"""Of the dearest HPA's cost, so that what comes may cost more and still find its equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A policy's ``figures`` in what is counted, and its violation by ``LOADS``."""

    policy: Policy
    figures: Figures
    violations: tuple[float, ...]


def grid(each: float, most: int) -> Iterator[Policy]:
    """What is tried, where a replica serves ``each``; the plain ones first."""
    for use in USES:
        for window_s in WINDOWS_S:
            plain = hpa(use, window_s, each=each, most=most)
            for tolerance in TOLERANCES:
                yield msgspec.structs.replace(plain, tolerance=tolerance)
            for said in FORECASTS:
                yield msgspec.structs.replace(plain, forecast=said)


def baseline(each: float, most: int = 1000) -> list[Policy]:
    """The settings of HPA v2 that others are compared with."""
    return [hpa(use, window_s, each=each, most=most) for use, window_s in SETTINGS]


def tuned(
    past: Series,
    *,
    each: float,
    cold_start_s: float,
    warm_up_s: float,
    money: float = inf,
    most: int = 1000,
    told: Callable[[float], None] | None = None,
) -> Policy:
    """The policy for what comes after ``past``.

    ``each``: what a replica serves. ``money``: it costs so many times the ideal at most, and less
    than the dearest HPA. UnreadableError where too little comes after the warm-up.
    """
    begin = int(warm_up_s // STEP_S)
    if len(past.values) - begin < FEWEST_S / STEP_S:
        raise UnreadableError(
            f"{past.days:.1f} days with a warm-up of {warm_up_s / 86_400:.1f} leave too little to "
            "tune on: give a longer series, or --warm-up"
        )
    tried = [*baseline(each, most), *grid(each, most)]
    swept = Sweep(past, each=each, cold_start_s=cold_start_s, told=told)(tried)
    found = [_measured(policy, swept, column, begin) for column, policy in enumerate(tried)]
    return chosen(found[len(SETTINGS) :], found[: len(SETTINGS)], money=money).policy


def chosen(
    candidates: Sequence[Measured], theirs: Sequence[Measured], *, money: float = inf
) -> Measured:
    """The best of the candidates; UnreadableError where none is so cheap.

    Those count that turn seldom, at costs where HPA v2's violation says something, if there are.
    Where none is clearly better than HPA v2, which chance may be, that one of HPA's is taken that
    has most in reserve.
    """
    dearest = min(money, ROOM * max(each.figures.cost for each in theirs))
    cheap = [each for each in candidates if each.figures.cost <= dearest]
    if not cheap:
        least = min(each.figures.cost for each in candidates)
        raise UnreadableError(f"no setting costs so little: the cheapest costs {least:.3f}")
    baseline = [each.figures for each in theirs]
    steady = _steady(cheap)
    telling = [each for each in steady if at_cost(baseline, each.figures.cost) > SAYS] or steady
    best = min(telling, key=lambda each: (score(each, theirs), each.figures.cost))
    plain = _steady([each for each in theirs if each.figures.cost <= dearest])
    if score(best, theirs) <= BETTER or not plain:
        return best
    return min(plain, key=lambda each: (each.violations[-1], each.figures.cost))


def _steady(some: list[Measured]) -> list[Measured]:
    """Those that turn seldom, or all where none does."""
    return [each for each in some if each.figures.reversals <= REVERSALS] or some


def score(one: Measured, theirs: Sequence[Measured]) -> float:
    """Its violation by that of HPA v2 at its cost, at its worst; 1 is no better."""
    ratios = []
    for number, violation in enumerate(one.violations):
        parts = [replace(each.figures, violation=each.violations[number]) for each in theirs]
        at_its_cost = at_cost(parts, one.figures.cost)
        ratios.append((violation + NOISE) / (at_its_cost + NOISE))
    return max(ratios)


def _measured(policy: Policy, swept: Swept, column: int, begin: int) -> Measured:
    run = swept.run(column)
    return Measured(
        policy=policy,
        figures=judged(run, begin=begin),
        violations=tuple(_violations(run, begin)),
    )


def _violations(run: Run, begin: int) -> Iterator[float]:
    load, carried = run.load[begin:], run.ready[begin:] * run.each
    known = max(1, int(np.count_nonzero(~np.isnan(load))))
    for times in LOADS:
        yield float(np.count_nonzero(load * times > carried * _ROUNDED)) / known
