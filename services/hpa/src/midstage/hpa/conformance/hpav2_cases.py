"""The format of ``hpa_cases.json``: milli-units, and ages in seconds."""

from collections.abc import Mapping
from typing import Final

import msgspec

from midstage.chassis.cases import Shape
from midstage.contracts.autoscaling import By, Select
from midstage.hpa.decide.hpav2.pods import Phase
from midstage.hpa.decide.hpav2.proposing import MOST


class CasePolicy(Shape, frozen=True, kw_only=True):
    """At most so much change in a time."""

    type: By
    value: int
    period_s: float


class CaseRules(Shape, frozen=True, kw_only=True):
    """One direction's rules."""

    stabilization_s: float | None = None
    select_policy: Select = Select.MAX
    policies: tuple[CasePolicy, ...] = ()


class CaseBehavior(Shape, frozen=True, kw_only=True):
    """Both directions' rules."""

    scale_up: CaseRules | None = None
    scale_down: CaseRules | None = None


class CasePod(Shape, frozen=True, kw_only=True):
    """A pod with what it requests and uses."""

    name: str
    phase: Phase = Phase.RUNNING
    ready: bool | None = None
    age_s: float | None = None
    deleting: bool = False
    request_m: int | None = None
    metric_m: int | None = None


class CaseListed(Shape, frozen=True, kw_only=True):
    """A pod of a case about grouping."""

    name: str
    phase: Phase = Phase.RUNNING
    deleting: bool = False
    start_age_s: float | None = None
    ready_condition: bool | None = None
    transition_age_s: float = 0.0
    metric: bool = False
    metric_age_s: float = 0.0
    window_s: float = 60.0


class CaseTarget(Shape, frozen=True, kw_only=True):
    """What a metric should be."""

    average_utilization_pct: int | None = None
    average_value_m: int | None = None
    value_m: int | None = None


class CaseTolerance(Shape, frozen=True, kw_only=True):
    """How far off is no change."""

    down: float = 0.1
    up: float = 0.1


class CaseMetric(Shape, frozen=True, kw_only=True):
    """A metric of a whole decision."""

    type: str
    target: CaseTarget = CaseTarget()
    pods: tuple[CasePod, ...] = ()
    metric_values_m: tuple[int, ...] = ()
    error: bool = False


class CaseParams(Shape, frozen=True, kw_only=True):
    """What the controller was started with."""

    cpu_initialization_period_s: float
    initial_readiness_delay_s: float
    resource: str


class CasePast(Shape, frozen=True, kw_only=True):
    """An earlier want."""

    replicas: int
    age_s: float


class CaseEvent(Shape, frozen=True, kw_only=True):
    """An earlier change."""

    change: int
    age_s: float


class Case(Shape, frozen=True, kw_only=True):
    """One case; which fields it has says what it asks."""

    id: str
    expected: Mapping[str, object]
    name: str = ""
    current_replicas: int = 0
    metric_type: str | None = None
    target: CaseTarget = CaseTarget()
    pods: tuple[CasePod, ...] = ()
    metric_values_m: tuple[int, ...] = ()
    tolerance: CaseTolerance = CaseTolerance()
    params: CaseParams | None = None
    pod_list: tuple[CaseListed, ...] = ()
    min: int = 1
    max: int = MOST
    desired_by_metrics: int | None = None
    behavior: CaseBehavior | None = None
    scale_up_events: tuple[CaseEvent, ...] = ()
    scale_down_events: tuple[CaseEvent, ...] = ()
    recommendations: tuple[CasePast, ...] = ()
    prior_recommendations: tuple[CasePast, ...] = ()
    downscale_stabilization_s: float | None = None
    scale_up_window_s: float | None = None
    scale_down_window_s: float | None = None
    replica_change: int | None = None
    previous_events: tuple[CaseEvent, ...] = ()
    scaling_rules: CaseRules | None = None
    metrics: tuple[CaseMetric, ...] | None = None
    ambiguous_selector: bool = False
    group: str = ""


DECODER: Final = msgspec.json.Decoder(Case)
