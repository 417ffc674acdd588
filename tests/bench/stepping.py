"""The overshoot of latency rules after a step of the load, on simulated time: the same each run.

The peer is the bare ratio of latencies on ready replicas. Replicas by those needed; no time is
measured, and no broker is asked.
"""

from pathlib import Path

from midstage.hpa.simulate.latency_step import COLD_STARTS_S, bare_ratio, engine
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Size

GROUP = "hpa-latency"
BARE, OURS = "bare ratio of latencies", "midstage, capacity model"


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """One round of an hour for each cold start; the longest is left out of a quick run."""
    del bootstrap, directory
    found: list[Figure] = []
    for cold_s in COLD_STARTS_S[: 3 if size.rounds == 1 else None]:
        ours, bare = engine(cold_s), bare_ratio(cold_s)
        over = Measure(name=f"overshoot, cold start {cold_s} s", unit="x", more_is_better=False)
        late = Measure(name=f"violation, cold start {cold_s} s", unit="s", more_is_better=False)
        found += figures(
            group=GROUP,
            measures=[over, late],
            taken={
                over.name: {BARE: [bare.overshoot], OURS: [ours.overshoot]},
                late.name: {BARE: [float(bare.violation_s)], OURS: [float(ours.violation_s)]},
            },
            peers=(BARE,),
            counts=dict.fromkeys((BARE, OURS), "1 hour, 10 to 100 requests/s"),
        )
    return found
