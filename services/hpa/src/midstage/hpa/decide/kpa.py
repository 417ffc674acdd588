"""Knative's pod autoscaler, exactly: a stable and a panic window, and no shrinking in a panic.

Source: knative/serving, ``pkg/autoscaler/scaling/autoscaler.go``. Figures are those of all replicas
together; times are seconds of any clock that does not go back. Values are Structs, for some are
made by each evaluation: a dataclass takes five times as long.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

TICK_S: Final = 2.0
"""A delayed maximum is kept by steps of that, as Knative's is."""


class Spec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``target`` of one replica at its target use, ``total`` at full use; rates are factors.

    ``burst``: the excess capacity to have; negative is without bound, 0 is none.
    """

    target: float
    total: float
    panic_threshold: float = 2.0
    most_up: float = 1000.0
    most_down: float = 2.0
    stable_s: float = 60.0
    delay_s: float = 0.0
    activation: int = 0
    burst: float = 211.0
    reachable: bool = True


class Observed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What all replicas carry: means over the two windows; None: there is no data."""

    ready: int
    stable: float | None
    panic: float | None


class Memory(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one decision leaves to the next: since when it panics, the most it wanted meanwhile.

    ``maxima`` are the wants of the delay, by their tick, newest last.
    """

    panic_since: float | None = None
    most: int = 0
    maxima: Sequence[tuple[int, int]] = ()


class Scaled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The count, and by how much capacity exceeds what is carried and the wanted burst."""

    replicas: int
    excess: int


def scaled(
    spec: Spec, memory: Memory, observed: Observed, now: float
) -> tuple[Scaled | None, Memory]:
    """The count and the memory after it; None where there is no data, and nothing is forgotten."""
    if observed.stable is None or observed.panic is None:
        return None, memory
    ready = max(1, observed.ready)
    by_stable = math.ceil(observed.stable / spec.target)
    by_panic = math.ceil(observed.panic / spec.target)
    stable = _activated(spec, by_stable, _limited(spec, by_stable, ready))
    panic = _activated(spec, by_panic, _limited(spec, by_panic, ready))
    memory = _alarmed(spec, memory, over=by_panic / ready >= spec.panic_threshold, now=now)
    wanted = stable
    if memory.panic_since is not None:
        wanted = max(stable, panic, memory.most)
        memory = replace(memory, most=wanted)
    wanted, memory = _delayed(spec, memory, wanted, now)
    return Scaled(replicas=wanted, excess=_excess(spec, observed.ready, observed.panic)), memory


def _limited(spec: Spec, wanted: int, ready: int) -> int:
    highest = math.ceil(spec.most_up * ready)
    lowest = math.floor(ready / spec.most_down) if spec.reachable else 0
    return min(max(wanted, lowest), highest)


def _activated(spec: Spec, wanted: int, limited: int) -> int:
    if spec.activation > 1 and wanted > 0:
        return max(limited, spec.activation)
    return limited


def _alarmed(spec: Spec, memory: Memory, *, over: bool, now: float) -> Memory:
    if over:
        return replace(memory, panic_since=now)
    since = memory.panic_since
    if since is not None and since + spec.stable_s < now:
        return replace(memory, panic_since=None, most=0)
    return memory


def _delayed(spec: Spec, memory: Memory, wanted: int, now: float) -> tuple[int, Memory]:
    """The largest want of the delay; an unreachable revision waits for nothing."""
    if spec.delay_s <= 0:
        return wanted, memory
    tick = math.floor(now / TICK_S)
    kept = math.ceil(spec.delay_s / TICK_S)
    within = [(at, want) for at, want in memory.maxima if tick - at < kept and want > wanted]
    maxima = (*within, (tick, wanted))
    return (maxima[0][1] if spec.reachable else wanted), replace(memory, maxima=maxima)


def _excess(spec: Spec, ready: int, panic: float) -> int:
    if spec.burst == 0:
        return 0
    if spec.burst < 0:
        return -1
    return math.floor(ready * spec.total - spec.burst - panic)
