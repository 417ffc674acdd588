"""How an application scales: targets, bounds, how fast, how long to wait before shrinking.

A part of its spec; written by teams, carried in ``midstage.apps.v1``, evaluated by hpa.
"""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Target = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of a policy's parts; deploy refuses unknown fields, readers ignore them."""


class Targets(Part, frozen=True, kw_only=True):
    """What one ready replica should carry; the largest want wins, None is no rule.

    ``requests_per_s``: requests ended a second. ``concurrency``: requests in flight and pending.
    ``cpu``: the share of its requested cores that it uses, 0.6 is 60 %.
    """

    requests_per_s: Target | None = None
    concurrency: Target | None = None
    cpu: Annotated[float, msgspec.Meta(gt=0, le=10)] | None = None


class Rate(Part, frozen=True, kw_only=True):
    """In ``period_s`` at most ``pods`` or ``percent`` of the replicas, whichever lets more."""

    pods: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 4
    percent: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 100.0
    period_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 15.0


class Policy(Part, frozen=True, kw_only=True):
    """One application's scaling policy: ``min`` to ``max`` replicas.

    ``targets``: what one replica should carry. ``up``, ``down``: how fast the count may change.
    ``tolerance``: no change while the ratio of carried to target is within 1 ± it.
    ``window_s``: what is carried is the mean of the last so many complete seconds.
    ``stabilise_up_s``/``stabilise_down_s``: the least/largest want of that time counts.
    """

    min: Count = 1
    max: Count
    targets: Targets
    tolerance: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    window_s: Annotated[int, msgspec.Meta(ge=1, le=600)] = 15
    stabilise_up_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    stabilise_down_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 300.0
    up: Rate = Rate()
    down: Rate = Rate()
