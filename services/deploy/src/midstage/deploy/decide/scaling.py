"""What a scaling policy must not say: contradictions, and what no rule could ever go by.

Each objection is a sentence that begins with the path of the field, like ``scaling.min``.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from cronsim import CronSim, CronSimError

from midstage.contracts.apps import AppSpec
from midstage.contracts.autoscaling import (
    Metric,
    MetricType,
    Quantity,
    ScalingRules,
    Target,
    TargetType,
    exact,
    milli,
)
from midstage.contracts.policy import Policy
from midstage.contracts.timed import Timed, TimedError, checked
from midstage.deploy.decide import signals

_CRON_FIELDS: Final = 5
_RESOURCES: Final = ("cpu", "memory", "nvidia.com/gpu", "nvidia.com/gpu.memory")
_PART: Final = {
    MetricType.RESOURCE: "resource",
    MetricType.CONTAINER_RESOURCE: "containerResource",
    MetricType.PODS: "pods",
    MetricType.OBJECT: "object",
    MetricType.EXTERNAL: "external",
}
_TARGETS: Final = {
    MetricType.RESOURCE: (TargetType.UTILIZATION, TargetType.AVERAGE_VALUE),
    MetricType.CONTAINER_RESOURCE: (TargetType.UTILIZATION, TargetType.AVERAGE_VALUE),
    MetricType.PODS: (TargetType.AVERAGE_VALUE,),
    MetricType.OBJECT: (TargetType.VALUE, TargetType.AVERAGE_VALUE),
    MetricType.EXTERNAL: (TargetType.VALUE, TargetType.AVERAGE_VALUE),
}
_FIELDS: Final = {
    TargetType.UTILIZATION: "averageUtilization",
    TargetType.VALUE: "value",
    TargetType.AVERAGE_VALUE: "averageValue",
}


def objections(spec: AppSpec) -> Iterator[str]:
    """All that is wrong with its policy."""
    policy = spec.scaling
    if policy is None:
        return
    yield from _counts(spec, policy)
    yield from _forms(policy)
    for number, metric in enumerate(policy.metrics):
        yield from _metric(metric, f"scaling.metrics[{number}]")
    if policy.behavior is not None:
        yield from _tolerance(policy.behavior.scale_up, "scaling.behavior.scaleUp")
        yield from _tolerance(policy.behavior.scale_down, "scaling.behavior.scaleDown")
    yield from signals.objections(policy)
    yield from _timed(policy)
    yield from _latency(policy)
    yield from _fallback(policy)
    yield from _forecast(policy)


def _counts(spec: AppSpec, policy: Policy) -> Iterator[str]:
    if policy.min > policy.max:
        yield f"scaling.min: {policy.min} is more than scaling.max {policy.max}"
    elif not policy.min <= spec.replicas <= policy.max:
        yield f"replicas: {spec.replicas} is not within scaling {policy.min} to {policy.max}"
    if policy.min < policy.max and not policy.up.pods and not policy.up.percent:
        yield "scaling.up: neither pods nor percent lets it ever grow"


def _forms(policy: Policy) -> Iterator[str]:
    """One way to say by what to scale at least, and one to say how fast at most."""
    without = type(policy)(max=policy.max)
    by_nothing = policy.targets == without.targets and not policy.metrics and not policy.signals
    if by_nothing and policy.knative is None and not policy.timed and policy.latency is None:
        yield (
            "scaling.targets: no target is given, so nothing would ever scale; give "
            "requests_per_s, concurrency, cpu, memory, gpu or gpu_memory, or metrics, signals, "
            "knative, latency or timed"
        )
    given = [
        name
        for name in ("up", "down", "stabilise_up_s", "stabilise_down_s")
        if getattr(policy, name) != getattr(without, name)
    ]
    for other, there in (("behavior", policy.behavior), ("knative", policy.knative)):
        if there is not None:
            for name in given:
                yield f"scaling.{name}: {other} says how fast already; give one of both"
    if policy.knative is not None and policy.behavior is not None:
        yield "scaling.behavior: knative limits and delays by itself; give one of both"


def _metric(metric: Metric, path: str) -> Iterator[str]:
    parts = {
        MetricType.RESOURCE: metric.resource,
        MetricType.CONTAINER_RESOURCE: metric.container_resource,
        MetricType.PODS: metric.pods,
        MetricType.OBJECT: metric.object,
        MetricType.EXTERNAL: metric.external,
    }
    for kind, part in parts.items():
        if part is not None and kind is not metric.type:
            yield f"{path}.{_PART[kind]}: is not what a metric of type {metric.type.value} has"
    found = parts[metric.type]
    if found is None:
        yield f"{path}.{_PART[metric.type]}: is missing, the type is {metric.type.value}"
        return
    where = f"{path}.{_PART[metric.type]}"
    resource = metric.resource or metric.container_resource
    if resource is not None and resource.name not in _RESOURCES:
        yield f"{where}.name: {resource.name!r} is none of {', '.join(_RESOURCES)}"
    yield from _target(found.target, metric.type, f"{where}.target")


def _target(target: Target, kind: MetricType, path: str) -> Iterator[str]:
    if target.type not in _TARGETS[kind]:
        can = " or ".join(each.value for each in _TARGETS[kind])
        yield f"{path}.type: a metric of type {kind.value} has {can}, not {target.type.value}"
        return
    values: dict[TargetType, Quantity | None] = {
        TargetType.UTILIZATION: target.average_utilization,
        TargetType.VALUE: target.value,
        TargetType.AVERAGE_VALUE: target.average_value,
    }
    for of, value in values.items():
        where = f"{path}.{_FIELDS[of]}"
        if value is None and of is target.type:
            yield f"{where}: is missing, the type is {of.value}"
        elif value is not None and of is not target.type:
            yield f"{where}: is not what a target of type {target.type.value} has"
        elif value is not None:
            yield from _quantity(value, where)


def _quantity(value: Quantity, path: str) -> Iterator[str]:
    try:
        milli(value)
    except ValueError as e:
        yield f"{path}: {e}"


def _tolerance(rules: ScalingRules | None, path: str) -> Iterator[str]:
    if rules is None or rules.tolerance is None:
        return
    try:
        exact(rules.tolerance)
    except ValueError as e:
        yield f"{path}.tolerance: {e}"


def _timed(policy: Policy) -> Iterator[str]:
    for name, times in Counter(rule.name for rule in policy.timed).items():
        if times > 1:
            yield f"scaling.timed: {times} rules are called {name!r}"
    for number, rule in enumerate(policy.timed):
        path = f"scaling.timed[{number}]"
        try:
            _checked_cron(checked(rule))
        except TimedError as e:
            yield f"{path}.{e.field}: {e}"
        if rule.floor is not None and rule.floor > policy.max:
            yield f"{path}.floor: {rule.floor} is more than scaling.max {policy.max}"
        if rule.ceiling is not None and rule.ceiling < policy.min:
            yield f"{path}.ceiling: {rule.ceiling} is less than scaling.min {policy.min}"


def _checked_cron(rule: Timed) -> None:
    if not rule.cron:
        return
    if len(rule.cron.split()) != _CRON_FIELDS:
        raise TimedError("cron", "has five fields: minute, hour, day, month, day of the week")
    try:
        CronSim(rule.cron, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as e:
        raise TimedError("cron", f"can't be read: {e}") from e


def _latency(policy: Policy) -> Iterator[str]:
    said = policy.latency
    if said is not None and said.p99_ms is None and said.ttft_p99_ms is None:
        yield "scaling.latency: give p99_ms or ttft_p99_ms"


def _fallback(policy: Policy) -> Iterator[str]:
    fallback = policy.fallback
    if fallback is None:
        return
    if fallback.static is not None and fallback.at_least is not None:
        yield "scaling.fallback: give one of static and at_least, not both"
    for name in ("static", "at_least"):
        count: int | None = getattr(fallback, name)
        if count is not None and not policy.min <= count <= policy.max:
            yield (
                f"scaling.fallback.{name}: {count} is not within scaling "
                f"{policy.min} to {policy.max}"
            )


def _forecast(policy: Policy) -> Iterator[str]:
    """It goes by the past of a total, and no other measure is one."""
    targets = policy.targets
    by_total = targets.requests_per_s is not None or targets.concurrency is not None
    if policy.forecast is not None and not by_total:
        yield (
            "scaling.forecast: it expects what requests_per_s or concurrency carried on earlier "
            "days; give one of them in scaling.targets"
        )
