"""A step of the load from 10 to 100 requests/s: how far P99 rules overshoot, and how long it hurts.

The model is simple on purpose. A replica serves 10 requests/s; at use r (0.99 at most) with a queue
Q, P99 is 0.1/(1 - r) + Q/(10 ready) s; the target 0.5 s, so 13 replicas are needed. The engine is
asked each 15 s through the very folds that the service has; it learns from the simulated facts.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from midstage.contracts.capacity import Latency
from midstage.contracts.cluster import ClusterReached, Kind, ObjectGone, Phase, PodObserved
from midstage.contracts.load import LoadObserved
from midstage.contracts.policy import Policy, Rate
from midstage.contracts.scaling import EvaluationMade
from midstage.contracts.sketch import packed, sketch
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.scaling import decide, evolve
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.views.world import Standing, World

SECONDS: Final = 3600
STEP_AT: Final = 300
BEFORE, AFTER = 10, 100
EACH: Final = 10
FIRST: Final = 2
TARGET_S: Final = 0.5
NEEDED: Final = 13
ASKED_EACH_S: Final = 15
WINDOW_S: Final = 60
DOWN_S: Final = 300.0
COLD_STARTS_S: Final = (15, 60, 180, 600)
POLICY: Final = Policy(
    min=1,
    max=1000,
    latency=Latency(p99_ms=1000 * TARGET_S, drain_s=120.0),
    window_s=WINDOW_S,
    stabilise_down_s=DOWN_S,
    up=Rate(pods=4, percent=100, period_s=float(ASKED_EACH_S)),
    down=Rate(pods=0, percent=100, period_s=float(ASKED_EACH_S)),
)
_BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_APP: Final = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """``served`` requests of one second, the ``queue`` after it, and the P99 in it."""

    served: int
    busy: int
    queue: int
    p99_s: float


@dataclass(slots=True, kw_only=True)
class Cluster:
    """Replicas by number, with when they were ordered and serve; those that start go first."""

    cold_s: int
    replicas: dict[int, tuple[int, int]] = field(default_factory=dict)
    ordered: int = 0

    def ready(self, now: int) -> int:
        """How many serve."""
        return sum(at <= now for _, at in self.replicas.values())

    def scale(self, count: int, now: int, *, cold_s: int) -> Sequence[int]:
        """Have ``count``; the numbers of those that went."""
        for _ in range(count - len(self.replicas)):
            self.replicas[self.ordered] = (now, now + cold_s)
            self.ordered += 1
        last = sorted(self.replicas, key=lambda n: (-self.replicas[n][1], -n))
        went = last[: max(0, len(self.replicas) - count)]
        for number in went:
            del self.replicas[number]
        return went


Asked15 = Callable[[int, Cluster, Sequence[Second]], int]
"""The count that a rule has at a second, of what there is and what was; the newest last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """``overshoot``: the most replicas, ready and starting, to those needed; ``violation_s``: the
    seconds after the step with P99 above the target."""

    cold_start_s: int
    overshoot: float
    violation_s: int


def engine(cold_start_s: int) -> Step:
    """The engine's rule of latency, with its stages, as the service runs it."""
    return _run(cold_start_s, _Engine().asked)


def bare_ratio(cold_start_s: int) -> Step:
    """Ready replicas times the ratio of latencies, as some scale; with the same rate and window."""
    wants: list[tuple[int, int]] = []

    def asked(now: int, cluster: Cluster, past: Sequence[Second]) -> int:
        mean = sum(second.p99_s for second in past[-WINDOW_S:]) / len(past[-WINDOW_S:])
        current, ratio = len(cluster.replicas), mean / TARGET_S
        steady = abs(ratio - 1) <= POLICY.tolerance
        want = current if steady else max(1, math.ceil(cluster.ready(now) * ratio))
        wants.append((now, want))
        if want > current:
            return min(want, max(2 * current, current + 4))
        return min(current, max(want for at, want in wants if now - at < DOWN_S))

    return _run(cold_start_s, asked)


