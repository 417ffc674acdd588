"""The native limits that a case names in its base, as accounts of one customer."""

from collections.abc import Sequence
from typing import Final

from midstage.chassis.cases import Shape
from midstage.throttle.conformance.shapes import CaseError, Number, ns
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.meters.sliding import MovingWindow, SlidingCounter
from midstage.throttle.decide.meters.slots import Slots
from midstage.throttle.decide.meters.window import FirstHitWindow, FixedWindow, LifetimeQuota
from midstage.throttle.model.account import Account, PlainAccount

UNBOUNDED: Final = 10**18
UNITS: Final = "units"
CONCURRENCY: Final = "concurrency"
_SLOT_S: Final = 3_600
_PERIODS_S: Final = {"rps": 1, "rpm": 60, "rph": 3_600, "rpd": 86_400}
_TOKENS_S: Final = {"tps": 1, "tpm": 60, "tph": 3_600, "tpd": 86_400}


class Filling(Shape, frozen=True, kw_only=True):
    """A token bucket."""

    capacity: int
    refill_per_s: Number


class Base(Shape, frozen=True, kw_only=True):
    """What holds: a limit of units, a bucket, slots, requests and tokens in a period."""

    limit: int | None = None
    window_s: Number = 60
    algorithm: str = "fixed_window"
    bucket: Filling | None = None
    concurrency: int | None = None
    reservation_ttl_s: Number | None = None
    max_debt: int | None = None
    cost: int | None = None
    cost_after: int | None = None
    rps: int | None = None
    rpm: int | None = None
    rph: int | None = None
    rpd: int | None = None
    tps: int | None = None
    tpm: int | None = None
    tph: int | None = None
    tpd: int | None = None
    on_failure: str | None = None
    failure_mode_deny: bool | None = None
    replicas: int = 1
    parallel_calls: int = 0


def accounts(base: Base) -> Sequence[Account]:
    """The limits of the base; without any one that never refuses, so that it only counts."""
    made = [
        _account(name, FixedWindow(limit=most, period_ns=ns(seconds), now_ns=0), most, base)
        for name, seconds in (_PERIODS_S | _TOKENS_S).items()
        if (most := getattr(base, name)) is not None
    ]
    if base.limit is not None:
        made.append(_account(UNITS, meter(base), base.limit, base))
    if base.bucket is not None:
        full, rate = base.bucket.capacity, ns(base.bucket.refill_per_s) // 1_000
        bucket = TokenBucket(units=rate, period_ns=10**15, burst=full, now_ns=0)
        made.append(_account(UNITS, bucket, full, base))
    if base.concurrency is not None:
        ttl_s = _SLOT_S if base.reservation_ttl_s is None else base.reservation_ttl_s
        slots = Slots(limit=base.concurrency, ttl_ns=ns(ttl_s), now_ns=0)
        made.append(PlainAccount(CONCURRENCY, slots))
    return made or [PlainAccount(UNITS, LifetimeQuota(limit=UNBOUNDED))]


def charges(held: Sequence[Account], units: int) -> Sequence[int]:
    """What a request of ``units`` uses of each: itself once, of a limit on units those."""
    by_units = {UNITS, *_TOKENS_S}
    return [units if account.name in by_units else 1 for account in held]


def meter(base: Base) -> Meter:
    """The meter of the base's own limit."""
    limit, period_ns = base.limit or 0, ns(base.window_s)
    match base.algorithm:
        case "fixed_window":
            return FixedWindow(limit=limit, period_ns=period_ns, now_ns=0)
        case "fixed_from_first_hit":
            return FirstHitWindow(limit=limit, period_ns=period_ns, now_ns=0)
        case "moving_window":
            return MovingWindow(limit=limit, period_ns=period_ns, now_ns=0)
        case "sliding_counter":
            return SlidingCounter(limit=limit, period_ns=period_ns, now_ns=0)
        case "lifetime":
            return LifetimeQuota(limit=limit)
        case other:
            raise CaseError(f"algorithm {other!r} is not known")


def _account(name: str, of: Meter, limit: int, base: Base) -> Account:
    return PlainAccount(name, of, debt=limit if base.max_debt is None else base.max_debt)
