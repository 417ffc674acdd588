"""The engine beside an independent HPA v2 and an independent KPA: the same counts, always."""

from collections import Counter
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts.autoscaling import (
    Behavior,
    By,
    ExternalMetric,
    Identifier,
    Metric,
    MetricType,
    ResourceMetric,
    ScalingPolicy,
    ScalingRules,
    Select,
    Target,
    TargetType,
)
from midstage.contracts.cluster import Phase
from midstage.contracts.policy import Knative, Policy
from midstage.contracts.scaling import (
    Changed,
    Inputs,
    KnativeInput,
    PodInput,
    Rule,
    SignalInput,
    Wanted,
)
from midstage.hpa.decide.evaluate import evaluate
from midstage.testkit.clock import NOON
from tests.hpa.plain_hpa import PlainHpa, PlainMetric, PlainPod, PlainPolicy, PlainRules
from tests.hpa.plain_kpa import PlainKpa

pytestmark = pytest.mark.slow
SITUATIONS = 3000


def a_pod(rng: Random, number: int) -> PodInput:
    phase = rng.choice([Phase.RUNNING] * 8 + [Phase.STARTING, Phase.PENDING])
    ready = phase is Phase.RUNNING and rng.random() < 0.9
    started = rng.choice([2, 20, 45, 59] if phase is Phase.PENDING else [5, 100, 400, 400, 400])
    return PodInput(
        name=f"pod-{number}",
        ready=ready,
        phase=phase,
        started_at=ago(started),
        ready_at=ago(rng.randint(0, started)) if ready else None,
        cpu=None if rng.random() < 0.15 else rng.randint(0, 1500) / 1000,
        cpu_requested=rng.choice([1.0, 1.0, 0.5, 2.0]),
        cpu_at=ago(rng.randint(0, 30)),
        memory_mb=None if rng.random() < 0.15 else rng.randint(0, 1500),
        memory_requested_mb=rng.choice([1000] * 30 + [500] * 10 + [0]),
    )


def a_rule(rng: Random) -> ScalingRules:
    return ScalingRules(
        stabilization_window_seconds=rng.choice([0, 0, 60, 600]),
        select_policy=rng.choice([Select.MAX, Select.MAX, Select.MIN, Select.DISABLED]),
        policies=tuple(
            ScalingPolicy(
                type=rng.choice(list(By)),
                value=rng.choice([1, 2, 10, 50, 100, 150]),
                period_seconds=rng.choice([15, 60, 600]),
            )
            for _ in range(rng.randint(1, 3))
        ),
    )


def a_situation(rng: Random) -> Inputs:
    current, least = rng.randint(1, 12), rng.choice([1, 1, 2, 5])
    some_pods = rng.choice([current, current, current, rng.randint(0, 12)])
    queue = SignalInput(
        rule=Rule.EXTERNAL, name="queue", value=float(rng.randint(0, 300)), observed_at=NOON
    )
    kinds = rng.sample(["cpu", "memory", "external"], rng.choice([1, 1, 2, 3]))
    targets = {"external": [1, 10, 40], "cpu": [30, 50, 80, 150], "memory": [30, 80, 100]}
    behavior = Behavior(scale_up=a_rule(rng), scale_down=a_rule(rng))
    return Inputs(
        app="chat",
        now=NOON,
        policy=Policy(
            min=least,
            max=least + rng.choice([0, 4, 10, 30, 30]),
            metrics=tuple(metric(kind, rng.choice(targets[kind])) for kind in kinds),
            behavior=rng.choice([None, behavior]),
        ),
        spec_version=1,
        current=current,
        pods=tuple(a_pod(rng, number) for number in range(some_pods)),
        cluster_at=NOON,
        wants=tuple(
            Wanted(at=ago(rng.randint(0, 700)), replicas=rng.randint(1, 20))
            for _ in range(rng.choice([0, 0, 1, 3]))
        ),
        changes=tuple(
            Changed(at=ago(rng.randint(0, 700)), before=before, after=before + rng.choice([-2, 3]))
            for before in rng.sample(range(3, 9), rng.choice([0, 1, 3]))
        ),
        signals=(queue,) if rng.random() < 0.6 else (),
    )


def test_the_engine_decides_as_a_plain_hpa_does() -> None:
    """Of many situations; each stage has its say in some of them, or this would say nothing."""
    had_a_say: Counter[str] = Counter()
    for seed in range(SITUATIONS):
        of = a_situation(Random(seed))
        made = evaluate(of)
        assert made.replicas == plain(of).desired(), seed
        had_a_say.update(stage.name for stage in made.stages if stage.reason)
    for name in ("largest", "unknown", "stabilise", "rate", "bounds"):
        assert had_a_say[name] > SITUATIONS / 60, had_a_say


