"""``spec.metrics`` of a HorizontalPodAutoscaler: each metric's want, exactly as HPA v2 has it.

Values of pods, of objects and from outside come as signals, by the metric's name. A container's use
is that of its pod: midstage's pods have one.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from midstage.contracts.autoscaling import (
    ExternalMetric,
    Metric,
    MetricType,
    ObjectMetric,
    PodsMetric,
    Quantity,
    Target,
    milli,
)
from midstage.contracts.scaling import Inputs, Proposal, Rule, SignalInput
from midstage.contracts.signals import series_of
from midstage.hpa.decide import policies
from midstage.hpa.decide.figures import age_s, shown
from midstage.hpa.decide.hpav2.proposing import (
    NoMetricError,
    Want,
    by_average,
    by_share,
    by_value,
)
from midstage.hpa.decide.rules.resources import (
    READINESS,
    RULES,
    averaged,
    distinct,
    proposal,
    seen,
    thousandths,
    utilized,
)
from midstage.hpa.decide.situation import cluster_unknown

SIGNAL_STALE_S: Final = 60.0
_OF: Final = {
    MetricType.RESOURCE: Rule.CPU,
    MetricType.CONTAINER_RESOURCE: Rule.CPU,
    MetricType.PODS: Rule.PODS,
    MetricType.OBJECT: Rule.OBJECT,
    MetricType.EXTERNAL: Rule.EXTERNAL,
}


def metrics(inputs: Inputs, current: int) -> Iterator[Proposal]:
    """A proposal for each of ``spec.metrics``."""
    for metric in inputs.policy.metrics:
        yield _proposed(metric, inputs, current)


def _proposed(metric: Metric, inputs: Inputs, current: int) -> Proposal:
    resource = metric.resource or metric.container_resource
    if resource is not None:
        return _resource(resource.name, resource.target, inputs, current)
    if metric.pods is not None:
        return _signalled(Rule.PODS, metric.pods, inputs, current)
    if metric.object is not None:
        return _signalled(Rule.OBJECT, metric.object, inputs, current)
    if metric.external is not None:
        return _signalled(Rule.EXTERNAL, metric.external, inputs, current)
    return Proposal(rule=_OF[metric.type], target=0.0, reason="the metric says not which it is")


def _resource(name: str, target: Target, inputs: Inputs, current: int) -> Proposal:
    if name not in RULES:
        return Proposal(rule=Rule.CPU, name=name, target=0.0, reason="no pod's use of it is known")
    if target.average_utilization is not None:
        return utilized(inputs, name, target.average_utilization, current)
    average_m = _milli(target.average_value)
    if average_m is None:
        return Proposal(rule=RULES[name], target=0.0, reason="its target is no quantity")
    return averaged(inputs, name, average_m, current)


def _signalled(
    rule: Rule, metric: PodsMetric | ObjectMetric | ExternalMetric, inputs: Inputs, current: int
) -> Proposal:
    name, target = metric.metric.name, metric.target
    described = metric.described_object if isinstance(metric, ObjectMetric) else None
    average_m, value_m = _milli(target.average_value), _milli(target.value)
    target_m = value_m if average_m is None else average_m
    if target_m is None:
        return Proposal(rule=rule, name=name, target=0.0, reason="its target is no quantity")
    try:
        signal = named(inputs, rule, name, series_of(metric.metric, described))
        if rule is Rule.PODS:
            want = _of_pods(signal, inputs, target_m, current)
        else:
            want = _of_one(signal, inputs, average_m=average_m, value_m=value_m, current=current)
    except NoMetricError as e:
        return Proposal(rule=rule, name=name, target=target_m / 1000, reason=str(e))
    each = "" if average_m is None else " each"
    said = f"{shown(want.usage / 1000)}{each}, {shown(target_m / 1000)} wanted"
    return proposal(
        rule, want, carried=want.usage / 1000, target=target_m / 1000, reason=said, name=name
    )


def _of_pods(signal: SignalInput, inputs: Inputs, average_m: int, current: int) -> Want:
    return by_average(
        distinct([seen(pod, thousandths(signal.by_pod.get(pod.name))) for pod in inputs.pods]),
        current=current,
        average_m=average_m,
        cpu=False,
        tolerance=policies.tolerance(inputs.policy),
        readiness=READINESS,
    )


def _of_one(
    signal: SignalInput, inputs: Inputs, *, average_m: int | None, value_m: int | None, current: int
) -> Want:
    value = thousandths(signal.value)
    if value is None:
        raise NoMetricError("its value is not known")
    tolerance = policies.tolerance(inputs.policy)
    if average_m is not None:
        return by_share(current=current, value_m=value, average_m=average_m, tolerance=tolerance)
    why_not = cluster_unknown(inputs)
    if why_not is not None:
        raise NoMetricError(why_not)
    pods = [seen(pod) for pod in inputs.pods]
    return by_value(
        pods, current=current, value_m=value, target_m=value_m or 1, tolerance=tolerance
    )


def named(inputs: Inputs, rule: Rule, name: str, series: str = "") -> SignalInput:
    """The signal, seen lately; NoMetricError where there is none."""
    which = (rule, name, series)
    found = [each for each in inputs.signals if (each.rule, each.name, each.series) == which]
    if not found:
        raise NoMetricError("nobody says it")
    age = age_s(found[0].observed_at, inputs.now)
    if age > SIGNAL_STALE_S:
        raise NoMetricError(f"it was seen {age:.0f} s ago")
    return found[0]


@lru_cache(maxsize=4096, typed=True)
def _milli(quantity: Quantity | None) -> int | None:
    """Kept, for a policy says the same ones each time; 2.0**60 is another text than 2**60."""
    try:
        return None if quantity is None else milli(quantity)
    except ValueError:
        return None  # deploy refuses it; an older spec may still say it
