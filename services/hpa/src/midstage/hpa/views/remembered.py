"""What a rule left to remember, by application: of the newest evaluation, whoever made it.

So that a process that takes over panics on, and knows what a replica carries. What is older than an
evaluation may look back is forgotten, so that a reader that began late remembers the same.
"""

from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from midstage.hpa.model import LONGEST

KEPT: Final = LONGEST
AHEAD: Final = timedelta(seconds=60)
_SWEEP_EACH: Final = 10_000
M = TypeVar("M")


class Remembered(Generic[M]):
    """The memories of all applications; not for two threads at once."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._held: dict[str, tuple[datetime, M | None]] = {}
        self._until_sweep = _SWEEP_EACH

    def apply(self, app: str, memory: M | None, at: datetime, written_at: datetime) -> None:
        """Take in what an evaluation of ``at`` left; one of another time is not believed."""
        if not written_at - KEPT < at < written_at + AHEAD:
            return
        held = self._held.get(app)
        if held is None and memory is None:
            return  # most applications have no such rule
        if held is None or at >= held[0]:
            self._held[app] = (at, memory)
        self._sweep(written_at)

    def of(self, app: str, *, since: datetime) -> M | None:
        """What is remembered of it since then."""
        at, memory = self._held.get(app, (None, None))
        return memory if at is not None and at > since else None

    def _sweep(self, at: datetime) -> None:
        """Now and then forget the applications that nobody evaluates any more."""
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = _SWEEP_EACH
        for app in [app for app, held in self._held.items() if held[0] < at - KEPT]:
            del self._held[app]
