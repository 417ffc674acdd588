"""A meter with its claim in the log: what a room and a strict meter have in common.

At most one claim of a counter is under way. Until that was accepted or refused, whatever else is to
be written waits for the next one, and it is asked for once, however many things need it.
"""

from collections.abc import Callable
from typing import Generic, Self, TypeVar

from midstage.throttle.decide.claims.claim import Claims, Standing
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.model.limits import Key

M_co = TypeVar("M_co", bound=Meter, covariant=True)


class Claiming(Generic[M_co]):
    """What is known of the one claim that may be under way, for one key."""

    __slots__ = (
        "_asked",
        "_asked_ns",
        "_claims",
        "_is_asked",
        "_is_retired",
        "_pending",
        "_wanted",
        "algorithm",
        "key",
        "meter",
    )

    def __init__(
        self,
        meter: M_co,
        claims: Claims[M_co],
        *,
        key: Key,
        algorithm: str,
        now_ns: int,
        asked: Callable[[Self], None],
    ) -> None:
        """``key`` and ``algorithm`` name its claims in the log.

        ``asked`` hears once that a claim is to be made, soon.
        """
        self.meter = meter
        self.key = key
        self.algorithm = algorithm
        self._claims = claims
        self._asked = asked
        self._asked_ns = now_ns
        self._pending: Standing | None = None
        self._wanted = self._is_retired = False
        self._is_asked = True

    def asking_for_ns(self, now_ns: int) -> int:
        """Since when the log has not answered, in ns; 0 where no claim is under way."""
        return 0 if self._pending is None else now_ns - self._asked_ns

    def refused(self, claim: Standing) -> bool:
        """It counts for nobody, and never will; False: it is none of ours."""
        if claim != self._pending:
            return False
        self._pending = None
        return True

    def retire(self) -> None:
        """Another one is the counter's from now on: this one says nothing to the log, ever."""
        self._is_retired = True

    def untouched(self, now_ns: int) -> bool:
        """Whether nothing of it needs to be remembered, here or in the log."""
        return self._pending is None and not self._wanted and self.meter.untouched(now_ns)

    def _want(self: Self) -> None:
        if not self._wanted and self._pending is None:
            self._wanted = True
            self._asked(self)
