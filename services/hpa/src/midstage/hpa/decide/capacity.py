"""What one replica carries within a latency, learned from what an application's replicas did.

1/P99 falls by a straight line to nothing at the most that a replica can carry, in the simplest of
queues (M/M/1: P99 = a/(1 - load/most)); so levels of load are joined by straight lines of 1/P99,
made to fall only. A block counts where all of its replicas were ready and warm; each counts once.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from midstage.contracts.capacity import CapacityInput, CapacitySample, Latency, Learned, Level
from midstage.contracts.scaling import Inputs
from midstage.hpa.decide.situation import cluster_unknown

AIM: Final = 0.8
"""The use is right where P99 is this share of its target."""
WARM_S: Final = 30.0
"""A replica serves as it always will from so long after it became ready."""
ENOUGH: Final = 4.0
"""So many samples (a minute) are to say something before a count is lowered by it."""
LEVELS: Final = 20
_FURTHER: Final = 0.25
_STEP: Final = math.log(1.15)
_FULL: Final = 100
_MOST_WEIGHT: Final = 40.0
_FADES: Final = 0.9999
_CONTRADICTED: Final = 0.9
_LEAST_WEIGHT: Final = 0.05
_BLOCK: Final = timedelta(seconds=15)


class Capacity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """So many requests/s each replica carries at the aim, each with it for ``residence_s``."""

    load: float
    residence_s: float


class _Run(msgspec.Struct, kw_only=True, gc=False):
    """Neighbouring levels that are one, for more load can't make it faster."""

    low: Level
    high: Level
    speed: float
    weight: float


def learned(inputs: Inputs) -> Learned | UnsetType:
    """What is known after the samples of ``inputs``; UNSET: no rule asks for it."""
    said, held = inputs.policy.latency, inputs.capacity
    if said is None:
        return UNSET
    before = CapacityInput() if held is UNSET else held
    known = before.learned or Learned()
    for sample in before.samples:
        if known.until is None or sample.until > known.until:
            known = _after(known, sample, inputs, said)
    return known


def capacity(levels: Sequence[Level], target_ms: float) -> Capacity | None:
    """What one replica carries within ``AIM`` of the target; None: it was never seen within it.

    Where no level was above, it is a bounded step further than the highest: less, the nearer its
    P99 is to the aim.
    """
    goal = 1 / (AIM * target_ms)
    good: _Run | None = None
    for run in _falling(levels):
        if run.speed >= goal:
            good = run
        elif good is not None:
            share = (good.speed - goal) / (good.speed - run.speed)
            load = good.high.load + share * (run.low.load - good.high.load)
            return Capacity(load=load, residence_s=good.high.residence_s)
    if good is None:
        return None
    further = 1 + _FURTHER * (1 - goal / good.speed)
    return Capacity(load=good.high.load * further, residence_s=good.high.residence_s)


def enough(levels: Sequence[Level]) -> bool:
    """Whether so much was seen that a count may be lowered by it."""
    return sum(level.weight for level in levels) >= ENOUGH


def helped(levels: Sequence[Level]) -> bool:
    """Whether less load each made it faster, as far as was seen; unknown counts as yes."""
    if not levels or levels[-1].load < 1.2 * levels[0].load:
        return True
    runs = list(_falling(levels))
    return runs[0].speed > 1.1 * runs[-1].speed


def warming(inputs: Inputs) -> bool:
    """Whether a replica starts, or became ready so lately that no sample is of it yet."""
    since = inputs.now - timedelta(seconds=WARM_S) - 2 * _BLOCK
    return any(not pod.ready or pod.ready_at is None or pod.ready_at > since for pod in inputs.pods)


def _after(known: Learned, sample: CapacitySample, inputs: Inputs, said: Latency) -> Learned:
    ready = _serving(inputs, sample)
    known = msgspec.structs.replace(known, until=sample.until)
    if not ready or not sample.requests or not sample.seconds:
        return known
    one = Level(
        load=_short(sample.requests / sample.seconds / ready),
        p99_ms=0.0,
        residence_s=_short(sample.concurrency * sample.seconds / sample.requests),
        weight=min(1.0, sample.requests / _FULL),
    )
    return msgspec.structs.replace(
        known,
        p99=_taken(known.p99, one, sample.p99_ms, said.p99_ms),
        ttft=_taken(known.ttft, one, sample.ttft_p99_ms, said.ttft_p99_ms),
    )


