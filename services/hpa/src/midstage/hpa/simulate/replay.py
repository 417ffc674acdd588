"""A series replayed under a policy, by the settings that make figures comparable.

Each 15 s the policy is asked; it sees the mean load of the last 60 s, 30 s late. One replica
carries ``each``. The first three days are warm-up. A step is violated where the load is above what
ready replicas carry; the ideal is the load at 70 % of a replica, rounded up.
"""

from dataclasses import dataclass
from math import ceil, isnan
from typing import Final

import numpy as np
import numpy.typing as npt

from midstage.hpa.decide.forecast.seasons import Column
from midstage.hpa.simulate.cluster import Cluster, Limits
from midstage.hpa.simulate.scalers import Scaler
from midstage.hpa.simulate.series import STEP_S, Series

Counts = npt.NDArray[np.int64]
USE: Final = 0.7
WARM_UP_S: Final = 3 * 86_400
REVERSED_S: Final = 1800
_LATE: Final = 30 // STEP_S
_SPAN: Final = 60 // STEP_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """By step: load, replicas that serve, replicas that serve or start, load that waits or is lost.

    ``each``: what a replica carries. ``waits_s``: from order to ready.
    """

    load: Column
    ready: Counts
    there: Counts
    queue: Column
    each: float
    waits_s: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Shares are 0 to 1. ``violation`` by time, ``violation_requests`` by requests in such steps.

    ``lost``: the share of the load above capacity. ``cost``: replica-hours by the ideal ones.
    ``reversals``: changes of direction within 30 minutes, a day. ``ready_s``: from order to ready,
    the mean. ``queued``: the mean load that waits, in seconds of the mean load.
    """

    violation: float
    violation_requests: float
    lost: float
    cost: float
    replica_hours: float
    reversals: float
    changes: float
    ready_s: float
    queued_s: float
    days: float


def run(
    series: Series,
    scaler: Scaler,
    *,
    each: float,
    cold_start_s: float,
    limits: Limits | None = None,
    begin_with: int | None = None,
    asked_each_s: float = STEP_S,
) -> Run:
    """All steps; begins with what the first known load needs. ``scaler`` is asked so often."""
    load, limits = series.values, limits or Limits()
    first = float(np.nan_to_num(load[:1]).max(initial=0.0))
    start = max(1, ceil(first / (each * USE))) if begin_with is None else begin_with
    cluster = Cluster(ready=start, cold_start_s=cold_start_s, limits=limits)
    ready, there = np.zeros(len(load), np.int64), np.zeros(len(load), np.int64)
    queue = np.zeros(len(load))
    seen = seen_of(load).tolist()
    waiting = 0.0
    every = max(1, round(asked_each_s / STEP_S))
    for step, came in enumerate(load.tolist()):
        cluster.at(step)
        carried = seen[step]
        if step % every == 0 and not isnan(carried):  # else nothing is known: nobody is asked
            count = scaler(
                step, carried + waiting / 60.0, ready=cluster.ready, coming=cluster.coming
            )
            cluster.scale(count, step)
            cluster.at(step)
        ready[step], there[step] = cluster.ready, cluster.ready + cluster.coming
        if limits.queue and not isnan(came):
            waiting = max(0.0, waiting + (came - cluster.ready * each) * STEP_S)
            queue[step] = waiting
    return Run(
        load=load, ready=ready, there=there, queue=queue, each=each, waits_s=tuple(cluster.waits_s)
    )


def judged(found: Run, *, begin: int | None = None, end: int | None = None) -> Figures:
    """The figures of the known steps from ``begin`` (after the warm-up) to before ``end``."""
    first = WARM_UP_S // STEP_S if begin is None else begin
    part = slice(first, end)
    known = ~np.isnan(found.load[part])
    load, ready = found.load[part][known], found.ready[part][known]
    there = found.there[part][known]
    carry = ready * found.each
    short = load > carry * (1 + 1e-12)
    ideal = np.maximum(1, np.ceil(np.round(load / (found.each * USE), 9)))
    total, days = float(load.sum()), len(load) * STEP_S / 86_400
    turns, changes = _turns(found.there, first, len(found.there) if end is None else end)
    return Figures(
        violation=_share(float(short.sum()), len(load)),
        violation_requests=_share(float(load[short].sum()), total),
        lost=_share(float((load - carry)[short].sum()), total),
        cost=_share(float(there.sum()), float(ideal.sum())),
        replica_hours=float(there.sum()) * STEP_S / 3600,
        reversals=_share(turns, days),
        changes=_share(changes, days),
        ready_s=_share(sum(found.waits_s), len(found.waits_s)),
        queued_s=_share(float(found.queue[part][known].sum()), total),
        days=days,
    )


def seen_of(load: Column) -> Column:
    """The mean of the four steps that end two before each; NaN where one of them is not known."""
    seen = np.full(len(load), np.nan)
    if len(load) <= _LATE + _SPAN:
        return seen
    windows = np.lib.stride_tricks.sliding_window_view(load, _SPAN)
    means = windows.mean(axis=1)
    seen[_LATE + _SPAN :] = means[: len(load) - _LATE - _SPAN]
    return seen


def _turns(there: Counts, begin: int, end: int) -> tuple[float, float]:
    """Changes of direction within 30 minutes, and changes at all."""
    changed = np.diff(there[max(0, begin - 1) : end])
    at = np.flatnonzero(changed)
    signs = np.sign(changed[at])
    near = np.diff(at) * STEP_S <= REVERSED_S
    return float(np.count_nonzero((signs[1:] != signs[:-1]) & near)), float(len(at))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
