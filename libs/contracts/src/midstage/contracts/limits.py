"""What a customer may use: decisions of throttle about limits.

A versioned log: written by throttle to ``midstage.limits.v1``, keyed ``limit/<id>``; read by
throttle and gateway through ``eventlog.versions``.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from midstage.contracts.fact import Name

ANY = "*"
"""In ``customer``: each customer has a bucket of its own. In ``app``: one bucket over all."""

PositiveRate = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]


class FailureRule(StrEnum):
    """What holds when throttle can't answer in time."""

    OPEN = "open"
    CLOSED = "closed"


class LimitSet(msgspec.Struct, frozen=True, kw_only=True, tag="LimitSet", tag_field="fact"):
    """A token bucket: ``rate_per_s`` requests a second, at most ``burst`` at once."""

    limit: Name
    customer: Name
    app: Name
    rate_per_s: PositiveRate
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    on_failure: FailureRule = FailureRule.OPEN
    by: str = ""
    why: str = ""
    at: datetime


class LimitRemoved(msgspec.Struct, frozen=True, kw_only=True, tag="LimitRemoved", tag_field="fact"):
    """The limit no longer holds; what it counted is forgotten."""

    limit: Name
    by: str = ""
    why: str = ""
    at: datetime


LimitFact = LimitSet | LimitRemoved
