"""Whether a customer was admitted no more than its limit, and hardly less where it was short.

A token bucket admits at most burst + rate × time in any stretch of time, however requests come.
The time here runs from the customer's first request to the first byte of its last admitted one, so
every check of the limit lies within. The least is what a bucket that begins empty would admit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from midstage.contracts.requests import Outcome
from midstage.local.replay.customers import CustomerLimit
from midstage.local.replay.listing import CallerRow

CLOSE = 0.95
"""Where a customer was short, it was admitted at least this part of the least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """One customer's limit, and how it was kept; ``close`` is True where nothing was refused."""

    rate_per_s: float
    burst: int
    seconds: float
    admitted: int
    allowed: float
    least: int
    within: bool
    close: bool


def allowance(
    rows: Sequence[CallerRow], limit: CustomerLimit, *, restarts: int = 0, unasked: int = 0
) -> Allowance:
    """How ``limit`` was kept in all ``rows`` of its customer, at least one.

    Each of throttle's ``restarts`` fills the bucket again; ``unasked`` requests, of all customers,
    passed by a failure rule: it could not be asked (Envoy's ``failure_mode_allowed``) or was late.
    """
    starts = sorted(_started(row) for row in rows if row.status)
    admitted = [row for row in rows if _admitted(row)]
    seconds = max((_passed(row) for row in admitted), default=0.0) - min(starts, default=0.0)
    seconds = max(0.0, seconds)
    allowed = limit.burst * (1 + restarts) + limit.rate_per_s * seconds + unasked
    least = ideal(starts, rate_per_s=limit.rate_per_s, burst=limit.burst)
    refused = sum(row.outcome is Outcome.REFUSED for row in rows)
    return Allowance(
        rate_per_s=limit.rate_per_s,
        burst=limit.burst,
        seconds=round(seconds, 3),
        admitted=len(admitted),
        allowed=round(allowed, 3),
        least=least,
        within=len(admitted) <= allowed,
        close=refused == 0 or len(starts) - refused >= int(CLOSE * least),
    )


def ideal(starts: Iterable[float], *, rate_per_s: float, burst: int) -> int:
    """How many requests at these times, in order, a bucket that begins empty admits."""
    level, before, admitted = 0.0, None, 0
    for at in starts:
        if before is not None:
            level = min(float(burst), level + (at - before) * rate_per_s)
        before = at
        if level >= 1:
            level -= 1
            admitted += 1
    return admitted


def _admitted(row: CallerRow) -> bool:
    """Whether throttle surely let it pass: a 5xx may be the gateway's own, 0 may be no answer."""
    return row.status not in (0, 401, 403, 429) and row.status < 500


def _started(row: CallerRow) -> float:
    return (row.ended_at - timedelta(milliseconds=row.duration_ms)).timestamp()


def _passed(row: CallerRow) -> float:
    until_ms = row.duration_ms if row.ttft_ms is None else row.ttft_ms
    return _started(row) + until_ms / 1000
