"""A rule as Knative's pod autoscaler, with what it remembers from one evaluation to the next."""

from datetime import UTC, datetime, timedelta
from typing import Final

from midstage.contracts.policy import Knative, Measure
from midstage.contracts.scaling import (
    Inputs,
    KnativeInput,
    KnativeMemory,
    Proposal,
    Rule,
    Ticked,
)
from midstage.hpa.decide import policies
from midstage.hpa.decide.figures import MOST_REPLICAS, known, shown
from midstage.hpa.decide.kpa import Memory, Observed, scaled
from midstage.hpa.decide.rules.totals import ready_of, stale

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_MOST_CARRIED: Final = 1e12


def knative(inputs: Inputs, said: Knative) -> tuple[Proposal, KnativeMemory | None]:
    """What it wants, and what it remembers; where there is no data it forgets nothing."""
    held = inputs.knative or KnativeInput()
    stable, panic = _figure(held.stable), _figure(held.panic)
    what = "load" if said.metric is Measure.RPS else "what is in flight"
    why_not = stale(what, held.until, inputs.now)
    if why_not is not None or stable is None or panic is None:
        reason = why_not or f"{what} is not known"
        return Proposal(rule=Rule.KNATIVE, target=said.target, reason=reason), held.memory
    spec = policies.knative(said)
    ready = ready_of(inputs)
    found, memory = scaled(
        spec,
        _memory(held.memory),
        Observed(ready=ready, stable=stable, panic=panic),
        (inputs.now - _EPOCH) / _SECOND,
    )
    wanted = 0 if found is None else min(found.replicas, MOST_REPLICAS)
    mood = "" if memory.panic_since is None else "; it panics and does not shrink"
    return (
        Proposal(
            rule=Rule.KNATIVE,
            carried=stable,
            target=spec.target,
            want=wanted,
            reason=f"{shown(stable)} in {said.stable_window_s} s, {shown(panic)} just now, "
            f"{shown(spec.target)} each{mood}",
        ),
        _remembered(memory),
    )


def _figure(value: float | None) -> float | None:
    found = known(value)
    return None if found is None else min(found, _MOST_CARRIED)


def _memory(held: KnativeMemory | None) -> Memory:
    if held is None:
        return Memory()
    since = None if held.panic_since is None else (held.panic_since - _EPOCH) / _SECOND
    maxima = tuple((each.tick, each.replicas) for each in held.maxima)
    return Memory(panic_since=since, most=held.most, maxima=maxima)


def _remembered(memory: Memory) -> KnativeMemory | None:
    if memory == Memory():
        return None
    since = None if memory.panic_since is None else _EPOCH + memory.panic_since * _SECOND
    most = min(memory.most, MOST_REPLICAS)
    maxima = tuple(
        Ticked(tick=tick, replicas=min(want, MOST_REPLICAS)) for tick, want in memory.maxima
    )
    return KnativeMemory(panic_since=since, most=most, maxima=maxima)
