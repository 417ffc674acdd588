"""How fast the loop closes on a replay: load to decision, decision to ready replica; and memory.

One replay on the whole platform, which shares the cores with everything that it measures. There is
no peer that runs beside it on this machine: the figures are for comparing one's own changes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from midstage.local.platform import Platform
from midstage.local.replay.circle import Circle
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import FULL, Size, quantile, say

GROUP: Final = "loop"
SPEED: Final = 4.0
_FEW: Final = 250
"""Requests of a smoke run."""
_MIB: Final = 1024 * 1024
_OURS: Final = "midstage"


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """One replay; ``bootstrap`` is left alone, for the platform has a Kafka of its own."""
    del bootstrap
    with Platform(directory / "loop", speed=SPEED, say=say) as platform:
        report = platform.replay(requests=None if size is FULL else _FEW)
        held = _memory(platform)
    return [*_latencies(report.circle), *_held(held)]


def _latencies(circle: Circle) -> list[Figure]:
    decisions = circle.decisions or ()
    to_decision = [ms for one in decisions if (ms := one.load_to_decision_ms) is not None]
    to_ready = [ms for one in decisions if (ms := one.decision_to_ready_ms) is not None]
    return [
        *_quantiles("load to decision", to_decision),
        *_quantiles("decision to ready replica", to_ready),
    ]


def _quantiles(what: str, values: Sequence[float]) -> list[Figure]:
    if not values:
        return []
    return [
        _one(Measure(name=f"{what}, {name}", unit="ms", more_is_better=False), values, q)
        for name, q in (("p50", 0.5), ("p99", 0.99))
    ]


def _one(measure: Measure, values: Sequence[float], q: float) -> Figure:
    (figure,) = figures(
        group=GROUP,
        measures=[measure],
        taken={measure.name: {_OURS: [quantile(values, q)]}},
        peers=(),
        counts={_OURS: f"{len(values)} decisions"},
    )
    return figure


def _memory(platform: Platform) -> dict[str, float]:
    """Resident memory in MiB of each process, its children included, after the replay."""
    pids = {name: platform.supervisor.pid(name) for name in platform.supervisor.lives()}
    return {name: _resident(pid) for name, pid in sorted(pids.items()) if pid is not None}


def _resident(pid: int) -> float:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return sum(float(each.memory_info().rss) for each in family) / _MIB


def _held(held: dict[str, float]) -> list[Figure]:
    measure = Measure(name="resident memory after the replay", unit="MiB", more_is_better=False)
    return figures(
        group=GROUP,
        measures=[measure],
        taken={measure.name: {name: [mib] for name, mib in held.items()}},
        peers=(),
        counts=dict.fromkeys(held, "1 process")
        | ({"cluster": "with its pods"} if "cluster" in held else {}),
    )
