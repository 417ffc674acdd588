"""The race of hpa: a thousand applications evaluated on one core, beside the bare formulae.

The peer is what the algorithm of HPA v2 takes in plain Python over dictionaries: largest ratio,
tolerance, stabilisation, rate, bounds, and one JSON text of the result. The rest is ours: the
inputs assembled from folded facts, every stage's figure and reason, all of it in the record.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from midstage.contracts.cluster import Amount, ClusterReached, Phase, PodObserved, PodUsed
from midstage.contracts.load import LoadObserved
from midstage.contracts.policy import Policy, Targets
from midstage.contracts.scaling import Evaluation, Inputs
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.views.world import Standing, World
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved

GROUP = "hpa"
RATE = Measure(name="applications evaluated", unit="/s")
BARE, DECIDE, WHOLE = "plain Python, dicts", "midstage evaluate", "midstage, facts to record"
APPS = 1_000
PODS = 4
SECONDS = 20
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
POLICY = Policy(min=1, max=50, targets=Targets(requests_per_s=10, concurrency=4, cpu=0.6))
_SECOND = timedelta(seconds=1)


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """All applications once a run, each with three rules and four pods; no broker is asked."""
    del bootstrap, directory
    world, standing = (
        folded_world(),
        Standing(
            asked=Asked(policy=POLICY, initial=2),
            spec_version=1,
            scaler=Scaler(count=PODS, facts=1),
            scale_version=1,
        ),
    )
    ready = [world.inputs(app, standing, POLICY, NOW) for app in _apps()]
    plain = [_plain(each) for each in ready]
    taken = interleaved(
        [
            Contestant(name=BARE, run=lambda: _timed(lambda n: json.dumps(_bare(plain[n])))),
            Contestant(name=DECIDE, run=lambda: _timed(lambda n: evaluate(ready[n]))),
            Contestant(
                name=WHOLE,
                run=lambda: _timed(
                    lambda n: _record(evaluate(world.inputs(f"app-{n}", standing, POLICY, NOW)))
                ),
            ),
        ],
        group=GROUP,
        rounds=size.rounds,
    )
    counts = dict.fromkeys((BARE, DECIDE, WHOLE), f"{APPS:,} applications, {PODS} pods each")
    return figures(group=GROUP, measures=[RATE], taken=taken, peers=(BARE,), counts=counts)


def _timed(one: Callable[[int], object]) -> Mapping[str, float]:
    begin = time.perf_counter()
    for number in range(APPS):
        one(number)
    return {RATE.name: APPS / (time.perf_counter() - begin)}


def _record(evaluation: Evaluation) -> bytes:
    return msgspec.json.encode(evaluation)


def _apps() -> list[str]:
    return [f"app-{number}" for number in range(APPS)]


def folded_world() -> World:
    world = World()
    world.cluster(ClusterReached(cluster="bench", name="bench", epoch=1, observed_at=NOW))
    for number, app in enumerate(_apps()):
        for second in range(SECONDS, 0, -1):
            world.load(_load(app, number, NOW - second * _SECOND), NOW)
        for pod in range(PODS):
            name = f"{app}-{pod}"
            world.cluster(_pod(app, name))
            world.cluster(_used(app, name, number))
    return world


def _load(app: str, number: int, second: datetime) -> LoadObserved:
    return LoadObserved(
        app=app,
        second=second,
        shard=0,
        shards=1,
        complete_until=second + _SECOND,
        outcomes={"ok": number % 100, "refused": 3},
        in_flight=number % 40,
        pending=number % 3,
    )


def _pod(app: str, name: str) -> PodObserved:
    return PodObserved(
        cluster="bench",
        name=name,
        namespace="bench",
        epoch=1,
        observed_at=NOW,
        resource_version=1,
        app=app,
        phase=Phase.RUNNING,
        ready=True,
        requests=Amount(cpu=1.0),
        created_at=NOW,
    )


def _used(app: str, name: str, number: int) -> PodUsed:
    return PodUsed(
        cluster="bench",
        name=name,
        namespace="bench",
        epoch=1,
        observed_at=NOW,
        app=app,
        cpu=(number % 100) / 100,
        memory_mb=100,
    )


Plain = dict[str, float]


def _plain(inputs: Inputs) -> Plain:
    """The figures that the formulae need, and no more."""
    return {
        "current": float(inputs.current),
        "rps": inputs.load.requests_per_s or 0.0,
        "in_flight": inputs.load.concurrency or 0.0,
        "cpu": sum(pod.cpu or 0.0 for pod in inputs.pods) / len(inputs.pods),
        "ready": float(sum(pod.ready for pod in inputs.pods)),
    }


def _bare(seen: Plain) -> Plain:
    """ceil(largest ratio), tolerance, a window of one earlier want, 100 % or 4 pods, bounds."""
    current = seen["current"]
    wants = {
        "rps": seen["rps"] / 10,
        "in_flight": seen["in_flight"] / 4,
        "cpu": seen["cpu"] / 0.6 * seen["ready"],
    }
    exact = max(wants.values())
    want = current if abs(exact / current - 1) <= POLICY.tolerance else math.ceil(exact)
    stable = max(want, current) if want < current else want
    limited = min(stable, max(current + 4, current * 2))
    return {**wants, "replicas": min(max(limited, POLICY.min), POLICY.max)}
