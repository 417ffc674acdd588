"""A circuit breaker for callers, as resilience4j's: by the last calls or by the last seconds.

Closed: calls pass and are recorded; when enough of them failed, or were slow, not before
``least_calls``, it opens. Open: no call passes for ``open_ns``, then it is half open. Half open:
``probes`` calls pass; when all have ended it closes below both thresholds and opens again at one.
Outcomes of calls that began in another state count for nothing.
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


_SLICES = 1_000


@dataclass(slots=True)
class _Slice:
    """Calls of one part of the time, or one call."""

    number: int
    calls: int = 0
    failed: int = 0
    slow: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerTerms:
    """``window`` is calls, or nanoseconds by time; a percentage opens it when it is reached.

    A call that took longer than ``slow_ns`` is slow; with 100 % of them only if all were. By time
    calls are counted in thousandths of the window, so its memory has a bound.
    """

    by: By = By.COUNT
    window: int = 100
    least_calls: int = 100
    failure_percent: float = 50.0
    slow_percent: float = 100.0
    slow_ns: int = 60_000_000_000
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
        "_slices",
        "_slow",
        "_state",
        "terms",
    )

    def __init__(self, terms: BreakerTerms) -> None:
        """Closed."""
        self.terms = terms
        self._state = Circuit.CLOSED
        self._slices: deque[_Slice] = deque()
        self._calls = self._failed = self._slow = 0
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

    def ended(self, ticket: int, now_ns: int, *, failed: bool, took_ns: int = 0) -> None:
        """The call of ``ticket`` has ended."""
        state = self.state(now_ns)
        if ticket != self._epoch or state is Circuit.OPEN:
            return
        self._record(failed=failed, slow=took_ns > self.terms.slow_ns)
        if state is Circuit.HALF_OPEN:
            if self._calls >= self.terms.probes:
                self._enter(Circuit.OPEN if self._at_threshold() else Circuit.CLOSED)
        elif self._calls >= self._least() and self._at_threshold():
            self._enter(Circuit.OPEN)

    def forgotten(self, ticket: int, now_ns: int) -> None:
        """The call of ``ticket`` has no outcome: another one may be made instead."""
        if self.state(now_ns) is Circuit.HALF_OPEN and ticket == self._epoch:
            self._allowed -= 1

    def probe_ns(self, now_ns: int) -> int | None:
        """Until a call may be made; None where that depends on those under way."""
        match self.state(now_ns):
            case Circuit.OPEN:
                return self._opened_ns + self.terms.open_ns - self._at_ns
            case Circuit.HALF_OPEN if self._allowed >= self.terms.probes:
                return None
            case _:
                return 0

    @property
    def last(self) -> Circuit:
        """The state that was found last."""
        return self._state

    def _least(self) -> int:
        by_count = self.terms.by is By.COUNT
        return (
            min(self.terms.least_calls, self.terms.window) if by_count else self.terms.least_calls
        )

    def _at_threshold(self) -> bool:
        failed = self._failed * 100 >= self.terms.failure_percent * self._calls
        return failed or self._slow * 100 >= self.terms.slow_percent * self._calls

    def _record(self, *, failed: bool, slow: bool) -> None:
        by_count = self.terms.by is By.COUNT
        number = 0 if by_count else self._at_ns * _SLICES // self.terms.window
        if by_count or not self._slices or self._slices[-1].number != number:
            self._slices.append(_Slice(number))
        newest = self._slices[-1]
        newest.calls, newest.failed = newest.calls + 1, newest.failed + failed
        newest.slow += slow
        self._add(calls=1, failed=failed, slow=slow)
        if self._state is Circuit.HALF_OPEN:
            return
        while (
            self._calls > self.terms.window
            if by_count
            else self._slices[0].number <= number - _SLICES
        ):
            oldest = self._slices.popleft()
            self._add(calls=-oldest.calls, failed=-oldest.failed, slow=-oldest.slow)

    def _add(self, *, calls: int, failed: int, slow: int) -> None:
        self._calls += calls
        self._failed += failed
        self._slow += slow

    def _enter(self, state: Circuit) -> None:
        self._state = state
        self._epoch += 1
        self._slices.clear()
        self._calls = self._failed = self._slow = self._allowed = 0
        if state is Circuit.OPEN:
            self._opened_ns = self._at_ns
