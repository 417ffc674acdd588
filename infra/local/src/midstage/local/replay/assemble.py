"""A report made from the caller's list, the ledger's rows and what the platform knows: pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from midstage.contracts.requests import Outcome
from midstage.local.replay.allowance import Allowance, allowance
from midstage.local.replay.circle import UNKNOWN, Circle
from midstage.local.replay.compare import LedgerRow, compared
from midstage.local.replay.customers import SHARES, CustomerLimit
from midstage.local.replay.findings import (
    Customer,
    Ends,
    Found,
    PlatformFacts,
    Quantiles,
    Report,
)
from midstage.local.replay.listing import CallerRow
from midstage.local.replay.progress import quantile


def made(
    *,
    run: str,
    mine: Sequence[CallerRow],
    found: Found,
    platform: PlatformFacts,
    circle: Circle = UNKNOWN,
) -> Report:
    """The report of the run ``run``."""
    answered = [row for row in mine if row.outcome is Outcome.OK]
    return Report(
        run=run,
        ends=_ends(mine, found.rows),
        comparison=compared(mine, found.rows),
        found=found,
        customers=tuple(_customers(mine, found.rows, platform)),
        latency_ms=quantiles(row.duration_ms for row in answered),
        ttft_ms=quantiles(row.ttft_ms for row in answered if row.ttft_ms is not None),
        freshness_ms=quantiles(row.recorded_ms_after for row in found.rows),
        late_ms=quantiles(row.late_ms for row in mine),
        platform=platform,
        circle=circle,
    )


def _customers(
    mine: Sequence[CallerRow], theirs: Sequence[LedgerRow], platform: PlatformFacts
) -> Iterable[Customer]:
    limits = {limit.customer: limit for limit in platform.limits}
    whose = {row.ref: row.customer for row in mine}
    names = [*SHARES, *sorted(set(whose.values()) - SHARES.keys())]
    for name in names:
        sent = [row for row in mine if row.customer == name]
        # a row that the ledger books to somebody else is still this caller's request
        rows = [row for row in theirs if whose.get(row.ref, row.customer) == name]
        limit = limits.get(name)
        yield Customer(
            name=name,
            share=SHARES.get(name, 0.0),
            ends=_ends(sent, rows),
            comparison=compared(sent, rows),
            allowance=_allowance(sent, limit, platform) if limit and sent else None,
        )


def _allowance(
    rows: Sequence[CallerRow], limit: CustomerLimit, platform: PlatformFacts
) -> Allowance:
    return allowance(
        rows,
        limit,
        restarts=platform.throttle_restarts,
        unasked=platform.failure_mode_allowed + platform.late_open,
    )


def _ends(mine: Sequence[CallerRow], theirs: Sequence[LedgerRow]) -> Ends:
    by = Counter(row.outcome for row in mine)
    return Ends(
        offered=len(mine),
        answered=by[Outcome.OK],
        refused=by[Outcome.REFUSED],
        failed=by[Outcome.ERROR] + by[Outcome.INVALID],
        cancelled=by[Outcome.CANCELLED],
        ledger=len(theirs),
    )


def quantiles(values: Iterable[float]) -> Quantiles:
    """Median and 99th percentile, to a tenth of a millisecond."""
    ordered = sorted(values)
    p50, p99 = quantile(ordered, 0.5), quantile(ordered, 0.99)
    return Quantiles(
        p50=None if p50 is None else round(p50, 1), p99=None if p99 is None else round(p99, 1)
    )
