"""How the replay goes: counts so far and the latency of the last seconds, as one JSON line.

Offered = answered + refused + failed + cancelled + in flight, at every moment.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from midstage.contracts.requests import Outcome
from midstage.local.replay.listing import CallerRow

WINDOW_S = 5.0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One progress line; the latencies are those of the last 5 s, None when none ended."""

    elapsed_s: float
    offered: int
    answered: int
    refused: int
    failed: int
    cancelled: int
    in_flight: int
    p50_ms: float | None
    p99_ms: float | None
    late_ms: float
    done: bool = False


@dataclass(slots=True, kw_only=True)
class Progress:
    """The counts of one replay."""

    offered: int = 0
    answered: int = 0
    refused: int = 0
    failed: int = 0
    cancelled: int = 0
    late_ms: float = 0.0
    _recent: deque[tuple[float, float]] = field(default_factory=deque)

    def sent(self, *, late_s: float) -> None:
        """One more request left, ``late_s`` behind its schedule."""
        self.offered += 1
        self.late_ms = max(self.late_ms, late_s * 1000)

    def ended(self, row: CallerRow, *, at: float) -> None:
        """One request ended at the monotonic time ``at``."""
        match row.outcome:
            case Outcome.OK:
                self.answered += 1
                self._recent.append((at, row.duration_ms))
            case Outcome.REFUSED:
                self.refused += 1
            case Outcome.CANCELLED:
                self.cancelled += 1
            case Outcome.ERROR | Outcome.INVALID:
                self.failed += 1

    def line(self, *, elapsed_s: float, at: float, done: bool) -> Line:
        """The state at the monotonic time ``at``."""
        while self._recent and self._recent[0][0] < at - WINDOW_S:
            self._recent.popleft()
        durations = sorted(duration for _, duration in self._recent)
        ended = self.answered + self.refused + self.failed + self.cancelled
        return Line(
            elapsed_s=round(elapsed_s, 1),
            offered=self.offered,
            answered=self.answered,
            refused=self.refused,
            failed=self.failed,
            cancelled=self.cancelled,
            in_flight=self.offered - ended,
            p50_ms=quantile(durations, 0.5),
            p99_ms=quantile(durations, 0.99),
            late_ms=round(self.late_ms, 1),
            done=done,
        )


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The value at rank ``q`` of values in order; None for none."""
    return ordered[round(q * (len(ordered) - 1))] if ordered else None
