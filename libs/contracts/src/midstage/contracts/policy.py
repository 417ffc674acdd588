"""How an application scales: by what, within which bounds, how fast, by what clock.

A part of its spec; written by teams, carried in ``midstage.apps.v1``, evaluated by hpa.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from midstage.contracts.autoscaling import Behavior, Metric
from midstage.contracts.capacity import Latency
from midstage.contracts.forecast import Forecast
from midstage.contracts.signals import Signal, SignalName
from midstage.contracts.timed import Timed

Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Target = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
Share = Annotated[float, msgspec.Meta(gt=0, le=10)]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The base of a policy's parts; deploy refuses unknown fields, readers ignore them."""


class Targets(Part, frozen=True, kw_only=True):
    """What one ready replica should carry; the largest want wins, None is no rule.

    ``requests_per_s``: requests ended a second. ``concurrency``: requests in flight and pending.
    ``cpu``: the share of its requested cores that it uses, in whole percent, 0.6 is 60 %.
    ``memory``: the share of the memory that it requests.
    ``gpu``: the share of its GPUs' time. ``gpu_memory``: the share of their memory.
    """

    requests_per_s: Target | None = None
    concurrency: Target | None = None
    cpu: Share | None = None
    memory: Share | None = None
    gpu: Share | None = None
    gpu_memory: Share | None = None


class Rate(Part, frozen=True, kw_only=True):
    """In ``period_s`` at most ``pods`` or ``percent`` of the replicas, whichever lets more."""

    pods: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 4
    percent: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 100.0
    period_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 15.0


class Measure(StrEnum):
    """What Knative scales by."""

    CONCURRENCY = "concurrency"
    RPS = "rps"


class Knative(Part, frozen=True, kw_only=True):
    """Knative's pod autoscaler, with its defaults; it limits and delays by itself.

    ``metric``: requests in flight and pending, or ended a second. ``target``: what one replica can
    carry. ``utilization``: the share of it that it should carry. ``stable_window_s``: what is
    carried is the mean of that time. ``panic_window_percent``: the part of it that a burst shows
    in. ``panic_threshold_percent``: from so much of what the ready ones should carry on it only
    grows. ``max_scale_up_rate``, ``max_scale_down_rate``: at most times, and through, so many at
    once. ``scale_down_delay_s``: the largest want of that time counts. ``activation_scale``: with
    any load at least so many.
    """

    metric: Measure = Measure.CONCURRENCY
    target: Target = 100.0
    utilization: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.7
    stable_window_s: Annotated[int, msgspec.Meta(ge=6, le=600)] = 60
    panic_window_percent: Annotated[float, msgspec.Meta(ge=1, le=100)] = 10.0
    panic_threshold_percent: Annotated[float, msgspec.Meta(ge=110, le=1000)] = 200.0
    max_scale_up_rate: Annotated[float, msgspec.Meta(gt=1, le=100_000)] = 1000.0
    max_scale_down_rate: Annotated[float, msgspec.Meta(gt=1, le=100_000)] = 2.0
    scale_down_delay_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    activation_scale: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1


class Fallback(Part, frozen=True, kw_only=True):
    """What holds while a rule has no valid input; without a count, the count that is.

    ``static``: so many, as if the rule had wanted them. ``at_least``: the count that is, and never
    fewer than that.
    """

    static: Count | None = None
    at_least: Count | None = None


class Policy(Part, frozen=True, kw_only=True):
    """One application's scaling policy: ``min`` to ``max`` replicas.

    ``targets``: what one replica should carry. ``up``, ``down``: how fast the count may change.
    ``tolerance``: no change while the ratio of carried to target is within 1 ± it.
    ``window_s``: what is carried is the mean of the last so many complete seconds.
    ``stabilise_up_s``/``stabilise_down_s``: the least/largest want of that time counts.
    ``metrics``: ``spec.metrics`` of a HorizontalPodAutoscaler, unchanged.
    ``behavior``: its ``spec.behavior``, in the place of ``up``, ``down``, the stabilising windows.
    ``knative``: a rule as Knative's pod autoscaler.
    ``timed``: bounds that hold by the clock, whatever the load is.
    ``fallback``: what holds while a rule has no valid input.
    ``signals``: queues and lags by name, and what a replica should have of them.
    ``forecast``: a floor from the past of the load.
    ``latency``: what requests should take, through what a replica carries within it.
    """

    min: Count = 1
    max: Count
    targets: Targets = Targets()
    tolerance: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    window_s: Annotated[int, msgspec.Meta(ge=1, le=600)] = 15
    stabilise_up_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    stabilise_down_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 300.0
    up: Rate = Rate()
    down: Rate = Rate()
    metrics: Annotated[tuple[Metric, ...], msgspec.Meta(max_length=20)] = ()
    behavior: Behavior | None = None
    knative: Knative | None = None
    timed: Annotated[tuple[Timed, ...], msgspec.Meta(max_length=50)] = ()
    fallback: Fallback | None = None
    signals: Annotated[dict[SignalName, Signal], msgspec.Meta(max_length=20)] = {}
    forecast: Forecast | None = None
    latency: Latency | None = None
