"""What a customer may use: decisions of throttle about limits, and who is on which plan.

A versioned log: written by throttle to ``midstage.limits.v1``, keyed ``limit/<name>`` and
``customer/<name>``; read by throttle through ``eventlog.versions``. All limits that a request meets
hold for it, but for those that another one of them overrides.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from midstage.contracts.algorithms import AnyAlgorithm, Period
from midstage.contracts.fact import Name

ANY: Final = "*"
"""In ``customer`` and ``key``: each has a meter of its own. In ``app``: one meter over all."""
REQUESTS: Final = "requests"
BYTES: Final = "bytes"
CONCURRENCY: Final = "concurrency"
"""A unit that is held and given back, not used up: requests at once."""

Unit = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
Labels = Annotated[
    dict[
        Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,63}$")],
        Annotated[str, msgspec.Meta(min_length=1, max_length=256)],
    ],
    msgspec.Meta(max_length=8),
]
Amount = Annotated[int, msgspec.Meta(ge=1, le=10**12)]


class FailureRule(StrEnum):
    """What holds when throttle can't answer in time."""

    OPEN = "open"
    CLOSED = "closed"


class OpenTo(msgspec.Struct, frozen=True, kw_only=True):
    """At most ``amount`` pass in each ``period_s`` without being counted by the limit itself."""

    amount: Amount
    period_s: Period


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom a limit is for, what it counts, and how.

    A request meets it where all of ``customer``, ``key``, ``plan``, ``app`` and ``match`` are its
    own. ``customer`` ``*``: each has a meter of its own, or, ``aggregate``, all who meet it have
    one together. ``key``: an API key's name; ``*``: each key has a meter of its own; empty: keys
    don't matter. ``plan``: only for customers on it; empty: for all. ``app`` ``*``: one meter over
    all applications. ``match``: labels that a request must have, each with this very value.

    ``amount`` of ``unit`` is what ``algorithm`` allows. ``drain``: what asks for more than is left
    gets nothing and takes the rest. ``debt``: how far below nothing settling may go. ``shadow``:
    counts and refuses nobody. ``strict``: each admission durable before the answer. ``overrides``:
    limits that don't hold for requests of this customer that meet this one.
    """

    customer: Name = ANY
    aggregate: bool = False
    key: Annotated[str, msgspec.Meta(max_length=256)] = ""
    plan: Annotated[str, msgspec.Meta(max_length=256)] = ""
    app: Name = ANY
    match: Labels = {}
    unit: Unit = REQUESTS
    amount: Amount
    algorithm: AnyAlgorithm
    on_failure: FailureRule | OpenTo = FailureRule.OPEN
    drain: bool = False
    debt: Annotated[int, msgspec.Meta(ge=0, le=10**12)] = 0
    shadow: bool = False
    strict: bool = False
    overrides: Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)] = ()


class LimitSet(Terms, frozen=True, kw_only=True, tag="LimitSet", tag_field="fact"):
    """These terms hold under this name, whatever held before; who set it, and why."""

    limit: Name
    by: str = ""
    why: str = ""
    at: datetime


class LimitRemoved(msgspec.Struct, frozen=True, kw_only=True, tag="LimitRemoved", tag_field="fact"):
    """The limit no longer holds; what it counted is forgotten."""

    limit: Name
    by: str = ""
    why: str = ""
    at: datetime


class CustomerPlanned(
    msgspec.Struct, frozen=True, kw_only=True, tag="CustomerPlanned", tag_field="fact"
):
    """The customer is on this plan and on no other: its limits hold for the customer."""

    customer: Name
    plan: Name
    by: str = ""
    why: str = ""
    at: datetime


class CustomerUnplanned(
    msgspec.Struct, frozen=True, kw_only=True, tag="CustomerUnplanned", tag_field="fact"
):
    """The customer is on no plan."""

    customer: Name
    by: str = ""
    why: str = ""
    at: datetime


LimitFact = LimitSet | LimitRemoved | CustomerPlanned | CustomerUnplanned
