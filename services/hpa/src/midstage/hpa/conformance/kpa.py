"""Cases of Knative's pod autoscaler, in the format of ``kpa_cases.json``, put to the engine."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, Shape
from midstage.hpa.decide import kpa
from midstage.hpa.decide.kpa import Memory, Observed, Spec

_BURST_OFF: Final = 1
"""Knative's own tests let the excess capacity be off by one."""


class _Spec(Shape, frozen=True, kw_only=True):
    target: float
    total_ratio: float = 1.0
    total: float | None = None
    panic_threshold: float
    max_up: float
    max_down: float
    stable_window_s: float
    scale_down_delay_s: float = 0.0
    reachable: bool = True
    activation_scale: int = 0
    tbc: float = 0.0


class _Initial(Shape, frozen=True, kw_only=True):
    panic: bool = False
    panic_since_s: float = 0.0
    max_panic_pods: int = 0


class _Set(Shape, frozen=True, kw_only=True):
    target: float | None = None
    tbc: float | None = None
    reachable: bool | None = None
    total: float | None = None
    max_up: float | None = None
    max_down: float | None = None
    panic_threshold: float | None = None
    stable_window_s: float | None = None
    scale_down_delay_s: float | None = None
    activation_scale: int | None = None


class _Step(Shape, frozen=True, kw_only=True):
    t_s: float
    ready_pods: int
    stable_value: float | None = None
    panic_value: float | None = None
    no_data: bool = False
    expected: int | None
    expected_excess_burst_capacity: int | None = None
    valid: bool = True
    set: _Set = _Set()


class Case(Shape, frozen=True, kw_only=True):
    """Steps of one autoscaler, one after the other."""

    id: str
    name: str = ""
    spec: _Spec
    initial: _Initial = _Initial()
    steps: Sequence[_Step]


def judged(case: Case) -> Sequence[Differing]:
    """What of the case's expectations does not come out."""
    return list(_judged(case))


def _judged(case: Case) -> Iterator[Differing]:
    said = case.spec
    memory = Memory(
        panic_since=case.initial.panic_since_s if case.initial.panic else None,
        most=case.initial.max_panic_pods,
    )
    for number, step in enumerate(case.steps, 1):
        changed = {
            name: value
            for name, value in msgspec.structs.asdict(step.set).items()
            if value is not None
        }
        said = msgspec.structs.replace(said, **changed)
        observed = Observed(
            ready=step.ready_pods,
            stable=None if step.no_data else step.stable_value,
            panic=None if step.no_data else step.panic_value,
        )
        found, memory = kpa.scaled(_spec(said), memory, observed, step.t_s)
        replicas = None if found is None else found.replicas
        if replicas != step.expected:
            yield Differing(field=f"step {number}", expected=step.expected, found=replicas)
        wanted = step.expected_excess_burst_capacity
        if wanted is not None and (found is None or abs(found.excess - wanted) > _BURST_OFF):
            excess = None if found is None else found.excess
            yield Differing(field=f"step {number}: excess capacity", expected=wanted, found=excess)


def _spec(said: _Spec) -> Spec:
    total = said.target / said.total_ratio if said.total is None else said.total
    return Spec(
        target=said.target,
        total=total,
        panic_threshold=said.panic_threshold,
        most_up=said.max_up,
        most_down=said.max_down,
        stable_s=said.stable_window_s,
        delay_s=said.scale_down_delay_s,
        activation=said.activation_scale,
        burst=said.tbc,
        reachable=said.reachable,
    )


DECODER: Final = msgspec.json.Decoder(Case)
