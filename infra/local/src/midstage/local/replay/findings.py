"""What a report holds: values only, the same for the whole replay and for each customer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from midstage.local.replay.allowance import Allowance
from midstage.local.replay.circle import UNKNOWN, Circle
from midstage.local.replay.compare import Comparison, Difference, Duplicate, LedgerRow
from midstage.local.replay.customers import CustomerLimit
from midstage.local.replay.listing import CallerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFacts:
    """What only the platform knows of one replay.

    ``restarts`` by process; ``failure_mode_allowed`` is Envoy's count of requests that passed
    because throttle could not be asked, ``late_open`` throttle's of those that it let pass by their
    limit's failure rule, because it was late itself.
    """

    limits: Sequence[CustomerLimit] = ()
    restarts: Mapping[str, int] = field(default_factory=dict)
    throttle_restarts: int = 0
    failure_mode_allowed: int = 0
    late_open: int = 0
    peak_rss_mb: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Numbers of one source that the ledger lacks, from ``first`` to ``last``."""

    source: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the ledger had when it was read; ``notes`` say what to know about that."""

    rows: Sequence[LedgerRow]
    holes: tuple[Hole, ...] = ()
    complete: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How requests ended, as their caller saw it, and how many rows the ledger has of them."""

    offered: int
    answered: int
    refused: int
    failed: int
    cancelled: int
    ledger: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """In milliseconds; None where there was nothing to measure."""

    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """One invented customer; ``allowance`` is None where it has no limit or sent nothing."""

    name: str
    share: float
    ends: Ends
    comparison: Comparison
    allowance: Allowance | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that is printed at the end of a replay.

    ``missing``, ``duplicated`` and ``different`` are the rows themselves.
    """

    run: str
    ends: Ends
    comparison: Comparison
    found: Found
    customers: tuple[Customer, ...]
    latency_ms: Quantiles
    ttft_ms: Quantiles
    freshness_ms: Quantiles
    late_ms: Quantiles
    platform: PlatformFacts
    circle: Circle = UNKNOWN

    @property
    def offered(self) -> int:
        """Requests that were sent."""
        return self.ends.offered

    @property
    def refused(self) -> int:
        """Requests that gateway or throttle refused."""
        return self.ends.refused

    @property
    def ledger(self) -> int:
        """Rows of this run in the usage store."""
        return self.ends.ledger

    @property
    def missing(self) -> tuple[CallerRow, ...]:
        """Requests without a row."""
        return self.comparison.missing

    @property
    def duplicated(self) -> tuple[Duplicate, ...]:
        """Requests with more than one row."""
        return self.comparison.duplicated

    @property
    def different(self) -> tuple[Difference, ...]:
        """Rows that are not what the caller saw, or that it never sent."""
        return self.comparison.different

    @property
    def restarts(self) -> Mapping[str, int]:
        """How often each process was restarted."""
        return self.platform.restarts

    @property
    def over_limit(self) -> tuple[str, ...]:
        """Customers that were admitted more than their limit allows."""
        return tuple(
            one.name for one in self.customers if one.allowance and not one.allowance.within
        )

    @property
    def short_of_limit(self) -> tuple[str, ...]:
        """Customers that were refused although their limit had room."""
        return tuple(
            one.name for one in self.customers if one.allowance and not one.allowance.close
        )

    @property
    def agrees(self) -> bool:
        """Nothing missing, duplicated or different, and nobody above its limit, for certain.

        A ledger that may not be complete may yet hold a row twice: unknown is not zero.
        """
        wrong = self.missing or self.duplicated or self.different or self.over_limit
        return self.found.complete and not wrong
