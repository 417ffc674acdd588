"""What a rule wants by totals: what all replicas carry together, by the target of one.

HPA v2's AverageValue, so that replicas that start are counted and nothing is ordered twice.
Figures are millionths, which float noise does not reach.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from midstage.contracts.scaling import Inputs, Proposal, Rule
from midstage.hpa.decide import policies
from midstage.hpa.decide.figures import MOST_REPLICAS, age_s, known, needed, shown
from midstage.hpa.decide.hpav2.proposing import shared

LOAD_STALE_S: Final = 10.0
_LOAD_STALE: Final = timedelta(seconds=LOAD_STALE_S)
_MICRO: Final = 1_000_000
_MOST_CARRIED: Final = 1e15
_REQUESTS_PER_S, _CONCURRENCY = Rule.REQUESTS_PER_S, Rule.CONCURRENCY
_WORDS: Final = {_REQUESTS_PER_S: "requests/s", _CONCURRENCY: "in flight and pending"}


def requests_per_s(inputs: Inputs, target: float, current: int) -> Proposal:
    """Requests ended a second, by so many for each replica."""
    load, rule = inputs.load, _REQUESTS_PER_S
    why_not = stale("load", load.until, inputs.now)
    total = known(load.requests_per_s)
    if why_not is not None or total is None:
        return Proposal(rule=rule, target=target, reason=why_not or "it is not known")
    return _shared(inputs, rule, total, target=target, current=current)


def concurrency(inputs: Inputs, target: float, current: int) -> Proposal:
    """Requests in flight and pending, by so many for each replica."""
    load, rule = inputs.load, _CONCURRENCY
    why_not = stale("what is in flight", load.gauged_until, inputs.now)
    total = known(load.concurrency)
    if why_not is not None or total is None:
        return Proposal(rule=rule, target=target, reason=why_not or "it is not known")
    return _shared(inputs, rule, total, target=target, current=current)


def stale(what: str, at: datetime | None, now: datetime) -> str | None:
    """Why ``what`` can't be believed; None where it was seen lately."""
    if at is None:
        return f"{what} is not known"
    if now - at <= _LOAD_STALE:
        return None
    return f"{what} was seen {age_s(at, now):.0f} s ago"


def ready_of(inputs: Inputs) -> int:
    """So many replicas are ready."""
    return sum([pod.ready for pod in inputs.pods])


@lru_cache(maxsize=4096)
def _average_m(target: float) -> int:
    return max(1, round(target * _MICRO))


@lru_cache(maxsize=4096)
def _each(target: float) -> str:
    return f"{shown(target)} each"


def _shared(inputs: Inputs, rule: Rule, total: float, *, target: float, current: int) -> Proposal:
    exact = needed(total, target)
    tolerance = policies.tolerance(inputs.policy)
    want = shared(
        current=current,
        value_m=round(min(total, _MOST_CARRIED) * _MICRO),
        average_m=_average_m(target),
        tolerance=tolerance,
    )
    ready = ready_of(inputs)
    off = ""
    if want == current != exact and current and tolerance.holds(exact / current):
        off = f"; {shown(abs(exact / current - 1) * 100)} % off is within the tolerance"
    return Proposal(
        rule=rule,
        carried=total,
        target=target,
        want=min(want, MOST_REPLICAS),
        reason=f"{shown(total)} {_WORDS[rule]} together, {_each(target)}{off}",
        exact=exact,
        ready_ratio=exact / ready if ready else None,
    )
