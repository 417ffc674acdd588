"""What people order of an application's scaling beside its policy: overrides and pauses.

Facts of ``midstage.scaling.v1``, written by hpa for its API. Each order has an end, by the ``now``
of an evaluation: an order that is over needs no fact to be so.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from midstage.contracts.fact import Name
from midstage.contracts.policy import Count

Why = Annotated[str, msgspec.Meta(max_length=500)]


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Given ``by`` whom, ``at``, and ``why``; it holds before ``until``."""

    by: Name
    why: Why = ""
    at: datetime
    until: datetime


class Override(Order, frozen=True, kw_only=True):
    """At least ``min``, at most ``max`` replicas, whatever rules, clock and policy say.

    Both the same: exactly so many. None is no bound.
    """

    min: Count | None = None
    max: Count | None = None


class Direction(StrEnum):
    """Which way a count is not changed."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


class Pause(Order, frozen=True, kw_only=True):
    """The count is not changed that way by rules, forecast or clock."""

    direction: Direction = Direction.BOTH


class OverrideSet(msgspec.Struct, frozen=True, kw_only=True, tag="OverrideSet", tag_field="fact"):
    """The count was overridden, in the place of an earlier override."""

    app: Name
    override: Override


class OverrideLifted(
    msgspec.Struct, frozen=True, kw_only=True, tag="OverrideLifted", tag_field="fact"
):
    """The override was lifted before its end: the policy decides again."""

    app: Name
    by: Name
    why: Why = ""
    at: datetime


class ScalingPaused(
    msgspec.Struct, frozen=True, kw_only=True, tag="ScalingPaused", tag_field="fact"
):
    """Scaling was paused, in the place of an earlier pause."""

    app: Name
    pause: Pause


class ScalingResumed(
    msgspec.Struct, frozen=True, kw_only=True, tag="ScalingResumed", tag_field="fact"
):
    """Scaling was resumed before the pause's end."""

    app: Name
    by: Name
    why: Why = ""
    at: datetime


ManualFact = OverrideSet | OverrideLifted | ScalingPaused | ScalingResumed
