"""A circuit breaker around calls, for threads and tasks alike.

``with breaker.calling(): …``, ``async with breaker.calling(): …`` or ``@breaker`` over a function
of either kind. A call that is cancelled, or ends with an exception that does not count, is no
outcome: its probe is free again.
"""

import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, cast

from midstage.limits.circuit import Breaker, BreakerTerms, Circuit
from midstage.limits.errors import CircuitOpenError

_P = ParamSpec("_P")
_R = TypeVar("_R")
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The circuit is another one now."""

    circuit: str
    before: Circuit
    now: Circuit


Listener = Callable[[Changed], None]


class CircuitBreaker:
    """One circuit for all who call the same thing."""

    def __init__(
        self,
        name: str,
        terms: BreakerTerms | None = None,
        *,
        failures: tuple[type[Exception], ...] = (Exception,),
        ignored: tuple[type[Exception], ...] = (),
        listeners: tuple[Listener, ...] = (),
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``failures`` count against it, but for those that are also ``ignored``.

        ``listeners`` are told of each change by the call that brought it, outside of the lock.
        """
        self.name = name
        self._breaker = Breaker(terms or BreakerTerms())
        self._failures, self._ignored = failures, ignored
        self._listeners = listeners
        self._now_ns = monotonic_ns
        self._lock = threading.Lock()
        self._known = Circuit.CLOSED

    @property
    def state(self) -> Circuit:
        """The state now."""
        with self._lock:
            state = self._breaker.state(self._now_ns())
        self._tell()
        return state

    def calling(self) -> "Calling":
        """One call, for ``with`` or ``async with``: CircuitOpenError where it may not be made."""
        return Calling(self)

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """The same around each call of ``function``."""
        if iscoroutinefunction(function):
            called = cast("Callable[_P, Awaitable[object]]", function)

            @wraps(function)
            async def guarded_async(*args: _P.args, **kwargs: _P.kwargs) -> object:
                with self.calling():
                    return await called(*args, **kwargs)

            return cast("Callable[_P, _R]", guarded_async)

        @wraps(function)
        def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with self.calling():
                return function(*args, **kwargs)

        return guarded

    def begun(self) -> tuple[int, int]:
        """The ticket of a call and when it began; CircuitOpenError where none may be made."""
        now_ns = self._now_ns()
        with self._lock:
            ticket = self._breaker.allows(now_ns)
            wait_ns = None if ticket is not None else self._breaker.probe_ns(now_ns)
        self._tell()
        if ticket is None:
            raise CircuitOpenError(self.name, None if wait_ns is None else wait_ns / _NS_PER_S)
        return ticket, now_ns

    def ended(self, ticket: int, begun_ns: int, raised: BaseException | None) -> None:
        """The call of a ticket ended, with this exception if it raised one."""
        now_ns = self._now_ns()
        with self._lock:
            if raised is None or self._counts(raised):
                took_ns = now_ns - begun_ns
                self._breaker.ended(ticket, now_ns, failed=raised is not None, took_ns=took_ns)
            else:
                self._breaker.forgotten(ticket, now_ns)
        self._tell()

    def _counts(self, raised: BaseException) -> bool:
        return isinstance(raised, self._failures) and not isinstance(raised, self._ignored)

    def _tell(self) -> None:
        with self._lock:
            before, self._known = self._known, self._breaker.last
        if before is not self._known:
            for listener in self._listeners:
                listener(Changed(circuit=self.name, before=before, now=self._known))


class Calling:
    """A call through a circuit; used once."""

    __slots__ = ("_begun", "_breaker")

    def __init__(self, breaker: CircuitBreaker) -> None:
        """Not begun."""
        self._breaker = breaker
        self._begun = (0, 0)

    def __enter__(self) -> Self:
        """Begin; CircuitOpenError where it may not be made."""
        self._begun = self._breaker.begun()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """It ended."""
        self._breaker.ended(*self._begun, raised)

    async def __aenter__(self) -> Self:
        """The same; nothing is waited for."""
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """It ended."""
        self.__exit__(kind, raised, at)
