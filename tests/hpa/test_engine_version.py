"""What an engine's version decides is pinned: none changes without a new version.

``python -m tests.hpa.test_engine_version`` writes the pin of the version that ``ENGINE`` names.
"""

import hashlib
from collections.abc import Iterator
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
from midstage.contracts.policy import Fallback, Knative, Policy, Rate, Targets
from midstage.contracts.scaling import Inputs, KnativeInput, Rule, SignalInput
from midstage.contracts.timed import Timed
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.decide.evaluate import evaluate
from midstage.testkit.clock import NOON
from tests.hpa.engine import ago, changed, inputs, load, pods, policy

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


def situations() -> Iterator[Inputs]:
    """Calm, busy and unknown, before and after a first count, of each kind of policy."""
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
