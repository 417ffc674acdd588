"""Checks and what becomes of them: a question, the limits that it meets, and what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from midstage.contracts.limits import CONCURRENCY, REQUESTS, LimitSet
from midstage.throttle.model.limits import MeterKey

NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question: may ``customer`` have ``hits`` requests to ``app``?

    ``key`` is the name of the API key, ``request`` the request's id. ``units``: what they will use
    of other units, as far as it is known.
    """

    customer: str
    app: str
    hits: int = 1
    key: str = ""
    request: str = ""
    units: Mapping[str, int] = field(default_factory=lambda: NOTHING)

    def of(self, unit: str) -> int:
        """What is asked for of one unit; of concurrency, a request is one whatever it hits."""
        if unit == REQUESTS:
            return self.hits
        if unit == CONCURRENCY:
            return min(1, self.hits)
        return self.units.get(unit, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A request that is over, and what it has used by unit.

    ``as_estimated``: of a unit that is not named it has used what was estimated, and else nothing.
    """

    request: str
    customer: str
    app: str
    key: str = ""
    used: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    as_estimated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Meeting:
    """All limits that requests of one customer, API key and application meet, in a fixed order.

    Made once and kept until a limit changes. ``keys`` are whose meters count. ``policies`` is the
    header ``RateLimit-Policy``, ``states`` the beginnings of each limit's part of ``RateLimit``,
    empty for one in shadow mode: callers are not told of it. ``settled``: where in ``limits`` those
    stand that are charged by an estimate and settled when the request is over.
    """

    limits: Sequence[LimitSet]
    keys: Sequence[MeterKey]
    policies: str
    states: Sequence[str]
    shadowed: bool
    settled: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a limit has left, and in how many nanoseconds it has more (None: not said)."""

    remaining: int
    wait_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The answer to a check that limits hold for.

    ``left`` goes with ``meeting.limits``. Refused, ``violated`` names those that would refuse the
    same request again now, and ``wait_ns`` is how long the longest of them would (None: for ever).
    """

    admitted: bool
    meeting: Meeting
    left: Sequence[Left]
    violated: Sequence[str] = ()
    wait_ns: int | None = 0
