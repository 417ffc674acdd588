"""Cases of Kubernetes' HPA v2, in the format of ``hpa_cases.json``, put to the engine."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from midstage.hpa.conformance.shapes import Differing, Shape
from midstage.hpa.decide.hpav2 import behavior, proposing
from midstage.hpa.decide.hpav2.behavior import Behavior, By, Change, Rate, Recommendation, Select
from midstage.hpa.decide.hpav2.pods import Phase, Pod, Readiness, grouped
from midstage.hpa.decide.hpav2.proposing import NoMetricError, Tolerance, Want
from midstage.hpa.decide.hpav2.reconciling import Bounds, Failed, Past, Reason, reconciled

_LONG_AGO_S: Final = 1e9
_TESTED: Final = Readiness(initialization_s=120.0, delay_s=10.0)
"""The cases are of tests that start the controller with these."""


class _Policy(Shape, frozen=True, kw_only=True):
    type: By
    value: int
    period_s: float


class _Rules(Shape, frozen=True, kw_only=True):
    stabilization_s: float | None = None
    select_policy: Select = Select.MAX
    policies: tuple[_Policy, ...] = ()


class _Behavior(Shape, frozen=True, kw_only=True):
    scale_up: _Rules | None = None
    scale_down: _Rules | None = None


class _Pod(Shape, frozen=True, kw_only=True):
    name: str
    phase: Phase = Phase.RUNNING
    ready: bool | None = None
    age_s: float | None = None
    deleting: bool = False
    request_m: int | None = None
    metric_m: int | None = None


class _Listed(Shape, frozen=True, kw_only=True):
    name: str
    phase: Phase = Phase.RUNNING
    deleting: bool = False
    start_age_s: float | None = None
    ready_condition: bool | None = None
    transition_age_s: float = 0.0
    metric: bool = False
    metric_age_s: float = 0.0
    window_s: float = 60.0


class _Target(Shape, frozen=True, kw_only=True):
    average_utilization_pct: int | None = None
    average_value_m: int | None = None
    value_m: int | None = None


class _Tolerance(Shape, frozen=True, kw_only=True):
    down: float = 0.1
    up: float = 0.1


class _Metric(Shape, frozen=True, kw_only=True):
    type: str
    target: _Target = _Target()
    pods: tuple[_Pod, ...] = ()
    metric_values_m: tuple[int, ...] = ()
    error: bool = False


class _Params(Shape, frozen=True, kw_only=True):
    cpu_initialization_period_s: float
    initial_readiness_delay_s: float
    resource: str


class _Past(Shape, frozen=True, kw_only=True):
    replicas: int
    age_s: float


class _Event(Shape, frozen=True, kw_only=True):
    change: int
    age_s: float


class Case(Shape, frozen=True, kw_only=True):
    """One case; which fields it has says what it asks."""

    id: str
    expected: Mapping[str, object]
    name: str = ""
    current_replicas: int = 0
    metric_type: str | None = None
    target: _Target = _Target()
    pods: tuple[_Pod, ...] = ()
    metric_values_m: tuple[int, ...] = ()
    tolerance: _Tolerance = _Tolerance()
    params: _Params | None = None
    pod_list: tuple[_Listed, ...] = ()
    min: int = 1
    max: int = proposing.MOST
    desired_by_metrics: int | None = None
    behavior: _Behavior | None = None
    scale_up_events: tuple[_Event, ...] = ()
    scale_down_events: tuple[_Event, ...] = ()
    recommendations: tuple[_Past, ...] = ()
    prior_recommendations: tuple[_Past, ...] = ()
    downscale_stabilization_s: float | None = None
    scale_up_window_s: float | None = None
    scale_down_window_s: float | None = None
    replica_change: int | None = None
    previous_events: tuple[_Event, ...] = ()
    scaling_rules: _Rules | None = None
    metrics: tuple[_Metric, ...] | None = None
    ambiguous_selector: bool = False
    group: str = ""


def judged(case: Case) -> Sequence[Differing]:
    """What of the case's expectation does not come out."""
    found = _answer(case)(case)
    return [
        Differing(field=name, expected=expected, found=found.get(name))
        for name, expected in case.expected.items()
        if found.get(name) != expected
    ]


