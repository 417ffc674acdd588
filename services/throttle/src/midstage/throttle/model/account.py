"""A limit as a check meets it: the meter of one key, and how the limit is to be taken.

Accounts are made once for each limit and key and kept, so that a check only looks them up.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class OnFailure(StrEnum):
    """What holds for a check that can't be decided by count."""

    OPEN = "open"
    CLOSED = "closed"
    OPEN_TO = "open_to"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureTerms:
    """``most`` is how many units ``OPEN_TO`` lets pass in a period, over all replicas together."""

    rule: OnFailure
    most: int = 0


OPEN = FailureTerms(rule=OnFailure.OPEN)
CLOSED = FailureTerms(rule=OnFailure.CLOSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """``reserved`` units, taken at ``taken_ns``, were really ``actual``.

    What is more than was reserved may go ``debt`` units below nothing, no further.
    """

    reserved: int
    actual: int
    taken_ns: int
    now_ns: int
    debt: int = 0
    request: str = ""

    @property
    def more(self) -> int:
        """What is to be charged yet; below 0 what comes back."""
        return self.actual - self.reserved


class Counting(Protocol):
    """What an account needs of a meter."""

    def take(self, units: int, now_ns: int, request: str = "") -> bool:
        """All or nothing."""
        ...

    def undo(self, units: int, request: str = "") -> None:
        """What the last take took."""
        ...

    def settle(self, done: Settlement) -> None:
        """What it really was."""
        ...

    def remaining(self, now_ns: int) -> int:
        """Whole units."""
        ...

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """Never too short; None if never."""
        ...

    def untouched(self, now_ns: int) -> bool:
        """Whether it may be forgotten."""
        ...


class Account(Protocol):
    """``shadow``: counts and refuses nobody. ``drain``: what asks for too much empties it.

    ``debt``: how many units settling may go below nothing. ``would_refuse`` counts what a shadow
    limit would have refused.
    """

    would_refuse: int

    @property
    def name(self) -> str:
        """The limit's."""
        ...

    @property
    def meter(self) -> Counting:
        """What counts."""
        ...

    @property
    def shadow(self) -> bool:
        """Whether it refuses nobody."""
        ...

    @property
    def drain(self) -> bool:
        """Whether asking for too much takes what is left."""
        ...

    @property
    def debt(self) -> int:
        """Units."""
        ...

    @property
    def on_failure(self) -> FailureTerms:
        """What holds for a check that can't be decided by count."""
        ...


class PlainAccount:
    """An Account that says all of itself: one of many would repeat what their limit says."""

    __slots__ = ("debt", "drain", "meter", "name", "on_failure", "shadow", "would_refuse")

    def __init__(
        self,
        name: str,
        meter: Counting,
        *,
        shadow: bool = False,
        drain: bool = False,
        debt: int = 0,
        on_failure: FailureTerms = OPEN,
    ) -> None:
        """The limit's name, and its meter for one key."""
        self.name = name
        self.meter = meter
        self.shadow = shadow
        self.drain = drain
        self.debt = debt
        self.on_failure = on_failure
        self.would_refuse = 0