@st.composite
def days(draw: st.DrawFn) -> tuple[Knative, list[tuple[int, int, float, float]]]:
    said = Knative(
        target=draw(st.sampled_from([1.0, 10.0, 100.0])),
        stable_window_s=draw(st.sampled_from([6, 20, 60])),
        scale_down_delay_s=float(draw(st.sampled_from([0, 0, 10, 31]))),
        activation_scale=draw(st.sampled_from([1, 1, 4])),
        max_scale_up_rate=draw(st.sampled_from([1.5, 10.0, 1000.0])),
    )
    at, steps = 0, []
    for _ in range(draw(st.integers(1, 12))):
        at += draw(st.integers(1, 40))
        carried = st.sampled_from([0.0, 1.0, 9.0, 70.0, 400.0])
        steps.append((at, draw(st.integers(0, 9)), draw(carried), draw(carried)))
    return said, steps


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(days())
def test_the_engine_decides_as_a_plain_kpa_does(
    day: tuple[Knative, list[tuple[int, int, float, float]]],
) -> None:
    said, steps = day
    peer = PlainKpa(
        target=said.target * said.utilization,
        threshold=said.panic_threshold_percent / 100,
        most_up=said.max_scale_up_rate,
        most_down=said.max_scale_down_rate,
        stable_s=said.stable_window_s,
        activation=said.activation_scale,
        delay_s=said.scale_down_delay_s,
    )
    epoch, current, memory = NOON.timestamp(), 1, None
    for at, ready, stable, panic in steps:
        now = NOON + timedelta(seconds=at)
        made = evaluate(
            Inputs(
                app="chat",
                now=now,
                policy=Policy(min=1, max=1000, knative=said),
                spec_version=1,
                current=current,
                pods=tuple(PodInput(name=f"{n}", ready=True) for n in range(ready)),
                cluster_at=now,
                knative=KnativeInput(until=now, stable=stable, panic=panic, memory=memory),
            )
        )
        expected = peer.desired(int(epoch) + at, ready, stable, panic)
        assert made.proposals[0].want == expected
        assert made.replicas == min(max(expected, 1), 1000)
        current, memory = made.replicas, made.memory


def metric(kind: str, target: int) -> Metric:
    if kind == "external":
        return Metric(
            type=MetricType.EXTERNAL,
            external=ExternalMetric(
                metric=Identifier(name="queue"),
                target=Target(type=TargetType.AVERAGE_VALUE, average_value=str(target)),
            ),
        )
    share = Target(type=TargetType.UTILIZATION, average_utilization=target)
    return Metric(type=MetricType.RESOURCE, resource=ResourceMetric(name=kind, target=share))


def plain(of: Inputs) -> PlainHpa:
    behavior = of.policy.behavior
    return PlainHpa(
        current=of.current,
        least=of.policy.min,
        most=of.policy.max,
        metrics=[plain_metric(each, of) for each in of.policy.metrics],
        cpu_pods=[plain_pod(each, cpu=True) for each in of.pods],
        memory_pods=[plain_pod(each, cpu=False) for each in of.pods],
        up=None if behavior is None else plain_rules(behavior.scale_up),
        down=None if behavior is None else plain_rules(behavior.scale_down),
        wants=[(seconds(NOON - each.at), each.replicas) for each in of.wants],
        changes=[(seconds(NOON - each.at), each.after - each.before) for each in of.changes],
    )


def plain_metric(metric: Metric, of: Inputs) -> PlainMetric:
    if metric.external is not None:
        value = int((of.signals[0].value or 0) * 1000) if of.signals else None
        target = int(str(metric.external.target.average_value)) * 1000
        return PlainMetric(kind="external", target=target, value=value)
    assert metric.resource is not None
    return PlainMetric(
        kind=metric.resource.name, target=metric.resource.target.average_utilization or 0
    )


def plain_pod(pod: PodInput, *, cpu: bool) -> PlainPod:
    assert pod.started_at is not None
    assert pod.cpu_at is not None
    used = pod.cpu if cpu else pod.memory_mb
    request = pod.cpu_requested if cpu else pod.memory_requested_mb
    unit = 1000 if cpu else 1000 * 2**20
    started = seconds(NOON - pod.started_at)
    lost = pod.phase is Phase.RUNNING and not pod.ready
    became = started if pod.ready_at is None else seconds(NOON - pod.ready_at)
    return PlainPod(
        pending=pod.phase is Phase.PENDING,
        ready=pod.ready,
        started_s=started,
        transition_s=0 if lost else became,
        request=round(request * unit),
        metric=None if used is None else round(used * unit),
        metric_s=seconds(NOON - pod.cpu_at),
    )


def plain_rules(said: ScalingRules | None) -> PlainRules | None:
    if said is None:
        return None
    return PlainRules(
        select=said.select_policy.value,
        window_s=said.stabilization_window_seconds or 0,
        policies=[
            PlainPolicy(
                percent=each.type is By.PERCENT, value=each.value, period_s=each.period_seconds
            )
            for each in said.policies
        ],
    )


def ago(age_s: float) -> datetime:
    return NOON - timedelta(seconds=age_s)


def seconds(span: timedelta) -> float:
    return span / timedelta(seconds=1)
