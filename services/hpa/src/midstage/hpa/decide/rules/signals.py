"""A queue or a lag: so much for each replica, or so many replicas that it is done in time.

By totals, so that replicas that start are counted and nothing is ordered twice. The larger of both
wants counts, and no more than there are partitions.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from midstage.contracts.scaling import Inputs, Proposal, Rule, SignalInput
from midstage.contracts.signals import Signal, series_of_lag
from midstage.hpa.decide import policies
from midstage.hpa.decide.figures import MOST_REPLICAS, known, needed, shown
from midstage.hpa.decide.hpav2.proposing import NoMetricError, shared
from midstage.hpa.decide.rules.metrics import named
from midstage.hpa.decide.rules.totals import ready_of, stale

_MICRO: Final = 1_000_000


class _Need(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """So many replicas, exactly, at ``target`` each; ``only_up``: too little is known for fewer."""

    exact: float
    target: float
    reason: str
    only_up: bool = False


def signals(inputs: Inputs, current: int) -> Iterator[Proposal]:
    """A proposal for each of the policy's signals, by name."""
    for name, said in sorted(inputs.policy.signals.items()):
        yield _proposed(name, said, inputs, current)


def _proposed(name: str, said: Signal, inputs: Inputs, current: int) -> Proposal:
    try:
        signal = named(inputs, Rule.SIGNAL, name, series_of_lag(said))
        value = _value(signal)
        needs = tuple(_needs(said, signal, value, inputs))
    except NoMetricError as e:
        target = said.target or said.rate or 0.0
        return Proposal(rule=Rule.SIGNAL, name=name, target=target, reason=str(e))
    need = max(needs, key=lambda each: each.exact)
    cap = signal.partitions if said.partitions is None else said.partitions
    exact = min(need.exact, float(cap or MOST_REPLICAS))
    want = shared(
        current=current,
        value_m=round(exact * _MICRO),
        average_m=_MICRO,
        tolerance=policies.tolerance(inputs.policy),
    )
    unknown = [each.reason for each in needs if each.only_up]
    if unknown:
        want = max(want, current)
    capped = [f"{cap} partitions have work for no more"] if exact < need.exact else []
    ready = ready_of(inputs)
    return Proposal(
        rule=Rule.SIGNAL,
        name=name,
        carried=value,
        target=need.target,
        want=min(want, cap or MOST_REPLICAS),
        reason="; ".join(dict.fromkeys([f"{shown(value)} wait, {need.reason}", *capped, *unknown])),
        exact=exact,
        ready_ratio=exact / ready if ready else None,
    )


def _value(signal: SignalInput) -> float:
    value = known(signal.value)
    if value is None:
        raise NoMetricError("its value is not known")
    return value


def _needs(said: Signal, signal: SignalInput, value: float, inputs: Inputs) -> Iterator[_Need]:
    if said.target is not None:
        reason = f"{shown(said.target)} each"
        yield _Need(exact=needed(value, said.target), target=said.target, reason=reason)
    if said.drain_s is not None:
        yield from _draining(said, said.drain_s, signal, value, inputs)
    elif said.target is None:
        raise NoMetricError("it has neither a target nor a drain time")


def _draining(
    said: Signal, drain_s: float, signal: SignalInput, value: float, inputs: Inputs
) -> Iterator[_Need]:
    try:
        each = _each_per_s(said, signal, value, inputs)
    except NoMetricError as e:
        if said.target is None:
            raise
        yield _Need(exact=0.0, target=said.target, reason=str(e), only_up=True)
        return
    coming = _coming_per_s(said, signal, inputs)
    comes = "" if coming is None else f"{shown(coming)}/s come, "
    reason = f"{comes}{shown(each)}/s each, done in {shown(drain_s)} s"
    exact = needed(value / drain_s + (coming or 0.0), each)
    yield _Need(exact=exact, target=each, reason=reason)
    if coming is None:
        unknown = "not fewer while what comes in is not known"
        yield _Need(exact=0.0, target=each, reason=unknown, only_up=True)


def _each_per_s(said: Signal, signal: SignalInput, value: float, inputs: Inputs) -> float:
    """What one replica does a second: as stated, as seen of consumers, as seen of requests."""
    if said.rate is not None:
        return said.rate
    learned = known(signal.each_per_s)
    if learned:
        return learned
    done, ready = _done_per_s(inputs), ready_of(inputs)
    if done and ready and value >= done:  # a second's work waits: none of them was idle
        return done / ready
    raise NoMetricError("what one replica does a second was not seen yet; rate can say it")


def _coming_per_s(said: Signal, signal: SignalInput, inputs: Inputs) -> float | None:
    """What comes in: as the source knows, or of a queue what was done and what waits more since."""
    arrived = known(signal.arrived_per_s)
    if arrived is not None or said.group:
        return arrived
    done = _done_per_s(inputs)
    if done is None or signal.growth_per_s is None:
        return None
    return known(max(0.0, done + signal.growth_per_s))


def _done_per_s(inputs: Inputs) -> float | None:
    load = inputs.load
    if stale("load", load.until, inputs.now) is not None:
        return None
    return known(load.requests_per_s)
