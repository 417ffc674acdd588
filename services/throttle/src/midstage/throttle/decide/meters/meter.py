"""What every algorithm can be asked, whatever it counts in.

A meter is the state of one limit for one key. It belongs to one thread and changes in place, since
a check has no time to make objects. Times are nanoseconds; a clock that goes back is taken to stand
still, so it neither gives nor takes. ``take`` is all or nothing, and a refusal takes nothing.
"""

from typing import Protocol

from midstage.throttle.model.account import Settlement


class Meter(Protocol):
    """Units that may be used; whole ones, and never rounded in anybody's favour."""

    def take(self, units: int, now_ns: int, request: str = "") -> bool:
        """Use ``units`` at least 0, or none of them; ``request`` matters where slots have owners.

        0 asks without taking: it passes unless the meter is in debt.
        """
        ...

    def undo(self, units: int, request: str = "") -> None:
        """Give back what the last ``take`` took, in the same step."""
        ...

    def settle(self, done: Settlement) -> None:
        """Make what was reserved what it really was.

        More becomes debt, as far as it may; less comes back where it still counts.
        """
        ...

    def remaining(self, now_ns: int) -> int:
        """Whole units that a take would get now; below 0 in debt."""
        ...

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """Until ``units`` would pass if nobody else asked, never too short; None if never."""
        ...

    def untouched(self, now_ns: int) -> bool:
        """Whether a new meter would answer alike for ever, so that this one may be forgotten."""
        ...
