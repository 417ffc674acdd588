"""A manifest's metrics as proposals: which input each goes by, and when it knows nothing."""

from datetime import timedelta

import msgspec
import pytest

from midstage.contracts.autoscaling import (
    Behavior,
    By,
    Metric,
    MetricType,
    ScalingPolicy,
    ScalingRules,
    milli,
)
from midstage.contracts.cluster import Phase
from midstage.contracts.policy import Policy, Targets
from midstage.contracts.scaling import Inputs, Proposal, Rule, SignalInput
from midstage.hpa.decide import policies
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.rules.metrics import metrics
from midstage.hpa.decide.rules.resources import thousandths
from midstage.testkit.clock import NOON
from tests.hpa.engine import ago, changed, inputs, pods, policy

QUEUE = '{"type": "External", "external": {"metric": {"name": "queue"}, "target": %s}}'
SESSIONS = '{"type": "Pods", "pods": {"metric": {"name": "sessions"}, "target": %s}}'
OBJECT = (
    '{"type": "Object", "object": {"metric": {"name": "queue"}, "target": %s,'
    ' "describedObject": {"kind": "Ingress", "name": "main"}}}'
)
NO_VALUE = '{"type": "AverageValue", "averageValue": "some"}'
EACH_30 = '{"type": "AverageValue", "averageValue": "30"}'


def metric(text: str) -> Metric:
    return msgspec.json.decode(text, type=Metric)


def resource(name: str, target: str) -> Metric:
    return metric(f'{{"type": "Resource", "resource": {{"name": "{name}", "target": {target}}}}}')


def signal(value: float | None, *, age_s: float = 5) -> SignalInput:
    at = NOON - timedelta(seconds=age_s)
    return SignalInput(rule=Rule.EXTERNAL, name="queue", value=value, observed_at=at)


def of(*said: Metric, **rest: object) -> Inputs:
    return inputs(policy=policy(targets=Targets(), metrics=said), **rest)


def proposed(given: Inputs, current: int = 4) -> Proposal:
    [found] = metrics(given, current)
    return found


@pytest.mark.parametrize(
    ("quantity", "thousandths"),
    [
        ("500m", 500),
        ("1", 1000),
        (2, 2000),
        (1.5, 1500),
        ("1.5Gi", 1_610_612_736_000),
        ("10k", 10_000_000),
        ("1e3", 1_000_000),
        ("1n", 1),
        (".5", 500),
        ("1E", 10**21 // 1000 * 1000),
    ],
)
def test_quantities_are_those_of_kubernetes(quantity: str | int | float, thousandths: int) -> None:
    if thousandths > 2**63 - 1:
        with pytest.raises(ValueError, match="beyond all figures"):
            milli(quantity)
    else:
        assert milli(quantity) == thousandths


def test_an_external_average_is_shared_by_replicas() -> None:
    said = proposed(of(metric(QUEUE % EACH_30), signals=(signal(200),)))
    assert (said.rule, said.name, said.want) == (Rule.EXTERNAL, "queue", 7)
    assert said.reason == "50 each, 30 wanted"


def test_a_value_goes_by_the_ready_pods() -> None:
    whole = metric(QUEUE % '{"type": "Value", "value": "100"}')
    assert proposed(of(whole, signals=(signal(200),), pods=pods(3, starting=1))).want == 6
    assert proposed(of(whole, signals=(signal(105),))).want == 4


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        ((), "nobody says it"),
        ((signal(None),), "its value is not known"),
        ((signal(float("nan")),), "its value is not known"),
        ((signal(-1),), "its value is not known"),
        ((signal(200, age_s=61),), "it was seen 61 s ago"),
    ],
)
def test_a_signal_that_is_missing_old_or_broken_is_unknown(
    signals: tuple[SignalInput, ...], reason: str
) -> None:
    blind = of(metric(QUEUE % EACH_30), signals=signals)
    assert (proposed(blind).want, proposed(blind).reason) == (None, reason)
    assert evaluate(blind).replicas == 4


def test_a_signal_is_known_for_a_minute_and_else_its_target_is_still_told() -> None:
    assert proposed(of(metric(QUEUE % EACH_30), signals=(signal(200, age_s=60),))).want == 7
    assert proposed(of(metric(QUEUE % EACH_30))).target == 30


def test_a_value_of_an_object_is_that_of_the_object() -> None:
    whole = metric(OBJECT % '{"type": "Value", "value": "100"}')
    said = SignalInput(
        rule=Rule.OBJECT, name="queue", series="Ingress/main", value=200, observed_at=NOON
    )
    found = proposed(of(whole, signals=(said,)))
    assert (found.rule, found.want, found.reason) == (Rule.OBJECT, 8, "200, 100 wanted")
    away = of(whole, signals=(said,), cluster_at=None)
    assert (proposed(away).want, proposed(away).reason) == (None, "the cluster can't be asked")


@pytest.mark.parametrize(
    ("said", "rule", "reason"),
    [
        (Metric(type=MetricType.PODS), Rule.PODS, "the metric says not which it is"),
        (Metric(type=MetricType.EXTERNAL), Rule.EXTERNAL, "the metric says not which it is"),
        (resource("disk", EACH_30), Rule.CPU, "no pod's use of it is known"),
        (resource("memory", NO_VALUE), Rule.MEMORY, "its target is no quantity"),
        (metric(QUEUE % NO_VALUE), Rule.EXTERNAL, "its target is no quantity"),
        (metric(SESSIONS % NO_VALUE), Rule.PODS, "its target is no quantity"),
    ],
)
def test_a_metric_that_can_not_be_read_is_unknown(said: Metric, rule: Rule, reason: str) -> None:
    found = proposed(of(said, signals=(signal(200),)))
    assert (found.rule, found.want, found.target, found.reason) == (rule, None, 0, reason)


