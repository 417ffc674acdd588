"""P99 and time to first token, through what one replica carries within them; never as a ratio.

It wants the replicas that carry what comes and work the queue off in time. What comes is what ended
and by how much more is in flight, for a queue hides it from what ends.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import UNSET, UnsetType

from midstage.contracts.capacity import CapacityInput, Latency, Learned, Level
from midstage.contracts.scaling import Inputs, Proposal, Rule
from midstage.hpa.decide import policies
from midstage.hpa.decide.capacity import Capacity, capacity, enough, helped, warming
from midstage.hpa.decide.figures import MOST_REPLICAS, down, known, needed, shown, up
from midstage.hpa.decide.rules.totals import ready_of, stale

_STEP: Final = 0.25
_MOST: Final = 1e12


def latency(inputs: Inputs, current: int, learned: Learned | UnsetType) -> Iterator[Proposal]:
    """A proposal for each of the policy's targets, by what is ``learned`` by now."""
    said = inputs.policy.latency
    if said is None or learned is UNSET:
        return
    if said.p99_ms is not None:
        yield _proposed(inputs, said, Rule.P99, said.p99_ms, learned.p99, current=current)
    if said.ttft_p99_ms is not None:
        yield _proposed(inputs, said, Rule.TTFT, said.ttft_p99_ms, learned.ttft, current=current)


def _proposed(
    inputs: Inputs,
    said: Latency,
    rule: Rule,
    target: float,
    levels: Sequence[Level],
    *,
    current: int,
) -> Proposal:
    held = CapacityInput() if inputs.capacity is UNSET else inputs.capacity
    ended, in_flight = known(inputs.load.requests_per_s), known(held.in_flight)
    growth = held.growth_per_s
    why_not = stale("load", inputs.load.until, inputs.now) or stale(
        "what is in flight", inputs.load.gauged_until, inputs.now
    )
    if why_not or ended is None or in_flight is None or growth is None or not abs(growth) < _MOST:
        return Proposal(rule=rule, target=target, reason=why_not or "what comes is not known")
    coming = min(max(0.0, ended + growth), _MOST)
    now_ms = _newest(held, rule)
    found = capacity(levels, target)
    if not coming + in_flight:
        reason = "nothing comes and nothing is in flight"
        return Proposal(rule=rule, carried=0.0, target=target, want=0, reason=reason, exact=0.0)
    if found is None:
        return _stepped(inputs, rule, target, levels, current=current, now_ms=now_ms, exact=None)
    ready = ready_of(inputs)
    queue = min(max(0.0, in_flight - ready * found.load * found.residence_s), _MOST)
    carried = coming + queue / said.drain_s
    exact = needed(carried, found.load)
    if not enough(levels):
        return _stepped(inputs, rule, target, levels, current=current, now_ms=now_ms, exact=exact)
    return Proposal(
        rule=rule,
        carried=carried,
        target=target,
        want=_want(
            inputs, exact, current, least=needed(coming, found.load), above=_above(now_ms, target)
        ),
        reason=_reason(coming, queue, found, said, target),
        exact=exact,
        ready_ratio=exact / ready if ready else None,
    )


def _newest(held: CapacityInput, rule: Rule) -> float | None:
    if not held.samples:
        return None
    newest = held.samples[-1]
    return known(newest.p99_ms if rule is Rule.P99 else newest.ttft_p99_ms)


def _above(now_ms: float | None, target: float) -> bool:
    return now_ms is not None and now_ms > target


def _want(inputs: Inputs, exact: float, current: int, *, least: float, above: bool) -> int:
    """What comes rounded up; a queue, worked off at full use, orders no part of a replica."""
    if current and policies.tolerance(inputs.policy).holds(exact / current):
        return current
    want = min(max(up(least), down(exact)), MOST_REPLICAS)
    return max(want, current) if above else want  # slow for what no replica is to blame for


def _stepped(
    inputs: Inputs,
    rule: Rule,
    target: float,
    levels: Sequence[Level],
    *,
    current: int,
    now_ms: float | None,
    exact: float | None,
) -> Proposal:
    """Without a model: a quarter more where it is too slow, once for each that has become warm."""
    above = _above(now_ms, target)
    wants_more = exact is not None and up(exact) > current
    if not above and not wants_more:
        reason = "too little was seen to say what a replica carries"
        return Proposal(rule=rule, target=target, reason=reason)
    said = "" if now_ms is None else f"P99 is {shown(now_ms)} ms; "
    if above and not wants_more and not helped(levels):
        reason = f"{said}fewer requests for each did not make it faster"
        return Proposal(rule=rule, target=target, reason=reason)
    if warming(inputs):
        reason = f"{said}those that start are waited for"
        return Proposal(rule=rule, target=target, want=current, reason=reason)
    most = current + max(1, math.ceil(current * _STEP))
    want = min(most, up(exact)) if exact is not None and wants_more else most
    reason = f"{said}what a replica carries is not known yet, a quarter more at most"
    return Proposal(rule=rule, target=target, want=want, reason=reason)


def _reason(coming: float, queue: float, found: Capacity, said: Latency, target: float) -> str:
    queued = f" and a queue of {shown(queue)} in {shown(said.drain_s)} s" if queue else ""
    each = f"a replica carries {shown(found.load)} within 80 % of {shown(target)} ms"
    return f"{shown(coming)} requests/s come{queued}; {each}"
