"""What an engine's version decides is pinned: none changes without a new version.

``python -m tests.hpa.test_engine_version`` writes the pin of the version that ``ENGINE`` names.
"""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Final

import msgspec

from midstage.contracts.autoscaling import (
    ExternalMetric,
    Identifier,
    Metric,
    MetricType,
    Target,
    TargetType,
)
from midstage.contracts.capacity import CapacityInput, CapacitySample, Latency, Learned, Level
from midstage.contracts.manual import Direction, Override, Pause
from midstage.contracts.policy import Fallback, Knative, Policy, Rate, Targets
from midstage.contracts.scaling import Inputs, KnativeInput, Quota, Rule, SignalInput
from midstage.contracts.signals import Signal
from midstage.contracts.timed import Timed
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.decide.evaluate import evaluate
from midstage.testkit.clock import NOON
from tests.hpa.engine import ago, changed, inputs, load, pods, policy, warm

PINS: Final = Path(__file__).with_name("engine_versions.json")
QUEUE: Final = Metric(
    type=MetricType.EXTERNAL,
    external=ExternalMetric(
        metric=Identifier(name="queue"), target=Target(type=TargetType.AVERAGE_VALUE, value=10)
    ),
)
POLICIES: Final[tuple[Policy, ...]] = (
    policy(),
    policy(targets=Targets(requests_per_s=7, concurrency=10, cpu=0.6), stabilise_down_s=60),
    policy(up=Rate(pods=2, percent=0), down=Rate(pods=1, percent=0), stabilise_up_s=30),
    policy(targets=Targets(), metrics=(QUEUE,), fallback=Fallback(static=3)),
    policy(targets=Targets(), knative=Knative(target=10)),
    policy(timed=(Timed(name="noon", floor=6, begin="11:00", end="13:00"),)),
    policy(min=5, max=6),
)
BY_SIGNAL: Final[tuple[Policy, ...]] = tuple(
    policy(targets=Targets(), signals={"jobs": said})
    for said in (
        Signal(target=30.0),
        Signal(drain_s=60.0, rate=2.0, partitions=7),
        Signal(drain_s=60.0),
        Signal(target=5.0, drain_s=60.0),
    )
)
BY_LATENCY: Final[tuple[Policy, ...]] = (
    policy(targets=Targets(), latency=Latency(p99_ms=500.0)),
    policy(targets=Targets(), latency=Latency(p99_ms=500.0, ttft_p99_ms=80.0, drain_s=30.0)),
    policy(targets=Targets(), latency=Latency(ttft_p99_ms=80.0), max=100),
)
SEEN: Final[tuple[tuple[Level, ...], ...]] = (
    (),
    (Level(load=5.0, p99_ms=200.0, residence_s=0.1, weight=2.0),),
    (Level(load=5.0, p99_ms=200.0, residence_s=0.1, weight=20.0),),
    (
        Level(load=5.0, p99_ms=200.0, residence_s=0.1, weight=20.0),
        Level(load=8.0, p99_ms=190.0, residence_s=0.1, weight=5.0),
        Level(load=10.0, p99_ms=10_000.0, residence_s=0.1, weight=20.0),
    ),
)
_HOUR: Final = timedelta(hours=1)
OVERRIDES: Final = tuple(
    Override(by="anna", why="a fair", at=NOON - _HOUR, until=NOON + _HOUR, min=least, max=most)
    for least, most in ((7, 7), (8, None), (None, 2), (20, 30))
)
PAUSES: Final = tuple(
    Pause(by="ben", at=NOON - _HOUR, until=NOON + _HOUR, direction=direction)
    for direction in Direction
)


def situations() -> Iterator[Inputs]:
    """Of each kind of policy, and of what comes beside a policy."""
    yield from by_load()
    yield from by_signals()
    yield from by_latency()
    yield from ordered()


