"""The race of the replay: evaluations made again from what they stored, compared to the byte.

The peer decodes the same record and writes it again, without deciding anything: what JSON alone
costs. Once with three rules for all, once with rules of each kind in turn. A million records are
the same thousand applications, again and again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

import msgspec

from midstage.contracts.autoscaling import (
    Behavior,
    Metric,
    MetricType,
    ResourceMetric,
    ScalingRules,
    Target,
    TargetType,
)
from midstage.contracts.capacity import Latency
from midstage.contracts.fact import Event
from midstage.contracts.forecast import Forecast
from midstage.contracts.policy import Fallback, Knative, Policy, Targets
from midstage.contracts.scaling import EVALUATION_MADE, EvaluationMade, Inputs
from midstage.contracts.signals import Signal, SignalKind, SignalObserved
from midstage.contracts.timed import Timed
from midstage.eventlog.codec import encode
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.stream import shallow
from midstage.hpa.views.replays import Which
from midstage.hpa.views.world import Standing, World
from tests.bench import scaling
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved

GROUP = "replay"
RATE = Measure(name="evaluations made again", unit="/s of CPU")
OF_EACH = Measure(name="evaluations made again, of each kind", unit="/s of CPU")
BARE, OURS = "read and written again", "midstage replay, shallow"
_Judge = Callable[[Sequence[bytes]], int]
_MILLION = 1_000_000
_QUICK = 2_000


_SHORT = Targets(requests_per_s=10)
KINDS = (
    scaling.POLICY,
    Policy(max=50, latency=Latency(p99_ms=500)),
    Policy(max=50, knative=Knative(target=4)),
    Policy(max=50, signals={"jobs": Signal(target=30, drain_s=60, rate=2)}),
    Policy(
        max=50,
        metrics=(
            Metric(
                type=MetricType.RESOURCE,
                resource=ResourceMetric(
                    name="memory",
                    target=Target(type=TargetType.AVERAGE_VALUE, average_value="500Mi"),
                ),
            ),
        ),
        behavior=Behavior(scale_down=ScalingRules(stabilization_window_seconds=60)),
    ),
    Policy(
        max=50,
        targets=_SHORT,
        timed=(Timed(name="work", floor=9, begin="08:00", end="18:00", zone="Europe/Berlin"),),
    ),
    Policy(
        max=50, targets=_SHORT, timed=(Timed(name="x", floor=9, cron="0 8 * * *", duration_s=60),)
    ),
    Policy(max=50, targets=_SHORT, forecast=Forecast(), fallback=Fallback(at_least=3)),
)
"""A policy of each kind of rule."""


class _Envelope(msgspec.Struct):
    data: EvaluationMade


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Records as they stand in the log, on one core; no broker is asked."""
    del bootstrap, directory
    count = _MILLION // size.rounds if size.rounds > 1 else _QUICK
    judges = {BARE: _rewritten, OURS: _again}
    taken: dict[str, Mapping[str, Sequence[float]]] = {}
    for measure, kinds, share in ((RATE, (scaling.POLICY,), 1), (OF_EACH, KINDS, 4)):
        values = _records(kinds)
        runs = [
            Contestant(name=name, run=partial(_timed, measure, values, count // share, judge))
            for name, judge in judges.items()
        ]
        taken |= interleaved(runs, group=GROUP, rounds=size.rounds)
    counts = dict.fromkeys(judges, f"{count:,} evaluations a round (a quarter of each kind)")
    return figures(group=GROUP, measures=[RATE, OF_EACH], taken=taken, peers=(BARE,), counts=counts)


def _timed(
    measure: Measure, values: Sequence[bytes], count: int, judge: _Judge
) -> Mapping[str, float]:
    begin = time.process_time()
    for _ in range(max(1, count // len(values))):
        assert judge(values) == len(values), "not all are made again to the byte"
    done = max(1, count // len(values)) * len(values)
    return {measure.name: done / (time.process_time() - begin)}


def _again(values: Sequence[bytes]) -> int:
    return shallow.evaluations(values, Which()).from_stored_equal


def _rewritten(values: Sequence[bytes]) -> int:
    decoder, encoder = msgspec.json.Decoder(_Envelope), msgspec.json.Encoder()
    return sum(
        value.endswith(encoder.encode(decoder.decode(value).data) + b"}") for value in values
    )


def _records(kinds: Sequence[Policy]) -> Sequence[bytes]:
    """As hpa writes them, with the offsets of all partitions; the policies in turn."""
    world = scaling.folded_world()
    for app in range(scaling.APPS):
        world.signal(_signal(f"app-{app}", app), scaling.NOW)
    turns = zip(range(scaling.APPS), cycle(kinds), strict=False)
    return [encode(_event(number, _inputs(world, number, policy))) for number, policy in turns]


def _inputs(world: World, number: int, policy: Policy) -> Inputs:
    standing = Standing(
        asked=Asked(policy=policy, initial=2),
        spec_version=1,
        scaler=Scaler(count=scaling.PODS, facts=1),
        scale_version=1,
    )
    return world.inputs(f"app-{number}", standing, policy, scaling.NOW)


def _signal(app: str, waiting: float) -> SignalObserved:
    return SignalObserved(
        app=app,
        kind=SignalKind.QUEUE,
        name="jobs",
        source="bench",
        observed_at=scaling.NOW,
        value=waiting,
    )


def _event(number: int, of: Inputs) -> Event[EvaluationMade]:
    kept = msgspec.json.decode(msgspec.json.encode(of), type=Inputs)  # a target of 10 is 10.0 there
    offsets = {f"midstage.load.v1/{number}": 123_456 + number for number in range(24)}
    evaluation = msgspec.structs.replace(evaluate(kept), engine=ENGINE, offsets=offsets)
    return Event(
        id=f"hpa/bench/{number}",
        source="hpa/bench",
        type=EVALUATION_MADE,
        time=scaling.NOW,
        subject=of.app,
        data=EvaluationMade(app=of.app, evaluation=evaluation),
    )