def test_of_a_value_of_pods_it_counts_not_whether_they_are_ready() -> None:
    each = SignalInput(
        rule=Rule.PODS,
        name="sessions",
        by_pod={"pod-0": 60, "pod-1": 60, "pod-2": 60},
        observed_at=NOON,
    )
    given = of(metric(SESSIONS % EACH_30), signals=(each,), pods=pods(2, starting=1))
    assert proposed(given).want == 6


@pytest.mark.parametrize(
    ("amount", "found"),
    [
        (None, None),
        (float("nan"), None),
        (-0.001, None),
        (0.0, 0),
        (0.0004, 0),
        (2.5, 2500),
        (1e15, 10**18),
        (1.1e15, None),
    ],
)
def test_thousandths_are_whole_and_of_what_can_be(amount: float | None, found: int | None) -> None:
    assert thousandths(amount) == found


def test_a_value_of_pods_is_their_mean_and_without_a_pod_it_is_guessed() -> None:
    each = SignalInput(
        rule=Rule.PODS,
        name="sessions",
        by_pod={"pod-0": 60, "pod-1": 60, "pod-2": 60, "another": 9000},
        observed_at=NOON,
    )
    said = proposed(of(metric(SESSIONS % EACH_30), signals=(each,)))
    assert (said.rule, said.name, said.want) == (Rule.PODS, "sessions", 6)


def test_memory_and_gpus_go_by_what_pods_request() -> None:
    def using(**use: object) -> Inputs:
        held = tuple(msgspec.structs.replace(each, **use) for each in pods(4, cpu=0.1))
        return of(
            resource("memory", '{"type": "Utilization", "averageUtilization": 50}'), pods=held
        )

    full = using(memory_mb=900.0, memory_requested_mb=1000)
    assert proposed(full).want == 8
    gpu = resource("nvidia.com/gpu", '{"type": "Utilization", "averageUtilization": 45}')
    busy = using(gpu=0.9, gpus_requested=2)
    busy = msgspec.structs.replace(busy, policy=policy(metrics=(gpu,)))
    assert (proposed(busy).rule, proposed(busy).want) == (Rule.GPU, 8)
    amount = resource("memory", '{"type": "AverageValue", "averageValue": "450Mi"}')
    each = proposed(msgspec.structs.replace(full, policy=policy(metrics=(amount,))))
    assert (each.want, each.target, each.carried) == (8, 450 * 2**20, 900 * 2**20)
    assert each.reason == "the ready pods use 943718400 each, 471859200 wanted"


def test_by_an_amount_of_cpu_a_starting_pod_is_idle() -> None:
    third = resource("cpu", '{"type": "AverageValue", "averageValue": "300m"}')
    [new] = [msgspec.structs.replace(each, ready=False, name="new") for each in pods(1, cpu=0.6)]
    starts = msgspec.structs.replace(new, phase=Phase.STARTING)
    assert proposed(of(third, pods=(*pods(2, cpu=0.6), starts))).want == 4
    # one that was ready once counts
    assert proposed(of(third, pods=(*pods(2, cpu=0.6), new))).want == 6


def test_the_tolerance_of_a_behavior_is_by_direction() -> None:
    behavior = Behavior(scale_up=ScalingRules(tolerance="0.3"), scale_down=ScalingRules())
    wide = of(metric(QUEUE % EACH_30), signals=(signal(150),))
    assert proposed(wide).want == 5
    said = msgspec.structs.replace(wide.policy, behavior=behavior)
    assert proposed(msgspec.structs.replace(wide, policy=said)).want == 4
    few = msgspec.structs.replace(wide, policy=said, signals=(signal(100),))
    assert proposed(few).want == 4


def test_without_a_behavior_the_count_changes_as_it_did_before_there_was_one() -> None:
    """At most twice the replicas or four at once, and five minutes' largest want."""
    bare = policy(max=100, targets=Targets(), metrics=(metric(QUEUE % EACH_30),), **default())
    up = inputs(policy=bare, signals=(signal(3000),), current=3, pods=pods(3))
    assert evaluate(up).replicas == 6
    down = inputs(policy=bare, signals=(signal(30),), wants=(ago(300, 4),))
    assert evaluate(down).replicas == 4
    assert evaluate(msgspec.structs.replace(down, wants=(ago(300.5, 4),))).replicas == 1


def test_a_behavior_limits_by_what_has_changed_already() -> None:
    slow = ScalingRules(policies=(ScalingPolicy(type=By.PODS, value=3, period_seconds=60),))
    limited = policy(
        max=100,
        targets=Targets(),
        metrics=(metric(QUEUE % EACH_30),),
        behavior=Behavior(scale_up=slow),
        **default(),
    )
    busy = inputs(policy=limited, signals=(signal(3000),), changes=(changed(50, 2, 4),))
    assert evaluate(busy).replicas == 5
    assert evaluate(msgspec.structs.replace(busy, changes=(changed(61, 2, 4),))).replicas == 7


def test_the_short_form_becomes_a_behavior() -> None:
    short = policies.behavior(policy(stabilise_up_s=5, stabilise_down_s=9))
    assert short is not None
    assert (short.up.stabilization_s, short.down.stabilization_s) == (5, 9)
    assert [each.by for each in short.up.rates] == [By.PODS, By.PERCENT]


def default() -> dict[str, object]:
    """The short form as nobody wrote it."""
    bare = Policy(max=1)
    names = ("up", "down", "stabilise_up_s", "stabilise_down_s")
    return {name: getattr(bare, name) for name in names}
