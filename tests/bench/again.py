"""The race of the replay: evaluations made again from what they stored, compared to the byte.

The peer decodes the same record and writes it again, without deciding anything: what JSON alone
costs. A million records are the same thousand applications, again and again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from midstage.contracts.fact import Event
from midstage.contracts.scaling import EVALUATION_MADE, EvaluationMade, Inputs
from midstage.eventlog.codec import encode
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.stream import shallow
from midstage.hpa.views.replays import Which
from midstage.hpa.views.world import Standing
from tests.bench import scaling
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved

GROUP = "replay"
RATE = Measure(name="evaluations made again", unit="/s of CPU")
BARE, OURS = "read and written again", "midstage replay, shallow"
_Judge = Callable[[Sequence[bytes]], int]
_MILLION = 1_000_000
_QUICK = 2_000


class _Envelope(msgspec.Struct):
    data: EvaluationMade


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Records as they stand in the log, on one core; no broker is asked."""
    del bootstrap, directory
    values = _records()
    count = _MILLION // size.rounds if size.rounds > 1 else _QUICK
    taken = interleaved(
        [
            Contestant(name=BARE, run=lambda: _timed(values, count, _rewritten)),
            Contestant(name=OURS, run=lambda: _timed(values, count, _again)),
        ],
        group=GROUP,
        rounds=size.rounds,
    )
    counts = dict.fromkeys((BARE, OURS), f"{count:,} evaluations a round, 3 rules, 4 pods")
    return figures(group=GROUP, measures=[RATE], taken=taken, peers=(BARE,), counts=counts)


def _timed(
    values: Sequence[bytes], count: int, one: Callable[[Sequence[bytes]], int]
) -> Mapping[str, float]:
    begin = time.process_time()
    for _ in range(max(1, count // len(values))):
        assert one(values) == len(values), "not all are made again to the byte"
    done = max(1, count // len(values)) * len(values)
    return {RATE.name: done / (time.process_time() - begin)}


def _again(values: Sequence[bytes]) -> int:
    return shallow.evaluations(values, Which()).from_stored_equal


def _rewritten(values: Sequence[bytes]) -> int:
    decoder, encoder = msgspec.json.Decoder(_Envelope), msgspec.json.Encoder()
    return sum(
        value.endswith(encoder.encode(decoder.decode(value).data) + b"}") for value in values
    )


def _records() -> Sequence[bytes]:
    """As hpa writes them, with the offsets of all partitions."""
    world = scaling.folded_world()
    standing = Standing(
        asked=Asked(policy=scaling.POLICY, initial=2),
        spec_version=1,
        scaler=Scaler(count=scaling.PODS, facts=1),
        scale_version=1,
    )
    return [
        encode(_event(number, world.inputs(f"app-{number}", standing, scaling.POLICY, scaling.NOW)))
        for number in range(scaling.APPS)
    ]


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
