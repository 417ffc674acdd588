"""A circuit breaker for callers, as resilience4j's: by the last calls or by the last seconds.

Closed: calls pass and are recorded; at the threshold, not before ``least_calls``, it opens.
Open: no call passes for ``open_ns``, then it is half open. Half open: ``probes`` calls pass; when
all of them have ended it closes below the threshold and opens again at it. Outcomes of calls that
began in another state count for nothing.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum


class Circuit(StrEnum):
    """Whether calls pass."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class By(StrEnum):
    """What the window is of."""

    COUNT = "COUNT"
    TIME = "TIME"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerTerms:
    """``window`` is calls, or nanoseconds by time; ``failure_percent`` opens it when reached."""

    by: By = By.COUNT
    window: int = 100
    least_calls: int = 100
    failure_percent: float = 50.0
    probes: int = 10
    open_ns: int = 60_000_000_000


class Breaker:
    """One circuit; belongs to one thread."""

    __slots__ = (
        "_allowed",
        "_at_ns",
        "_calls",
        "_epoch",
        "_failed",
        "_opened_ns",
        "_state",
        "terms",
    )

    def __init__(self, terms: BreakerTerms) -> None:
        """Closed."""
        self.terms = terms
        self._state = Circuit.CLOSED
        self._calls: deque[tuple[int, bool]] = deque()
        self._failed = 0
        self._allowed = 0
        self._at_ns = 0
        self._opened_ns = 0
        self._epoch = 0

    def state(self, now_ns: int) -> Circuit:
        """The state at ``now_ns``; a clock that goes back opens nothing and closes nothing."""
        self._at_ns = max(self._at_ns, now_ns)
        if self._state is Circuit.OPEN and self._at_ns >= self._opened_ns + self.terms.open_ns:
            self._enter(Circuit.HALF_OPEN)
        return self._state

    def allows(self, now_ns: int) -> int | None:
        """The ticket of a call, to be given back with its outcome; None where none may be made."""
        match self.state(now_ns):
            case Circuit.CLOSED:
                return self._epoch
            case Circuit.OPEN:
                return None
            case Circuit.HALF_OPEN:
                if self._allowed >= self.terms.probes:
                    return None
                self._allowed += 1
                return self._epoch

    def ended(self, ticket: int, now_ns: int, *, failed: bool) -> None:
        """The call of ``ticket`` has ended."""
        state = self.state(now_ns)
        if ticket != self._epoch or state is Circuit.OPEN:
            return
        self._record(failed=failed)
        if state is Circuit.HALF_OPEN:
            if len(self._calls) >= self.terms.probes:
                self._enter(Circuit.OPEN if self._at_threshold() else Circuit.CLOSED)
        elif len(self._calls) >= self._least() and self._at_threshold():
            self._enter(Circuit.OPEN)

    def _least(self) -> int:
        by_count = self.terms.by is By.COUNT
        return (
            min(self.terms.least_calls, self.terms.window) if by_count else self.terms.least_calls
        )

    def _at_threshold(self) -> bool:
        return self._failed * 100 >= self.terms.failure_percent * len(self._calls)

    def _record(self, *, failed: bool) -> None:
        self._calls.append((self._at_ns, failed))
        self._failed += failed
        if self._state is Circuit.HALF_OPEN:
            return
        by_count, window = self.terms.by is By.COUNT, self.terms.window
        while len(self._calls) > window if by_count else self._calls[0][0] <= self._at_ns - window:
            self._failed -= self._calls.popleft()[1]

    def _enter(self, state: Circuit) -> None:
        self._state = state
        self._epoch += 1
        self._calls.clear()
        self._failed = self._allowed = 0
        if state is Circuit.OPEN:
            self._opened_ns = self._at_ns
