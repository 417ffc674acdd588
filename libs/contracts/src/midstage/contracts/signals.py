"""What waits, or is measured, beside load and pods: queues, consumer lags, custom metrics.

``Signal`` is a part of a scaling policy, ``SignalObserved`` a fact of ``midstage.signals.v1``,
written by control. A signal is told from others by application, kind, name and series; of several
sources the newest counts. What a source does not know it does not say: unknown is not zero.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from midstage.contracts.autoscaling import Described, Identifier, Requirement
from midstage.contracts.fact import Fact, Name

SIGNAL_OBSERVED = "dev.midstage.signal.observed.v1"
MOST: Final = 1e15
"""A larger value is a broken source's."""

_Value = Annotated[float, msgspec.Meta(ge=0, le=MOST)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
SignalName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._:/-]{0,251}\w)?$")]


class Signal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What waits under a name, and how much of it one replica should have or how soon it is done.

    ``target``: so much for each replica. ``drain_s``: what waits, and what comes meanwhile, is done
    in that time. ``rate``: what one replica does a second, else what a consumer was seen to do
    while work waited. ``partitions``: more replicas than that have nothing to do, 0 is no cap, and
    of a group it is else the partitions of its topics. ``group``: the Kafka consumer group whose
    lag it is, else somebody sends it. ``topics``: those that the group reads.
    """

    target: Annotated[float, msgspec.Meta(gt=0, le=MOST)] | None = None
    drain_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] | None = None
    rate: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] | None = None
    partitions: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    group: Annotated[str, msgspec.Meta(max_length=253)] = ""
    topics: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=20)] = ()


class SignalKind(StrEnum):
    """What a signal is of: the first three as HPA v2 has them."""

    PODS = "pods"
    OBJECT = "object"
    EXTERNAL = "external"
    LAG = "lag"
    QUEUE = "queue"


class PartitionLag(msgspec.Struct, frozen=True, kw_only=True):
    """How far a consumer group is behind in one partition.

    ``lag`` records from ``committed``, but not from before ``beginning``, the oldest that is held,
    to ``end``.
    """

    topic: Name
    number: _Count
    committed: _Count
    beginning: _Count
    end: _Count
    lag: _Count


class SignalObserved(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """A signal had a value.

    ``series`` says which one where a metric has several: a selector, an object before it. ``value``
    is of the whole, or ``by_pod`` of each; of a lag it is the sum over ``partitions``.
    ``arrived_per_s``: what comes in, where the source knows. ``consumers``: the members of the
    group that have a partition; None: not known.
    """

    app: Name
    kind: SignalKind
    name: Name
    series: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    source: Name
    observed_at: Annotated[datetime, msgspec.Meta(tz=True)]
    value: _Value | None = None
    by_pod: dict[str, _Value] = {}
    arrived_per_s: _Value | None = None
    consumers: _Count | None = None
    partitions: tuple[PartitionLag, ...] = ()


def series_of(metric: Identifier, described: Described | None = None) -> str:
    """Which series of ``metric`` is meant, the same text for the same selector."""
    of = "" if described is None else f"{described.kind}/{described.name}"
    return " ".join(filter(None, (of, selected(metric))))


def series_of_lag(signal: Signal) -> str:
    """Which group's lag a policy means; empty where it is no lag."""
    return f"{signal.group} {','.join(sorted(signal.topics))}" if signal.group else ""


def selected(metric: Identifier) -> str:
    """Its selector as Kubernetes' API takes it, ordered; empty: all series."""
    if metric.selector is None:
        return ""
    equal = [f"{key}={value}" for key, value in metric.selector.match_labels.items()]
    return ",".join(sorted(equal + [_condition(it) for it in metric.selector.match_expressions]))


def _condition(said: Requirement) -> str:
    values = ",".join(sorted(said.values))
    match said.operator:
        case "In":
            return f"{said.key} in ({values})"
        case "NotIn":
            return f"{said.key} notin ({values})"
        case "Exists":
            return said.key
        case "DoesNotExist":
            return f"!{said.key}"
        case other:
            return f"{said.key} {other} ({values})"  # no such operator: nobody will know the series
