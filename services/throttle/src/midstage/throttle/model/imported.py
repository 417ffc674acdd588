"""Rules in the form of envoyproxy/ratelimit, read and checked; and what is asked of them.

A rule's own counting is that product's: a fixed window aligned to the epoch, where refused calls
count too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

Entry = tuple[str, str]
"""A key and its value."""

Value: TypeAlias = "bool | float | str | Sequence[Value] | Mapping[str, Value] | None"
"""What JSON can say."""

Metadata = Mapping[str, Value]
"""What a file says to Envoy's next filters of a descriptor that is not over."""

UNLIMITED: Final = 2**32 - 1


class Unit(StrEnum):
    """How long a window is."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


SECONDS: Final[Mapping[Unit, int]] = {
    Unit.SECOND: 1,
    Unit.MINUTE: 60,
    Unit.HOUR: 3_600,
    Unit.DAY: 86_400,
    Unit.WEEK: 604_800,
    Unit.MONTH: 2_592_000,
    Unit.YEAR: 31_536_000,
}
"""A month has 30 days and a year 365, as there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A ``rate_limit`` with what its descriptor says of it; ``unit`` None is unlimited."""

    metric: str
    requests: int = 0
    unit: Unit | None = None
    name: str = ""
    replaces: tuple[str, ...] = ()
    shadow: bool = False
    quota: bool = False
    detailed: bool = False
    metadata: Metadata = field(default_factory=lambda: MappingProxyType({}))


@dataclass(slots=True, kw_only=True)
class Node:
    """A descriptor: its rule, if it has one, and those below it by ``key`` or ``key_value``.

    ``wildcards`` are the names of children with a ``*``, in the file's order.
    """

    rule: Rule | None
    children: dict[str, "Node"]
    wildcards: list[str]
    value_to_metric: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A limit that a request carries for one descriptor."""

    requests: int
    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a request asks: ``hits`` None takes the request's; below 0 they are given back."""

    entries: tuple[Entry, ...]
    hits: int | None = None
    override: Override | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``hits`` 0 counts as 1, as there."""

    domain: str
    descriptors: tuple[Descriptor, ...]
    hits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The rule of a descriptor; ``key`` tells its counter, ``metric`` its statistics."""

    rule: Rule
    key: tuple[str, ...]
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The answer for one descriptor; ``limit`` None where no rule counts."""

    over: bool
    remaining: int
    reset_s: int | None = None
    limit: Rule | None = None


FREE: Final = Status(over=False, remaining=UNLIMITED)
"""The answer for a descriptor whose rule is unlimited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer for a request; ``least`` is the status that headers tell, if any does."""

    over: bool
    statuses: tuple[Status, ...]
    least: Status | None
