"""A question about usage: what to measure, of which time, by what, and of whom.

A question says the same on every shard, and can be sent to another one as JSON. Names of labels
and units are the caller's own words: they are values everywhere, never parts of a statement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

LABEL = "label."
"""Before the name of a label wherever a dimension is named."""


class Window(StrEnum):
    """How long a piece of time is that has a group of its own; weeks begin on Monday."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Dimension(StrEnum):
    """What usage can be grouped by and narrowed to, beside labels."""

    CUSTOMER = "customer"
    APP = "app"
    ENDPOINT = "endpoint"
    REVISION = "revision"
    OUTCOME = "outcome"
    KIND = "kind"
    CLUSTER = "cluster"
    POD = "pod"
    STATUS = "status"
    ESTIMATED = "estimated"


ROLLED_UP = frozenset({Dimension.CUSTOMER, Dimension.APP, Dimension.ENDPOINT, Dimension.REVISION})
"""The dimensions that the roll-ups keep."""


class Measure(StrEnum):
    """What is measured; outcomes and units have a figure for each name."""

    REQUESTS = "requests"
    OUTCOMES = "outcomes"
    UNITS = "units"
    BYTES_IN = "bytes_in"
    BYTES_OUT = "bytes_out"
    CUSTOMERS = "customers"


class Timing(StrEnum):
    """What quantiles are taken of, in milliseconds."""

    LATENCY = "latency_ms"
    FIRST_TOKEN = "ttft_ms"


QUANTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}

Value = str | int | bool
Key = tuple[int | Value | None, ...]
"""A group's values in the order of ``group_by``; a window goes before them, in microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The measures; ``units`` None is every unit, empty is none; quantiles by what they are of."""

    measures: frozenset[Measure] = frozenset()
    units: frozenset[str] | None = frozenset()
    quantiles: Mapping[Timing, tuple[str, ...]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """One thing to order by: the window, a dimension or a measure that has one figure."""

    by: str
    falling: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Usage from ``since`` up to but without ``until``; None takes everything on that side.

    ``among`` keeps of each named dimension only these values. ``group_by`` holds dimensions and
    ``label.<name>``.
    """

    wanted: Wanted
    since: datetime | None = None
    until: datetime | None = None
    window: Window | None = None
    zone: str = "UTC"
    group_by: tuple[str, ...] = ()
    among: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    order: tuple[Ordered, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What a group's key consists of, in order."""
        return (*(("window",) if self.window else ()), *self.group_by)
