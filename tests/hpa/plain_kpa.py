"""KPA once more: slow and obvious, each second's whole past at hand, knowing nothing of ours.

https://knative.dev/docs/serving/autoscaling/ and ``pkg/autoscaler/scaling/autoscaler.go``.
"""

import math
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class PlainKpa:
    """One autoscaler with all it ever saw: ``(second, ready, stable, panic)``."""

    target: float
    threshold: float
    most_up: float
    most_down: float
    stable_s: float
    activation: int
    delay_s: float
    seen: list[tuple[int, int, float, float]] = field(default_factory=list)

    def desired(self, now: int, ready: int, stable: float, panic: float) -> int:
        """The count that it wants now, from all that it saw until now."""
        self.seen.append((now, ready, stable, panic))
        wanted = self.undelayed(len(self.seen) - 1)
        if self.delay_s == 0:
            return wanted
        ticks = math.ceil(self.delay_s / 2)
        return max(
            self.undelayed(number)
            for number, (at, *_) in enumerate(self.seen)
            if now // 2 - at // 2 < ticks
        )

    def undelayed(self, number: int) -> int:
        began = self.panic_began(number)
        if began is None:
            return self.by(self.seen[number], panicking=False)
        return max(self.by(each, panicking=True) for each in self.seen[began : number + 1])

    def panic_began(self, number: int) -> int | None:
        """Which observation began the panic that still is at this one."""
        began: int | None = None
        last = 0
        for index, (at, ready, _, panic) in enumerate(self.seen[: number + 1]):
            if math.ceil(panic / self.target) / max(1, ready) >= self.threshold:
                began = index if began is None else began
                last = at
            elif began is not None and at - last > self.stable_s:
                began = None
        return began

    def by(self, seen: tuple[int, int, float, float], *, panicking: bool) -> int:
        _, ready, stable, panic = seen
        wanted = self.limited(stable, max(1, ready))
        return max(wanted, self.limited(panic, max(1, ready))) if panicking else wanted

    def limited(self, carried: float, ready: int) -> int:
        wanted = math.ceil(carried / self.target)
        found = min(
            max(wanted, math.floor(ready / self.most_down)), math.ceil(self.most_up * ready)
        )
        return max(found, self.activation) if wanted > 0 and self.activation > 1 else found
