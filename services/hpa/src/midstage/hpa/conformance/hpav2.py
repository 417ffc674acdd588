"""Cases of Kubernetes' HPA v2, in the format of ``hpa_cases.json``, put to the engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from midstage.chassis.cases import Differing
from midstage.contracts.scaling import Proposal, Rule, Stage
from midstage.hpa.conformance.hpav2_cases import (
    Case,
    CaseBehavior,
    CaseEvent,
    CaseMetric,
    CasePast,
    CasePod,
    CaseRules,
)
from midstage.hpa.decide.hpav2 import behavior, proposing
from midstage.hpa.decide.hpav2.behavior import (
    Behavior,
    Change,
    Condition,
    Past,
    Rate,
    Recommendation,
)
from midstage.hpa.decide.hpav2.pods import Pod, Readiness, grouped
from midstage.hpa.decide.hpav2.proposing import NoMetricError, Tolerance, Want
from midstage.hpa.decide.situation import Situation
from midstage.hpa.decide.stages import chain

_LONG_AGO_S: Final = 1e9
_TESTED: Final = Readiness(initialization_s=120.0, delay_s=10.0)
"""The cases are of tests that start the controller with these."""


class Reason(StrEnum):
    """Why there is no new count, in HPA v2's words."""

    AMBIGUOUS = "AmbiguousSelector"
    DISABLED = "ScalingDisabled"
    UNKNOWN_METRIC = "InvalidMetricSourceType"
    RESOURCE = "FailedGetResourceMetric"
    PODS = "FailedGetPodsMetric"
    OBJECT = "FailedGetObjectMetric"
    EXTERNAL = "FailedGetExternalMetric"


_REASONS: Final = {
    "Resource": Reason.RESOURCE,
    "ContainerResource": Reason.RESOURCE,
    "Pods": Reason.PODS,
    "Object": Reason.OBJECT,
    "External": Reason.EXTERNAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A metric that can't be used, and why."""

    reason: Reason
    words: NoMetricError | None = None


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
    metric = CaseMetric(
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


def _want(metric: CaseMetric, current: int, tolerance: Tolerance) -> Want | Failed:
    kind, _, rest = metric.type.partition(".")
    if kind not in _REASONS:
        return Failed(reason=Reason.UNKNOWN_METRIC)
    shared = kind in ("Object", "External")
    if metric.error or (shared and not metric.metric_values_m):
        return Failed(reason=_REASONS[kind])
    try:
        how, _, of = rest.partition("(")
        if shared and how == "AverageValue":
            return _of_share(metric, current, tolerance)
        if how == "Value":
            return _of_value(metric, current, tolerance)
        return _of_pods(metric, current, tolerance, cpu=of == "cpu)", how=how)
    except NoMetricError as e:
        return Failed(reason=_REASONS[kind], words=e)


def _of_share(metric: CaseMetric, current: int, tolerance: Tolerance) -> Want:
    return proposing.by_share(
        current=current,
        value_m=sum(metric.metric_values_m),
        average_m=metric.target.average_value_m or 0,
        tolerance=tolerance,
    )


def _of_value(metric: CaseMetric, current: int, tolerance: Tolerance) -> Want:
    return proposing.by_value(
        [_pod(each) for each in metric.pods],
        current=current,
        value_m=sum(metric.metric_values_m),
        target_m=metric.target.value_m or 0,
        tolerance=tolerance,
    )


def _of_pods(
    metric: CaseMetric, current: int, tolerance: Tolerance, *, cpu: bool, how: str
) -> Want:
    pods = [_pod(each) for each in metric.pods]
    if how == "Utilization":
        return proposing.by_utilization(
            pods,
            current=current,
            percent=metric.target.average_utilization_pct or 0,
            cpu=cpu,
            tolerance=tolerance,
            readiness=_TESTED,
        )
    return proposing.by_average(
        pods,
        current=current,
        average_m=metric.target.average_value_m or 0,
        cpu=cpu,
        tolerance=tolerance,
        readiness=_TESTED,
    )


def _pod(pod: CasePod) -> Pod:
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
        "ready_count": len(groups.used),
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
    after = [each.replicas for each in behavior.remembered(wanted, earlier, longest_s=longest_s)]
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
    """A whole decision, by the chain that evaluates; what it never asks the chain is said here."""
    least, current = case.min, case.current_replicas
    if case.ambiguous_selector:
        return {"replicas": current, "scaling_active_reason": Reason.AMBIGUOUS.value}
    if current == 0 and least > 0:
        return {"replicas": 0, "scaling_active_reason": Reason.DISABLED.value}
    wants = [_want(each, current, Tolerance()) for each in case.metrics or ()]
    situation = Situation(
        current=current,
        least=least,
        most=case.max,
        proposals=tuple(map(_proposal, wants)),
        behavior=_behavior(case.behavior),
        past=Past(
            recommendations=_wants(case.prior_recommendations),
            ups=_changes(case.scale_up_events),
            downs=_changes(case.scale_down_events),
        ),
    )
    stages = {stage.name: stage for stage in chain(situation)}
    failed = [each.reason.value for each in wants if isinstance(each, Failed)]
    condition = _said(stages, "rate") or _said(stages, "bounds") or Condition.WITHIN.value
    return {
        "replicas": stages["bounds"].replicas,
        "scaling_active_reason": failed[0] if failed and situation.undecided else None,
        "able_to_scale_reason": _said(stages, "stabilise"),
        "scaling_limited_reason": condition,
        "condition": condition,
    }


def _proposal(want: Want | Failed) -> Proposal:
    if isinstance(want, Failed):
        return Proposal(rule=Rule.EXTERNAL, target=0.0, reason=want.reason.value)
    return Proposal(rule=Rule.EXTERNAL, target=0.0, want=want.replicas, reason="")


def _said(stages: Mapping[str, Stage], name: str) -> str | None:
    return (stages[name].condition or None) if name in stages else None


def _behavior(said: CaseBehavior | None) -> Behavior | None:
    if said is None:
        return None
    return Behavior(
        up=_rules(said.scale_up, behavior.DEFAULT_UP),
        down=_rules(said.scale_down, behavior.DEFAULT_DOWN),
    )


def _rules(said: CaseRules | None, default: behavior.Rules) -> behavior.Rules:
    if said is None:
        return default
    rates = tuple(
        Rate(by=each.type, value=each.value, period_s=each.period_s) for each in said.policies
    )
    window = default.stabilization_s if said.stabilization_s is None else said.stabilization_s
    return behavior.Rules(
        rates=rates or default.rates, select=said.select_policy, stabilization_s=window
    )


def _changes(events: Sequence[CaseEvent]) -> Sequence[Change]:
    return [Change(change=each.change, age_s=each.age_s) for each in events]


def _wants(past: Sequence[CasePast]) -> Sequence[Recommendation]:
    return [Recommendation(replicas=each.replicas, age_s=each.age_s) for each in past]
