"""Policies on real series at equal money: one tuned on the first half, told on the second.

Series are whatever lies in ``shared/data`` beside the checkout and is long enough; they are not in
the repository, so where they are not the group says so. A ratio is the policy's violation by HPA
v2's at the policy's own cost, where that says something; else its cost by that of the HPA that
violates no more. And a year at one sample a minute through ``evaluate``, as CPU time.
"""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import isinf
from pathlib import Path

import numpy as np

from midstage.contracts.errors import UnreadableError
from midstage.contracts.forecast import Forecast
from midstage.contracts.policy import Policy, Targets
from midstage.hpa.simulate.engine import Engine
from midstage.hpa.simulate.halves import Halves, halves
from midstage.hpa.simulate.money import SAYS
from midstage.hpa.simulate.past import Past
from midstage.hpa.simulate.replay import WARM_UP_S, judged, run
from midstage.hpa.simulate.scalers import Rule
from midstage.hpa.simulate.series import STEP_S, Series, read
from tests.bench.figures import Figure, Measure
from tests.bench.rounds import FULL, Size, say

GROUP = "hpa-series"
DATA = Path(__file__).parents[3] / "shared" / "data"
COLD_STARTS_S = (180.0, 60.0, 600.0)
SAID = Forecast()
POLICY = Policy(
    max=1000, targets=Targets(requests_per_s=0.6), stabilise_down_s=3600.0, forecast=SAID
)
VIOLATED = Measure(name="violated, of the time", unit="%", more_is_better=False)
COST = Measure(name="cost, of the ideal", unit="", more_is_better=False)
REVERSED = Measure(name="reversals", unit="/day", more_is_better=False)
HALVED = Measure(name="series at most half as violated as HPA v2", unit="%")
WORST = Measure(name="worst ratio of violation", unit="", more_is_better=False)
YEAR = Measure(name="a year, an evaluation a minute", unit="s CPU", more_is_better=False)
MINE, THEIRS = "midstage, tuned on the first half", "HPA v2 at the same cost"
WHOLE = "midstage, evaluate whole"
CHAIN = "its chain, counts alone"
STATIC = "a static count at the same cost"
NO_WORSE = "HPA v2 that violates no more"


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """All series and cold starts; the quick run has one series, one cold start and one month."""
    del bootstrap, directory
    found: list[Figure] = []
    known = dict(_known())
    if not known:
        say(f"{GROUP}: no series is in shared/data: not measured")
    names = list(known) if size == FULL else list(known)[:1]
    for cold_start_s in COLD_STARTS_S if size == FULL else COLD_STARTS_S[:1]:
        compared: dict[str, Halves] = {}
        for name in names:
            each = halves(known[name], cold_start_s=cold_start_s, warm_up_s=float(WARM_UP_S))
            found += _figures(f"{name}, cold start {cold_start_s:.0f} s", each)
            compared[name] = each
        found += _summed(f"cold start {cold_start_s:.0f} s", compared)
    return [*found, *_year(365 if size == FULL else 30)]


def _known() -> Iterator[tuple[str, Series]]:
    """The series that are long enough, the shortest first."""
    found = {}
    for file in sorted(DATA.glob("**/*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            try:
                series = read(lines)
            except UnreadableError:
                continue  # another kind of table
        if series.days >= 2 * WARM_UP_S / 86_400 + 1:
            found[str(file.relative_to(DATA))] = series
        else:
            say(f"{GROUP}: {file.name} has {series.days:.2f} days: too short")
    yield from sorted(found.items(), key=lambda each: each[1].days)


def _figures(where: str, found: Halves) -> Iterator[Figure]:
    mine, theirs = found.second.figures, found.second.theirs
    ratio = {THEIRS: mine.violation / theirs} if theirs > SAYS else {}
    say(
        f"{GROUP}: {where}: {mine.violation:.3%} beside {theirs:.3%} at {mine.cost:.3f}, HPA's cost"
        f" {found.second.their_cost:.3f}, {mine.reversals:.1f} reversals: {_words(found.policy)}"
    )
    yield _figure(VIOLATED, MINE, where, mine.violation * 100, ratio)
    yield _figure(VIOLATED, THEIRS, where, theirs * 100, {})
    yield _figure(VIOLATED, STATIC, where, found.second.static * 100, {})
    cost = found.second.their_cost
    yield _figure(COST, MINE, where, mine.cost, {} if isinf(cost) else {NO_WORSE: mine.cost / cost})
    yield _figure(REVERSED, MINE, where, mine.reversals, {})


def _summed(where: str, compared: Mapping[str, Halves]) -> Iterator[Figure]:
    """Of the series on which HPA v2's violation says something."""
    ratios = [
        each.second.figures.violation / each.second.theirs
        for each in compared.values()
        if each.second.theirs > SAYS
    ]
    if ratios:
        half = 100 * sum(ratio <= 0.5 for ratio in ratios) / len(ratios)
        worst = max(ratios)
        say(f"{GROUP}: {where}: {half:.0f} % of {len(ratios)} at most half, worst {worst:.2f}")
        yield _figure(HALVED, MINE, f"{where}, {len(ratios)} series", half, {})
        yield _figure(WORST, MINE, f"{where}, {len(ratios)} series", worst, {})


def _words(policy: Policy) -> str:
    said = policy.forecast
    past = "" if said is None else f", {said.season.value} x {said.margin:g} {said.hold_s:.0f} s"
    return f"{policy.stabilise_down_s:.0f} s, tolerance {policy.tolerance:g}{past}"


def _year(days: int) -> Iterator[Figure]:
    """A backtest with the forecast, asked once a sample; the peer leaves inputs and reasons out."""
    minutes = np.arange(days * 1440)
    values = 40 + 30 * np.sin(minutes / 1440 * 2 * np.pi) + 5 * np.sin(minutes / 7)
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    series = Series(begun=begun, values=np.repeat(values, 60 // STEP_S))
    took: dict[str, float] = {}
    for name in (CHAIN, WHOLE):
        began = time.process_time()
        past = Past(series, SAID, cold_start_s=180.0)
        scaler = (
            Rule(POLICY, past=past)
            if name == CHAIN
            else Engine(POLICY, begun=begun, past=past, cold_start_s=180.0)
        )
        judged(run(series, scaler, each=1.0, cold_start_s=180.0, asked_each_s=60.0))
        took[name] = time.process_time() - began
        say(f"{GROUP}: {days} days, {name}: {took[name]:.1f} s of CPU")
    asked = f"{len(values):,} evaluations"
    yield _figure(YEAR, WHOLE, asked, took[WHOLE], {CHAIN: took[WHOLE] / took[CHAIN]})
    yield _figure(YEAR, CHAIN, asked, took[CHAIN], {})


def _figure(
    measure: Measure, who: str, count: str, value: float, ratios: dict[str, float]
) -> Figure:
    return Figure(
        group=GROUP, measure=measure, contestant=who, count=count, values=(value,), ratios=ratios
    )
