"""What was wanted in the last hour, by application, for stabilising.

Only the largest and the least want since some moment are ever asked for, so of all wants only those
stay that no later one exceeds: some dozens, not thousands. The order of arrival does not matter.
"""

from bisect import bisect_left
from datetime import datetime, timedelta
from typing import Final

from midstage.contracts.scaling import Wanted
from midstage.hpa.model import LONGEST

KEPT: Final = LONGEST + timedelta(minutes=2)
AHEAD: Final = timedelta(seconds=60)
_SWEEP_EACH: Final = 10_000


class Wants:
    """The earlier wants of all applications; not for two threads at once."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._largest: dict[str, list[Wanted]] = {}
        self._least: dict[str, list[Wanted]] = {}
        self._until_sweep = _SWEEP_EACH

    def apply(self, app: str, want: Wanted, written_at: datetime) -> None:
        """Take in a want that was written at that time; one of another time is not believed."""
        if not written_at - KEPT < want.at < written_at + AHEAD:
            return
        _insert(self._largest.setdefault(app, []), want, sign=1)
        _insert(self._least.setdefault(app, []), want, sign=-1)
        self._sweep(written_at)

    def largest(self, app: str, since: datetime) -> Wanted | None:
        """The largest want after ``since``, of equal ones the newest."""
        return _first(self._largest.get(app, []), since)

    def least(self, app: str, since: datetime) -> Wanted | None:
        """The least want after ``since``, of equal ones the newest."""
        return _first(self._least.get(app, []), since)

    def _sweep(self, at: datetime) -> None:
        """Now and then forget the applications of which nothing is left to ask for."""
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = _SWEEP_EACH
        for app in [app for app, held in self._largest.items() if held[-1].at < at - KEPT]:
            del self._largest[app], self._least[app]


def _insert(held: list[Wanted], want: Wanted, *, sign: int) -> None:
    """Keep ``held`` ordered by time, its figures falling (``sign`` 1) or rising (-1)."""
    at = bisect_left(held, want.at, key=lambda each: each.at)
    if at < len(held) and sign * held[at].replicas >= sign * want.replicas:
        return
    if at < len(held) and held[at].at == want.at:
        del held[at]
    first = at
    while first > 0 and sign * held[first - 1].replicas <= sign * want.replicas:
        first -= 1
    held[first:at] = [want]
    old = held[-1].at - KEPT
    while held[0].at < old:
        del held[0]


def _first(held: list[Wanted], since: datetime) -> Wanted | None:
    at = bisect_left(held, since, key=lambda each: each.at)
    if at < len(held) and held[at].at == since:
        at += 1
    return held[at] if at < len(held) else None