Answer = Callable[[Case], Mapping[str, object]]


def _answer(case: Case) -> Answer:
    if case.metrics is not None:
        return _whole
    if case.metric_type is not None:
        return _proposed
    if case.params is not None:
        return _grouped
    if case.replica_change is not None:
        return _happened
    if case.scale_up_window_s is not None or case.downscale_stabilization_s is not None:
        return _stabilized
    return _limited


def _proposed(case: Case) -> Mapping[str, object]:
    metric = _Metric(
        type=case.metric_type or "",
        target=case.target,
        pods=case.pods,
        metric_values_m=case.metric_values_m,
    )
    tolerance = Tolerance(down=case.tolerance.down, up=case.tolerance.up)
    want = _want(metric, case.current_replicas, tolerance)
    if isinstance(want, Failed):
        missing = want.words is not None and "requests nothing" in str(want.words)
        return {"error": "missing request" if missing else str(want.words)}
    return {"replicas": want.replicas, "usage_m": want.usage, "utilization_pct": want.usage}


def _want(metric: _Metric, current: int, tolerance: Tolerance) -> Want | Failed:
    kind, _, rest = metric.type.partition(".")
    how, _, of = rest.partition("(")
    reasons = {
        "Resource": Reason.RESOURCE,
        "ContainerResource": Reason.RESOURCE,
        "Pods": Reason.PODS,
        "Object": Reason.OBJECT,
        "External": Reason.EXTERNAL,
    }
    if kind not in reasons:
        return Failed(reason=Reason.UNKNOWN_METRIC)
    pods, target = [_pod(each) for each in metric.pods], metric.target
    cpu = of.rstrip(")") == "cpu"
    value = sum(metric.metric_values_m)
    try:
        if metric.error or (kind in ("Object", "External") and not metric.metric_values_m):
            raise NoMetricError("the metric can't be read")
        if how == "Utilization":
            return proposing.by_utilization(
                pods,
                current=current,
                percent=target.average_utilization_pct or 0,
                cpu=cpu,
                tolerance=tolerance,
                readiness=_TESTED,
            )
        if kind in ("Object", "External") and how == "AverageValue":
            return proposing.by_share(
                current=current,
                value_m=value,
                average_m=target.average_value_m or 0,
                tolerance=tolerance,
            )
        if how == "Value":
            return proposing.by_value(
                pods,
                current=current,
                value_m=value,
                target_m=target.value_m or 0,
                tolerance=tolerance,
            )
        return proposing.by_average(
            pods,
            current=current,
            average_m=target.average_value_m or 0,
            cpu=cpu,
            tolerance=tolerance,
            readiness=_TESTED,
        )
    except NoMetricError as e:
        return Failed(reason=reasons[kind], words=e)


def _pod(pod: _Pod) -> Pod:
    started = _LONG_AGO_S if pod.age_s is None else pod.age_s
    return Pod(
        name=pod.name,
        phase=pod.phase,
        deleting=pod.deleting,
        ready=pod.ready,
        started_age_s=started,
        transition_age_s=started,
        request_m=pod.request_m,
        metric_m=pod.metric_m,
    )


def _grouped(case: Case) -> Mapping[str, object]:
    assert case.params is not None
    pods = [
        Pod(
            name=each.name,
            phase=each.phase,
            deleting=each.deleting,
            ready=each.ready_condition,
            started_age_s=each.start_age_s,
            transition_age_s=each.transition_age_s,
            metric_m=1 if each.metric else None,
            metric_age_s=each.metric_age_s,
            window_s=each.window_s,
        )
        for each in case.pod_list
    ]
    readiness = Readiness(
        initialization_s=case.params.cpu_initialization_period_s,
        delay_s=case.params.initial_readiness_delay_s,
    )
    groups = grouped(pods, cpu=case.params.resource == "cpu", readiness=readiness)
    return {
        "ready_count": groups.ready,
        "unready": sorted(groups.unready),
        "missing": sorted(groups.missing),
        "ignored": sorted(groups.ignored),
    }