def by_load() -> Iterator[Inputs]:
    """Calm, busy and unknown, before and after a first count."""
    for number, (of, carried, current) in enumerate(product(POLICIES, (None, 4, 47, 300), (0, 4))):
        value = 0.0 if carried is None else float(carried)
        yield inputs(
            policy=of,
            current=current,
            initial=2,
            load=load(concurrency=carried, requests_per_s=carried, age_s=1 + number % 12),
            pods=pods(3, starting=number % 3, cpu=value / 300),
            wants=(ago(20, 7), ago(50, 2)),
            changes=(changed(9, 2, 4),),
            signals=(SignalInput(rule=Rule.EXTERNAL, name="queue", value=value, observed_at=NOON),),
            knative=KnativeInput(until=NOON, stable=value, panic=2 * value),
            cold_start_s=None if number % 2 else 90.0,
        )


def by_signals() -> Iterator[Inputs]:
    """A queue that is empty, waits, piles up, is not known; what comes and is done known or not."""
    waits = (None, 0.0, 90.0, 2_000.0)
    for of, value, arrived, each in product(BY_SIGNAL, waits, (None, 12.0), (None, 3.0)):
        jobs = SignalInput(
            rule=Rule.SIGNAL,
            name="jobs",
            value=value,
            observed_at=NOON - timedelta(seconds=5),
            partitions=9 if each is None else 0,
            arrived_per_s=arrived,
            growth_per_s=1.0 if each is None else None,
            each_per_s=each,
        )
        carried = load(requests_per_s=8.0) if arrived is None else load()
        yield inputs(policy=of, signals=(jobs,), load=carried, pods=pods(3, starting=1))


def by_latency() -> Iterator[Inputs]:
    """Fast and slow, before anything, little and enough was learned, with a queue and without."""
    asked = product(
        BY_LATENCY, SEEN, (0.0, 2.0, 20.0, 31.0, 75.0), (None, 150.0, 900.0), (None, 0.0, 35.0)
    )
    for number, (of, seen, coming, slow, growth) in enumerate(asked):
        count = 10 if number % 2 else 4
        newest = CapacitySample(
            until=NOON - timedelta(seconds=5),
            seconds=15,
            requests=int(coming * 15),
            concurrency=coming / 10,
            p99_ms=slow,
            ttft_p99_ms=None if slow is None else slow / 5,
        )
        waiting = 0.0 if not coming else 2.0 if not growth else 900.0
        yield inputs(
            policy=of,
            load=load(requests_per_s=coming, concurrency=waiting),
            pods=warm(count),
            current=count,
            capacity=CapacityInput(
                samples=() if number % 7 == 0 else (newest,),
                in_flight=waiting,
                growth_per_s=growth,
                learned=Learned(until=NOON - timedelta(seconds=20), p99=seen, ttft=seen[:2]),
            ),
        )


def ordered() -> Iterator[Inputs]:
    """What people order, and what there is room for, before each kind of want."""
    room = Quota(replicas=6, reason="there is room for 6")
    for override, pause, quota, carried in product(
        (None, *OVERRIDES), (None, *PAUSES), (None, room), (None, 4.0, 85.0)
    ):
        yield inputs(
            override=override, pause=pause, quota=quota, load=load(concurrency=carried, age_s=1)
        )


def pin() -> str:
    """The hash of all that is decided of them."""
    found = b"\n".join(msgspec.json.encode(evaluate(each)) for each in situations())
    return hashlib.sha256(found).hexdigest()


def pins() -> dict[str, str]:
    return msgspec.json.decode(PINS.read_bytes(), type=dict[str, str])


def test_the_engine_decides_what_its_version_says() -> None:
    assert pin() == pins().get(ENGINE), (
        "the same inputs give other bytes: raise ENGINE in decide/engine.py (unless this version "
        "was never released), then `python -m tests.hpa.test_engine_version`"
    )


def test_no_two_versions_decide_alike() -> None:
    held = pins()
    assert len(set(held.values())) == len(held)


if __name__ == "__main__":
    held = pins() if PINS.exists() else {}
    PINS.write_bytes(msgspec.json.format(msgspec.json.encode({**held, ENGINE: pin()})) + b"\n")
