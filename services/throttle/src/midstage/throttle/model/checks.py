"""Checks and what becomes of them: a question, the limits that it meets, and what they say.

Structs of msgspec, for each check makes five of them: a frozen dataclass takes ten times as long.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from midstage.contracts.limits import CONCURRENCY, REQUESTS, LimitSet

NOTHING: Mapping[str, int] = MappingProxyType({})
UNLABELLED: Mapping[str, str] = MappingProxyType({})


class Check(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One question: may ``customer`` have ``hits`` requests to ``app``?

    ``key`` is the name of the API key, ``request`` the request's id. ``units``: what they will use
    of other units, as far as it is known. ``labels``: whatever else limits may ask for. ``over``:
    it is no question; the request has ended, and needs its slots no more.
    """

    customer: str
    app: str
    hits: int = 1
    key: str = ""
    request: str = ""
    units: Mapping[str, int] = NOTHING
    labels: Mapping[str, str] = UNLABELLED
    over: bool = False

    def of(self, unit: str) -> int:
        """What is asked for of one unit; of concurrency, a request is one whatever it hits."""
        if unit == REQUESTS:
            return self.hits
        if unit == CONCURRENCY:
            return min(1, self.hits)
        return self.units.get(unit, 0)


class Ended(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that is over, and what it has used by unit.

    ``as_estimated``: of a unit that is not named it has used what was estimated, and else nothing.
    ``passed``: it may have reached a replica; False where it is known that it did not.
    ``earlier``: another process counted for its customer then; its slots alone are yet to be freed.
    """

    request: str
    customer: str
    app: str
    key: str = ""
    labels: Mapping[str, str] = UNLABELLED
    used: Mapping[str, int] = NOTHING
    as_estimated: bool = True
    passed: bool = True
    earlier: bool = False


class Meeting(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """All limits that requests of a customer, API key and application meet, in a fixed order.

    Made once for all who meet the same, and kept until a limit changes. ``policies`` is the header
    ``RateLimit-Policy``, ``states`` the beginnings of each limit's part of ``RateLimit``, empty for
    one in shadow mode: callers are not told of it. ``settled``: where in ``limits`` those stand
    that are charged by an estimate and settled when the request is over. ``strict``: one of them
    is.
    """

    limits: Sequence[LimitSet]
    policies: str
    states: Sequence[str]
    shadowed: bool
    settled: Sequence[int]
    strict: bool


class Left(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a limit has left, and in how many nanoseconds it has more (None: not said)."""

    remaining: int
    wait_ns: int | None


class Judged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer to a check that limits hold for.

    ``left`` goes with ``meeting.limits``. Refused, ``violated`` names those that would refuse the
    same request again now, and ``wait_ns`` is how long the longest of them would (None: for ever).
    """

    admitted: bool
    meeting: Meeting
    left: Sequence[Left]
    violated: Sequence[str] = ()
    wait_ns: int | None = 0