def _run(cold_start_s: int, asked: Asked15) -> Step:
    cluster = Cluster(cold_s=cold_start_s)
    cluster.scale(FIRST, -SECONDS, cold_s=0)
    past: list[Second] = []
    most = violation = 0
    for now in range(SECONDS):
        past.append(_second(BEFORE if now < STEP_AT else AFTER, cluster.ready(now), past))
        violation += now >= STEP_AT and past[-1].p99_s > TARGET_S
        if now and now % ASKED_EACH_S == 0:
            cluster.scale(asked(now, cluster, past), now, cold_s=cold_start_s)
        most = max(most, len(cluster.replicas))
    return Step(cold_start_s=cold_start_s, overshoot=most / NEEDED, violation_s=violation)


def _second(load: int, ready: int, past: Sequence[Second]) -> Second:
    carried, before = EACH * ready, past[-1].queue if past else 0
    queue = max(0, before + load - carried)
    use = min(0.99, load / carried)
    served = before + load - queue
    return Second(
        served=served,
        busy=math.ceil(served / EACH),  # a tenth of a second each
        queue=queue,
        p99_s=0.1 / (1 - use) + queue / carried,
    )


class _Engine:
    """The facts that the others would write, and the loop that the service is, without the log."""

    def __init__(self) -> None:
        self._world = World()
        self._scaler = Scaler()
        self._told: dict[int, bool] = {}
        self._seen = 0

    def asked(self, now: int, cluster: Cluster, past: Sequence[Second]) -> int:
        at = _BEGIN + (now + 1) * _SECOND
        for number in range(self._seen, now + 1):
            self._world.load(_load(number, past[number]), at)
        self._seen = now + 1
        self._tell(now, cluster, at)
        standing = Standing(
            asked=Asked(policy=POLICY, initial=FIRST),
            spec_version=1,
            scaler=self._scaler,
            scale_version=self._scaler.facts,
        )
        evaluation = evaluate(self._world.inputs(_APP, standing, POLICY, at))
        self._world.evaluated(EvaluationMade(app=_APP, evaluation=evaluation), at)
        for fact in decide(self._scaler, evaluation):
            self._scaler = evolve(self._scaler, fact)
        return self._scaler.count

    def _tell(self, now: int, cluster: Cluster, at: datetime) -> None:
        reached = ClusterReached(cluster="c", name="c", epoch=1, observed_at=at)
        self._world.cluster(reached)
        for number, (ordered, ready_at) in cluster.replicas.items():
            ready = ready_at <= now
            if self._told.get(number) is not ready:
                self._told[number] = ready
                self._world.cluster(_pod(number, ordered, ready_at if ready else None, at))
        for number in [number for number in self._told if number not in cluster.replicas]:
            del self._told[number]
            gone = ObjectGone(
                cluster="c",
                namespace="n",
                name=f"r-{number}",
                kind=Kind.POD,
                epoch=1,
                observed_at=at,
                resource_version=3,
            )
            self._world.cluster(gone)


def _load(number: int, second: Second) -> LoadObserved:
    at = _BEGIN + number * _SECOND
    return LoadObserved(
        app=_APP,
        second=at,
        shard=0,
        shards=1,
        complete_until=at + _SECOND,
        outcomes={"ok": second.served},
        in_flight=second.busy,
        pending=second.queue,
        latency_ms=packed(sketch([1000 * second.p99_s] * second.served)),
    )


def _pod(number: int, ordered: int, ready_at: int | None, at: datetime) -> PodObserved:
    made = _BEGIN + ordered * _SECOND
    return PodObserved(
        cluster="c",
        namespace="n",
        name=f"r-{number}",
        epoch=1,
        observed_at=at,
        resource_version=1 if ready_at is None else 2,
        app=_APP,
        phase=Phase.STARTING if ready_at is None else Phase.RUNNING,
        ready=ready_at is not None,
        created_at=made,
        started_at=made,
        ready_at=None if ready_at is None else _BEGIN + ready_at * _SECOND,
    )
