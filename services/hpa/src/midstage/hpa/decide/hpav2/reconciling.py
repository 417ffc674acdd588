"""One whole decision of HPA v2: from all metrics of a workload to its count.

The largest want counts. A metric that can't be used never lets the count fall: where one fails and
the others want fewer, and where all fail, the count stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from midstage.hpa.decide.hpav2.behavior import (
    Behavior,
    Change,
    Condition,
    Recommendation,
    held,
    limited,
    stabilized,
)
from midstage.hpa.decide.hpav2.proposing import NoMetricError, Want

DOWN_S: Final = 300.0
"""The window of the rules of before ``Behavior``; a default of kube-controller-manager."""


class Reason(StrEnum):
    """Why there is no new count, or why it was held, in HPA v2's words."""

    AMBIGUOUS = "AmbiguousSelector"
    DISABLED = "ScalingDisabled"
    UNKNOWN_METRIC = "InvalidMetricSourceType"
    RESOURCE = "FailedGetResourceMetric"
    PODS = "FailedGetPodsMetric"
    OBJECT = "FailedGetObjectMetric"
    EXTERNAL = "FailedGetExternalMetric"
    UP_STABILIZED = "ScaleUpStabilized"
    DOWN_STABILIZED = "ScaleDownStabilized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A metric that can't be used now, and why."""

    reason: Reason
    words: NoMetricError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The least and the most replicas."""

    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What was wanted, and how the count changed by direction; ages are seconds before now."""

    recommendations: Sequence[Recommendation] = ()
    ups: Sequence[Change] = ()
    downs: Sequence[Change] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The count; ``wanted`` by metrics (None: none could say), and what kept it from that."""

    replicas: int
    wanted: int | None = None
    inactive: Reason | None = None
    stabilized: Reason | None = None
    condition: Condition = Condition.WITHIN


def reconciled(
    metrics: Sequence[Want | Failed],
    *,
    current: int,
    bounds: Bounds,
    behavior: Behavior | None,
    past: Past,
    ambiguous: bool = False,
) -> Decided:
    """The count that HPA v2 would set now."""
    if ambiguous:
        return Decided(replicas=current, inactive=Reason.AMBIGUOUS)
    if current == 0 and bounds.least > 0:
        return Decided(replicas=0, inactive=Reason.DISABLED)
    if current > bounds.most:
        return Decided(replicas=bounds.most, condition=Condition.TOO_MANY)
    if current < bounds.least:
        return Decided(replicas=bounds.least, condition=Condition.TOO_FEW)
    failed = [each for each in metrics if isinstance(each, Failed)]
    wants = [each.replicas for each in metrics if isinstance(each, Want)]
    if not wants or (failed and max(wants) < current):
        return Decided(replicas=current, inactive=failed[0].reason if failed else None)
    wanted = max(wants)
    steady, why = _steady(wanted, current=current, behavior=behavior, past=past)
    final = limited(
        steady,
        current=current,
        least=bounds.least,
        most=bounds.most,
        behavior=behavior,
        ups=past.ups,
        downs=past.downs,
    )
    return Decided(
        replicas=final.replicas, wanted=wanted, stabilized=why, condition=final.condition
    )


def _steady(
    wanted: int, *, current: int, behavior: Behavior | None, past: Past
) -> tuple[int, Reason | None]:
    if behavior is None:
        steady = held(wanted, earlier=past.recommendations, down_s=DOWN_S)
    else:
        steady = stabilized(
            wanted,
            current=current,
            earlier=past.recommendations,
            up_s=behavior.up.stabilization_s,
            down_s=behavior.down.stabilization_s,
        )
    if steady == wanted:
        return steady, None
    return steady, Reason.DOWN_STABILIZED if wanted < steady else Reason.UP_STABILIZED