def _serving(inputs: Inputs, sample: CapacitySample) -> int:
    """The replicas that did it, all of them warm; 0: some were not, or it is not known.

    One that went in the last moments is missed; where the count was lowered nothing is believed.
    """
    if cluster_unknown(inputs) is not None:
        return 0
    begun = sample.until - _BLOCK - timedelta(seconds=WARM_S)
    became = [pod.ready_at for pod in inputs.pods if pod.ready]
    cold = any(at is None or begun < at < sample.until for at in became)
    fewer = any(each.at > begun and each.after < each.before for each in inputs.changes)
    return 0 if cold or fewer else sum(at is not None and at <= begun for at in became)


def _taken(
    levels: tuple[Level, ...], one: Level, p99_ms: float | None, target_ms: float | None
) -> tuple[Level, ...]:
    """The levels with one sample more, where there is a target and the sample says something."""
    if target_ms is None or p99_ms is None or not 0 < p99_ms < math.inf or one.load <= 0:
        return levels
    one = msgspec.structs.replace(one, p99_ms=_short(p99_ms))
    place = _place(one.load)
    aim_ms = AIM * target_ms
    same: Level | None = None
    found: list[Level] = []
    for level in levels:
        if not _believed(level):
            continue
        faded = _faded(level, one, aim_ms)
        if _place(level.load) == place:
            same = same or faded
        elif faded.weight >= _LEAST_WEIGHT:
            found.append(faded)
    found.append(one if same is None else _mean(same, one))
    if len(found) > LEVELS:
        found.remove(min(found[:-1], key=lambda level: level.weight))
    return tuple(sorted(found, key=lambda level: level.load))


def _faded(level: Level, one: Level, aim_ms: float) -> Level:
    """Older, and in doubt where it was fast at more load than was slow now, or the other way."""
    slow_now, was_slow = one.p99_ms > aim_ms, level.p99_ms > aim_ms
    more = level.load > one.load
    doubted = slow_now != was_slow and more is slow_now
    weight = level.weight * _FADES * (_CONTRADICTED if doubted else 1.0)
    return Level(
        load=level.load,
        p99_ms=level.p99_ms,
        residence_s=level.residence_s,
        weight=_short(weight),
    )


def _mean(level: Level, one: Level) -> Level:
    held = min(level.weight, _MOST_WEIGHT)
    weight = held + one.weight
    share = one.weight / weight
    load = level.load + share * (one.load - level.load)
    return Level(
        load=_short(load) if _place(_short(load)) == _place(level.load) else level.load,
        p99_ms=_short(1 / ((1 - share) / level.p99_ms + share / one.p99_ms)),
        residence_s=_short(level.residence_s + share * (one.residence_s - level.residence_s)),
        weight=_short(weight),
    )


def _falling(levels: Sequence[Level]) -> Iterator[_Run]:
    """Runs of levels by rising load whose speed 1/P99 falls: pool adjacent violators."""
    runs: list[_Run] = []
    for level in levels:
        if not _believed(level):
            continue
        run = _Run(low=level, high=level, speed=1 / level.p99_ms, weight=level.weight)
        while runs and runs[-1].speed <= run.speed:
            last = runs.pop()
            weight = last.weight + run.weight
            speed = (last.speed * last.weight + run.speed * run.weight) / weight
            run = _Run(low=last.low, high=run.high, speed=speed, weight=weight)
        runs.append(run)
    return iter(runs)


def _believed(level: Level) -> bool:
    """Whether it can be: others nobody wrote, and no figure is to come of them."""
    return 0 < level.load < math.inf and 0 < level.p99_ms < math.inf and 0 < level.weight < math.inf


def _place(load: float) -> int:
    return math.floor(math.log(load) / _STEP)


def _short(value: float) -> float:
    """Six digits: what is learned stays short on the wire."""
    return float(f"{value:.6g}")
