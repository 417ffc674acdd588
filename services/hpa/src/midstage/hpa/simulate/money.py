"""Policies compared at equal money: a baseline's violation at the cost of the policy.

Each baseline is run at several settings; between two of them both figures are interpolated, on the
lower envelope, for nobody pays more for a worse setting.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import Final

from midstage.contracts.policy import Policy, Targets
from midstage.hpa.simulate.replay import Figures

SETTINGS: Final = tuple((use, window) for window in (300.0, 1800.0) for use in (0.5, 0.6, 0.7, 0.8))
"""The uses and scale-down windows of the HPA that others are compared with."""
SAYS: Final = 0.001
"""Only where the baseline violates more than that, violation says anything."""


def hpa(use: float, window_s: float, *, each: float = 1.0, most: int = 1000) -> Policy:
    """An HPA v2 that keeps ``use`` of what a replica carries."""
    return Policy(max=most, targets=Targets(requests_per_s=use * each), stabilise_down_s=window_s)


def at_cost(baseline: Sequence[Figures], cost: float) -> float:
    """The violation of the baseline that costs so much; beyond its settings that of the last."""
    envelope = _envelope(baseline)
    if cost <= envelope[0][0]:
        return envelope[0][1]
    for (low, above), (high, below) in pairwise(envelope):
        if cost <= high:
            return above + (below - above) * (cost - low) / (high - low)
    return envelope[-1][1]


def at_violation(baseline: Sequence[Figures], violation: float) -> float:
    """The cost of the baseline that violates no more; inf where none of its settings does."""
    envelope = _envelope(baseline)
    if violation >= envelope[0][1]:
        return envelope[0][0]
    for (low, above), (high, below) in pairwise(envelope):
        if violation >= below:
            return low + (high - low) * (above - violation) / (above - below)
    return inf


def _envelope(baseline: Sequence[Figures]) -> list[tuple[float, float]]:
    """Cost and violation of the settings that no cheaper one is as good as, cheapest first."""
    envelope: list[tuple[float, float]] = []
    for each in sorted(baseline, key=lambda one: (one.cost, one.violation)):
        if not envelope or each.violation < envelope[-1][1]:
            envelope.append((each.cost, each.violation))
    return envelope
