"""What decides in a simulation besides the engine: its rule alone, or a count for ever.

``Rule`` is the engine's chain for a policy of requests a second, from the same pure parts without
inputs and reasons, so that many baselines take minutes; a test holds both to the same counts.
"""

from collections import deque
from typing import Final, Protocol

from midstage.contracts.policy import Policy
from midstage.hpa.decide import policies
from midstage.hpa.decide.figures import needed, up
from midstage.hpa.decide.hpav2.behavior import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Behavior,
    Change,
    Recommendation,
    limited,
    stabilized,
)
from midstage.hpa.decide.hpav2.proposing import by_share
from midstage.hpa.simulate.past import Past
from midstage.hpa.simulate.series import STEP_S

_MICRO: Final = 1_000_000


class Scaler(Protocol):
    """Says how many replicas there should be."""

    def __call__(self, step: int, carried: float, *, ready: int, coming: int) -> int:
        """The count from ``step`` on, where ``carried`` a second is seen."""
        ...


class Static:
    """The same count for ever."""

    def __init__(self, count: int) -> None:
        """So many."""
        self._count = count

    def __call__(self, step: int, carried: float, *, ready: int, coming: int) -> int:
        """That count."""
        del step, carried, ready, coming
        return self._count


class Rule:
    """The chain for a policy of requests a second, and nothing but counts."""

    def __init__(self, policy: Policy, *, past: Past | None = None) -> None:
        """``past`` is what the forecast goes by; None: the policy has none."""
        target = policy.targets.requests_per_s
        if target is None:
            raise ValueError("only requests a second are ruled here")
        self._policy = policy
        self._target = target
        self._past = past
        self._tolerance = policies.tolerance(policy)
        self._behavior = policies.behavior(policy) or Behavior(up=DEFAULT_UP, down=DEFAULT_DOWN)
        self._up_s = self._behavior.up.stabilization_s
        self._down_s = self._behavior.down.stabilization_s
        self._period_s = policies.period_s(policy)
        self._largest = Extremes(sign=1)
        self._least = Extremes(sign=-1)
        self._changes: deque[tuple[int, int]] = deque()

    def __call__(self, step: int, carried: float, *, ready: int, coming: int) -> int:
        """As ``Engine``."""
        current = ready + coming
        want = by_share(
            current=current,
            value_m=round(carried * _MICRO),
            average_m=max(1, round(self._target * _MICRO)),
            tolerance=self._tolerance,
        ).replicas
        if want < current and self._held_up(carried, ready):
            want = current
        figure = self._limited(step, self._stabilized(step, want, current), current)
        self._largest.add(step, want)
        self._least.add(step, want)
        figure = min(max(figure, self._floor(step), self._policy.min), self._policy.max)
        if figure != current:
            self._changes.append((step, figure - current))
        return figure

    def _held_up(self, carried: float, ready: int) -> bool:
        exact = needed(carried, self._target)
        return round(exact / ready, 9) > 1 if ready else carried > 0

    def _stabilized(self, step: int, want: int, current: int) -> int:
        largest = self._largest.since(step - self._down_s / STEP_S)
        least = self._least.since(step - self._up_s / STEP_S)
        low = want if least is None else min(want, least[1])
        high = want if largest is None else max(want, largest[1])
        earlier = (
            Recommendation(replicas=low, age_s=0.0),
            Recommendation(replicas=high, age_s=0.0),
        )
        return stabilized(want, current=current, earlier=earlier, up_s=1.0, down_s=1.0)

    def _limited(self, step: int, figure: int, current: int) -> int:
        if figure == current:
            return figure
        while self._changes and (step - self._changes[0][0]) * STEP_S >= self._period_s:
            self._changes.popleft()
        past = [
            Change(change=change, age_s=float((step - at) * STEP_S)) for at, change in self._changes
        ]
        return limited(
            figure,
            current=current,
            least=self._policy.min,
            most=self._policy.max,
            behavior=self._behavior,
            ups=[each for each in past if each.change > 0],
            downs=[Change(change=-one.change, age_s=one.age_s) for one in past if one.change < 0],
        ).replicas

    def _floor(self, step: int) -> int:
        said = self._policy.forecast
        found = None if self._past is None else self._past.at(step)
        if said is None or found is None or found.off or found.carried is None:
            return 0
        return up(needed(found.carried * said.margin, self._target))


class Extremes:
    """The largest (``sign`` 1) or least (-1) figure since a step, of figures that come in order."""

    def __init__(self, *, sign: int) -> None:
        """Know of none."""
        self._sign = sign
        self._held: deque[tuple[int, int]] = deque()

    def add(self, step: int, figure: int) -> None:
        """Take one in."""
        while self._held and self._sign * self._held[-1][1] <= self._sign * figure:
            self._held.pop()
        self._held.append((step, figure))

    def since(self, step: float) -> tuple[int, int] | None:
        """The step and the figure of the extreme after ``step``; what is older is forgotten."""
        while self._held and self._held[0][0] <= step:
            self._held.popleft()
        return self._held[0] if self._held else None
