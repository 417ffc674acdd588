"""Policies on real series at equal money: one with a forecast beside HPA v2 and static counts.

Series lie in ``shared/data`` beside the checkout and are not in the repository; where they are not,
the group says so and has no figures. The second half of each series is counted. A ratio is the
policy's violation by the baseline's at the policy's own cost. And a year at one sample a minute
through ``evaluate``, as CPU time.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from midstage.contracts.forecast import Forecast
from midstage.contracts.policy import Policy, Targets
from midstage.hpa.simulate.engine import Engine
from midstage.hpa.simulate.money import SAYS, SETTINGS, at_cost, hpa
from midstage.hpa.simulate.past import Past
from midstage.hpa.simulate.replay import WARM_UP_S, Figures, judged, run
from midstage.hpa.simulate.scalers import Rule, Scaler, Static
from midstage.hpa.simulate.series import STEP_S, Series, read
from tests.bench.figures import Figure, Measure
from tests.bench.rounds import FULL, Size, say

GROUP = "hpa-series"
DATA = Path(__file__).parents[3] / "shared" / "data"
SERIES = (
    *(f"crane/input{number}.csv" for number in (0, 2, 14, 15)),
    *("elb_requests.csv", "worldcup98.csv"),
)
COLD_STARTS_S = (60.0, 180.0, 600.0)
STATIC = (60, 80, 100, 120, 150)
SAID = Forecast()
POLICY = Policy(
    max=1000, targets=Targets(requests_per_s=0.6), stabilise_down_s=3600.0, forecast=SAID
)
"""One for all series: tuned on none of them but by these few round figures."""
VIOLATED = Measure(name="violated, of the time", unit="%", more_is_better=False)
COST = Measure(name="cost, of the ideal", unit="", more_is_better=False)
REVERSED = Measure(name="reversals", unit="/day", more_is_better=False)
YEAR = Measure(name="a year, an evaluation a minute", unit="s CPU", more_is_better=False)
MINE, THEIRS = "midstage, one policy", "HPA v2 at the same cost"
CHAIN = "its chain, counts alone"


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """All series and cold starts; the quick run has the first series and one month."""
    del bootstrap, directory
    names = SERIES if size == FULL else SERIES[:1]
    there = [name for name in names if (DATA / name).is_file()]
    if len(there) < len(names):
        say(f"{GROUP}: {len(names) - len(there)} series are not in shared/data: not measured")
    found = [*_year(365 if size == FULL else 30)]
    for name in there:
        with (DATA / name).open(encoding="utf-8", newline="") as file:
            series = read(file).normalised()
        for cold_start_s in COLD_STARTS_S:
            found += _compared(name, series, cold_start_s)
    return found


def _compared(name: str, series: Series, cold_start_s: float) -> Iterator[Figure]:
    past = Past(series, SAID, cold_start_s=cold_start_s)
    mine = _figures(series, Rule(POLICY, past=past), cold_start_s)
    baseline = [_figures(series, Rule(hpa(*each)), cold_start_s) for each in SETTINGS]
    baseline += [_figures(series, Static(count), cold_start_s) for count in STATIC]
    theirs = at_cost(baseline, mine.cost)
    where = f"{name}, cold start {cold_start_s:.0f} s"
    ratio = {THEIRS: mine.violation / theirs} if theirs > SAYS else {}
    say(f"{GROUP}: {where}: {mine.violation:.3%} beside {theirs:.3%} at {mine.cost:.3f}")
    yield _figure(VIOLATED, MINE, where, mine.violation * 100, ratio)
    yield _figure(VIOLATED, THEIRS, where, theirs * 100, {})
    yield _figure(COST, MINE, where, mine.cost, {})
    yield _figure(REVERSED, MINE, where, mine.reversals, {})


def _figures(series: Series, scaler: Scaler, cold_start_s: float) -> Figures:
    half = max(int(WARM_UP_S // STEP_S), len(series.values) // 2)
    return judged(run(series, scaler, each=1.0, cold_start_s=cold_start_s), begin=half)


def _year(days: int) -> Iterator[Figure]:
    """A backtest with the forecast, asked once a sample; the peer leaves inputs and reasons out."""
    minutes = np.arange(days * 1440)
    values = 40 + 30 * np.sin(minutes / 1440 * 2 * np.pi) + 5 * np.sin(minutes / 7)
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    series = Series(begun=begun, values=np.repeat(values, 60 // STEP_S))
    took: dict[str, float] = {}
    for name in (CHAIN, MINE):
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
    yield _figure(YEAR, MINE, asked, took[MINE], {CHAIN: took[MINE] / took[CHAIN]})
    yield _figure(YEAR, CHAIN, asked, took[CHAIN], {})


def _figure(
    measure: Measure, who: str, count: str, value: float, ratios: dict[str, float]
) -> Figure:
    values: Sequence[float] = (value,)
    return Figure(
        group=GROUP,
        measure=measure,
        contestant=who,
        count=count,
        values=tuple(values),
        ratios=ratios,
    )