def _limited(case: Case) -> Mapping[str, object]:
    found = behavior.limited(
        case.desired_by_metrics or 0,
        current=case.current_replicas,
        least=case.min,
        most=case.max,
        behavior=_behavior(case.behavior),
        ups=_changes(case.scale_up_events),
        downs=_changes(case.scale_down_events),
    )
    return {"replicas": found.replicas, "condition": found.condition.value}


def _stabilized(case: Case) -> Mapping[str, object]:
    earlier, wanted = _wants(case.recommendations), case.desired_by_metrics or 0
    if (down_s := case.downscale_stabilization_s) is not None:
        replicas, longest_s = behavior.held(wanted, earlier=earlier, down_s=down_s), down_s
    else:
        up_s, down_s = case.scale_up_window_s or 0.0, case.scale_down_window_s or 0.0
        longest_s = max(up_s, down_s)
        replicas = behavior.stabilized(
            wanted, current=case.current_replicas, earlier=earlier, up_s=up_s, down_s=down_s
        )
    after = [
        each.replicas for each in behavior.remembered(wanted, earlier, longest_s=longest_s)
    ]
    return {"replicas": replicas, "log_after": after, "log_length_after": len(after)}


def _happened(case: Case) -> Mapping[str, object]:
    assert case.scaling_rules is not None
    past = _changes(case.previous_events)
    rules = _rules(case.scaling_rules, behavior.DEFAULT_UP)
    after = behavior.happened(case.replica_change or 0, past, longest_s=rules.longest_s)
    return {
        "change_in_last_60s_before": behavior.changed_within(60.0, past),
        "events_after": [{"change": each.change, "outdated": each.outdated} for each in after],
    }


def _whole(case: Case) -> Mapping[str, object]:
    wants = [_want(each, case.current_replicas, Tolerance()) for each in case.metrics or ()]
    found = reconciled(
        wants,
        current=case.current_replicas,
        bounds=Bounds(least=case.min, most=case.max),
        behavior=_behavior(case.behavior),
        past=Past(
            recommendations=_wants(case.prior_recommendations),
            ups=_changes(case.scale_up_events),
            downs=_changes(case.scale_down_events),
        ),
        ambiguous=case.ambiguous_selector,
    )
    return {
        "replicas": found.replicas,
        "scaling_active_reason": found.inactive and found.inactive.value,
        "able_to_scale_reason": found.stabilized and found.stabilized.value,
        "scaling_limited_reason": found.condition.value,
        "condition": found.condition.value,
    }


def _behavior(said: _Behavior | None) -> Behavior | None:
    if said is None:
        return None
    return Behavior(
        up=_rules(said.scale_up, behavior.DEFAULT_UP),
        down=_rules(said.scale_down, behavior.DEFAULT_DOWN),
    )


def _rules(said: _Rules | None, default: behavior.Rules) -> behavior.Rules:
    if said is None:
        return default
    rates = tuple(
        Rate(by=each.type, value=each.value, period_s=each.period_s) for each in said.policies
    )
    window = default.stabilization_s if said.stabilization_s is None else said.stabilization_s
    return behavior.Rules(
        rates=rates or default.rates, select=said.select_policy, stabilization_s=window
    )


def _changes(events: Sequence[_Event]) -> Sequence[Change]:
    return [Change(change=each.change, age_s=each.age_s) for each in events]


def _wants(past: Sequence[_Past]) -> Sequence[Recommendation]:
    return [Recommendation(replicas=each.replicas, age_s=each.age_s) for each in past]


DECODER: Final = msgspec.json.Decoder(Case)
