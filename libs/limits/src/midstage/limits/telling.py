"""What leases say to callers: policies and what is left, and why a request is refused."""

from collections.abc import Mapping, Sequence

from midstage.limits.customer import NS_PER_S
from midstage.limits.errors import LimitsUnavailableError, QuotaExceededError
from midstage.limits.headers import Policy, State
from midstage.limits.lease import Plan


def told(plan: Plan, now_ns: int) -> tuple[Sequence[Policy], Sequence[State]]:
    """The limits of a plan, and what is left of them here; empty when the term is over."""
    if plan.book.over(now_ns):
        return (), ()
    plan.book.fill(now_ns)
    policies = [
        Policy(
            name=lease.terms.limit,
            quota=lease.terms.quota,
            window_ns=lease.terms.window_s * NS_PER_S or None,
            unit=lease.terms.unit,
        )
        for lease in plan.leases
    ]
    states = [
        State(name=each.terms.limit, remaining=each.left, reset_ns=each.wait_ns(each.left + 1))
        for each in plan.leases
    ]
    return policies, states


def refusal(
    plan: Plan | None, units: Mapping[str, int], now_ns: int
) -> QuotaExceededError | LimitsUnavailableError:
    """Why ``units`` don't pass."""
    short = plan.short(units, now_ns) if plan else ()
    names = [each.limit for each in short]
    if plan is None or plan.book.over(now_ns):
        return LimitsUnavailableError(
            f"throttle is away, what it lent is over, and {', '.join(names)} is not open"
        )
    waits = [each.wait_ns for each in short if each.wait_ns is not None]
    never = len(waits) < len(short)
    longest = plan.book.until_ns - now_ns if never else max(waits, default=0)
    return QuotaExceededError(names, longest / NS_PER_S)
