"""``spec.metrics`` and ``spec.behavior`` of an ``autoscaling/v2`` manifest, in its own words.

A part of ``policy.Policy``: pasted unchanged by teams, with Kubernetes' names and quantities.
https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/
"""

import re
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import Annotated, Final

import msgspec

_QUANTITY: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d{1,2})|([a-zA-Z]{0,2}))")
_SUFFIXES: Final = {
    "": Fraction(1),
    **{name: Fraction(1, 1000**power) for power, name in enumerate("mun", 1)},
    **{name: Fraction(1000**power) for power, name in enumerate("kMGTPE", 1)},
    **{name: Fraction(1024**power) for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), 1)},
}
_MOST: Final = 2**63 - 1
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
Quantity = Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | int | float
"""``500m``, ``1.5``, ``2Gi``; a manifest may leave the quotes out."""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The base of what Kubernetes calls in camelCase."""


class MetricType(StrEnum):
    """Where a metric comes from."""

    RESOURCE = "Resource"
    CONTAINER_RESOURCE = "ContainerResource"
    PODS = "Pods"
    OBJECT = "Object"
    EXTERNAL = "External"


class TargetType(StrEnum):
    """What a target is compared with."""

    UTILIZATION = "Utilization"
    VALUE = "Value"
    AVERAGE_VALUE = "AverageValue"


class Select(StrEnum):
    """Which of several policies counts: that which lets change most, least, or no change at all."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class By(StrEnum):
    """What a policy counts in."""

    PODS = "Pods"
    PERCENT = "Percent"


class Target(Part, frozen=True, kw_only=True):
    """What a metric should be.

    ``type``: which of the others is given. ``value``: of the whole. ``averageValue``: of each
    replica. ``averageUtilization``: percent of what a pod requests.
    """

    type: TargetType
    value: Quantity | None = None
    average_value: Quantity | None = None
    average_utilization: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None


class Requirement(Part, frozen=True, kw_only=True):
    """A condition on a label.

    ``key``: the label. ``operator``: In, NotIn, Exists, DoesNotExist. ``values``: for In, NotIn.
    """

    key: _Text
    operator: _Text
    values: Annotated[tuple[str, ...], msgspec.Meta(max_length=100)] = ()


class Selector(Part, frozen=True, kw_only=True):
    """Which series of a metric count.

    ``matchLabels``: labels with these values. ``matchExpressions``: conditions on labels.
    """

    match_labels: Annotated[dict[str, str], msgspec.Meta(max_length=100)] = {}
    match_expressions: Annotated[tuple[Requirement, ...], msgspec.Meta(max_length=100)] = ()


class Identifier(Part, frozen=True, kw_only=True):
    """A metric. ``name``: as the metrics API has it. ``selector``: which of its series."""

    name: _Text
    selector: Selector | None = None


class Described(Part, frozen=True, kw_only=True):
    """An object. ``apiVersion``: its group. ``kind``: its kind. ``name``: its name."""

    kind: _Text
    name: _Text
    api_version: str = ""


class ResourceMetric(Part, frozen=True, kw_only=True):
    """What pods use of a resource. ``name``: cpu or memory. ``target``: what it should be."""

    name: _Text
    target: Target


class ContainerMetric(Part, frozen=True, kw_only=True):
    """What one container of the pods uses of a resource.

    ``name``: cpu or memory. ``container``: its name. ``target``: what it should be.
    """

    name: _Text
    container: _Text
    target: Target


class PodsMetric(Part, frozen=True, kw_only=True):
    """A value that each pod has. ``metric``: which. ``target``: what the mean should be."""

    metric: Identifier
    target: Target


class ObjectMetric(Part, frozen=True, kw_only=True):
    """A value of one object.

    ``describedObject``: which object. ``metric``: which of its values. ``target``: what it should
    be.
    """

    described_object: Described
    metric: Identifier
    target: Target


class ExternalMetric(Part, frozen=True, kw_only=True):
    """A value from outside of the cluster. ``metric``: which. ``target``: what it should be."""

    metric: Identifier
    target: Target


class Metric(Part, frozen=True, kw_only=True):
    """One metric; the field that its type names is given, and no other.

    ``type``: which one it is. ``resource``: what pods use. ``containerResource``: what one of
    their containers uses. ``pods``: a value of each pod. ``object``: of one object. ``external``:
    from outside of the cluster.
    """

    type: MetricType
    resource: ResourceMetric | None = None
    container_resource: ContainerMetric | None = None
    pods: PodsMetric | None = None
    object: ObjectMetric | None = None
    external: ExternalMetric | None = None


class ScalingPolicy(Part, frozen=True, kw_only=True):
    """At most so much change in a time.

    ``type``: pods or percent of the replicas. ``value``: how many. ``periodSeconds``: in what time.
    """

    type: By
    value: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    period_seconds: Annotated[int, msgspec.Meta(ge=1, le=1800)]


class ScalingRules(Part, frozen=True, kw_only=True):
    """How the count may change in one direction; what is left out is Kubernetes' default.

    ``stabilizationWindowSeconds``: the most cautious want of that time counts. ``selectPolicy``:
    which of the policies counts. ``policies``: how fast. ``tolerance``: how far off the target is
    no change, 0.1 is 10 %.
    """

    stabilization_window_seconds: Annotated[int, msgspec.Meta(ge=0, le=3600)] | None = None
    select_policy: Select = Select.MAX
    policies: Annotated[tuple[ScalingPolicy, ...], msgspec.Meta(max_length=100)] = ()
    tolerance: Quantity | None = None


class Behavior(Part, frozen=True, kw_only=True):
    """How the count may change. ``scaleUp``: when it grows. ``scaleDown``: when it shrinks."""

    scale_up: ScalingRules | None = None
    scale_down: ScalingRules | None = None


def exact(quantity: Quantity) -> Fraction:
    """The number that a quantity is; ValueError where it is none, or not above nothing."""
    text = repr(quantity) if isinstance(quantity, float) else str(quantity)
    found = _QUANTITY.fullmatch(text)
    suffix = found.group(3) or "" if found is not None else ""
    if found is None or suffix not in _SUFFIXES:
        raise ValueError(f"{quantity!r} is no quantity like 500m, 1.5 or 2Gi")
    number = Fraction(found.group(1)) * _SUFFIXES[suffix]
    return number * Fraction(10) ** int(found.group(2) or 0)


def milli(quantity: Quantity) -> int:
    """In thousandths, rounded up as Kubernetes does; ValueError where it is no quantity above 0."""
    found = ceil(exact(quantity) * 1000)
    if not 0 < found <= _MOST:
        raise ValueError(f"{quantity!r} is not above 0, or beyond all figures")
    return found
