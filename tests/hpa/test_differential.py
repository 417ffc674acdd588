"""The engine beside an independent HPA v2 and an independent KPA: the same counts, always."""

from datetime import datetime, timedelta

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
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ages = st.integers(0, 700)


@st.composite
def a_pod(draw: st.DrawFn, number: int) -> PodInput:
    phase = draw(st.sampled_from([Phase.RUNNING] * 4 + [Phase.STARTING, Phase.PENDING]))
    ready = phase is Phase.RUNNING and draw(st.sampled_from([True, True, True, False]))
    started = draw(st.sampled_from([2, 20, 45, 59] if phase is Phase.PENDING else [5, 100, 400]))
    became = draw(st.integers(0, started))
    use = st.none() | st.integers(0, 3000).map(lambda milli: milli / 1000)
    return PodInput(
        name=f"pod-{number}",
        ready=ready,
        phase=phase,
        started_at=ago(started),
        ready_at=ago(became) if ready else None,
        cpu=draw(use),
        cpu_requested=draw(st.sampled_from([1.0, 1.0, 0.5, 2.0])),
        cpu_at=ago(draw(st.integers(0, 30))),
        memory_mb=draw(st.none() | st.integers(0, 3000)),
        memory_requested_mb=draw(st.sampled_from([1000, 1000, 1000, 500, 0])),
    )


rules = st.builds(
    ScalingRules,
    stabilization_window_seconds=st.integers(0, 600),
    select_policy=st.sampled_from(Select),
    policies=st.lists(
        st.builds(
            ScalingPolicy,
            type=st.sampled_from(By),
            value=st.integers(1, 150),
            period_seconds=st.integers(1, 600),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
)
metrics = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["cpu", "memory"]), st.sampled_from([30, 50, 80, 100, 150])),
        st.tuples(st.just("external"), st.integers(1, 40)),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda each: each[0],
)


@st.composite
def situations(draw: st.DrawFn) -> Inputs:
    pods = [draw(a_pod(number)) for number in range(draw(st.integers(0, 6)))]
    least = draw(st.integers(1, 5))
    changes = draw(st.lists(st.tuples(ages, st.integers(1, 9), st.integers(1, 9)), max_size=3))
    return Inputs(
        app="chat",
        now=NOON,
        policy=Policy(
            min=least,
            max=least + draw(st.integers(0, 20)),
            metrics=tuple(metric(*each) for each in draw(metrics)),
            behavior=draw(st.none() | st.builds(Behavior, scale_up=rules, scale_down=rules)),
        ),
        spec_version=1,
        current=draw(st.integers(1, 12)),
        pods=tuple(pods),
        cluster_at=NOON,
        wants=tuple(
            Wanted(at=ago(age), replicas=want)
            for age, want in draw(st.lists(st.tuples(ages, st.integers(1, 20)), max_size=4))
        ),
        changes=tuple(
            Changed(at=ago(age), before=before, after=after) for age, before, after in changes
        ),
        signals=draw(
            st.just(())
            | st.builds(
                SignalInput,
                rule=st.just(Rule.EXTERNAL),
                name=st.just("queue"),
                value=st.integers(0, 300).map(float),
                observed_at=st.just(NOON),
            ).map(lambda each: (each,))
        ),
    )


@many
@given(situations())
def test_the_engine_decides_as_a_plain_hpa_does(of: Inputs) -> None:
    assert evaluate(of).replicas == plain(of).desired()


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


@many
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
