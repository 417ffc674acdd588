"""What each application carried, second by second, for the last minutes.

Facts fold by ``contracts.load.folded``, so a fact seen twice changes nothing and a missing shard is
unknown. A second is complete when any later fact says so. What is older than ``FORGOTTEN_S`` is
unknown, whoever folded it, so that a reader that began late knows the same.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from midstage.contracts import sketch
from midstage.contracts.load import LoadObserved, folded
from midstage.contracts.requests import Outcome
from midstage.contracts.scaling import LoadInput

FORGOTTEN_S: Final = 60
LONGEST_WINDOW_S: Final = 600
KEPT: Final = timedelta(minutes=13)
"""Longer than what an evaluation may look back to."""
AHEAD: Final = timedelta(seconds=60)
MOST: Final = 10**12
"""More in one second is a broken counter: unknown."""
_SWEEP_EACH: Final = 10_000


@dataclass(slots=True, kw_only=True)
class _Second:
    parts: tuple[LoadObserved, ...] = ()
    requests: int | None = None
    concurrency: int | None = None


@dataclass(slots=True, kw_only=True)
class _App:
    seconds: dict[int, _Second] = field(default_factory=dict)
    newest: int = 0
    complete: int = 0  # seconds that end at or before it are complete


class Carried:
    """The seconds of all applications; not for two threads at once."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._apps: dict[str, _App] = {}
        self._until_sweep = _SWEEP_EACH

    def apply(self, fact: LoadObserved, at: datetime) -> bool:
        """Take in a fact that was written ``at``; whether it is of the time that is kept."""
        if not at - KEPT < fact.second < at + AHEAD:
            return False
        app = self._apps.setdefault(fact.app, _App())
        number = int(fact.second.timestamp())
        second = app.seconds.setdefault(number, _Second())
        self._fold(app, second, _light(fact), at)
        app.newest = max(app.newest, number)
        _trim(app, int((at - KEPT).timestamp()))
        self._sweep(at)
        return True

    def apps(self) -> frozenset[str]:
        """The applications heard of lately."""
        return frozenset(self._apps)

    def of(self, app: str, *, now: datetime, window_s: int) -> LoadInput:
        """The means over the newest ``window_s`` seconds that are known."""
        held = self._apps.get(app)
        if held is None:
            return LoadInput()
        oldest = int(now.timestamp()) - FORGOTTEN_S
        requests = _known(held, min(held.newest, held.complete - 1), oldest, window_s, "requests")
        gauged = _known(held, held.newest, oldest, window_s, "concurrency")
        return LoadInput(
            until=_end(requests),
            seconds=len(requests),
            requests_per_s=_mean(requests),
            gauged_until=_end(gauged),
            gauged_seconds=len(gauged),
            concurrency=_mean(gauged),
        )

    def _fold(self, app: _App, second: _Second, fact: LoadObserved, at: datetime) -> None:
        which = (fact.shards, fact.shard)
        others = tuple(part for part in second.parts if (part.shards, part.shard) != which)
        same = [part for part in second.parts if (part.shards, part.shard) == which]
        if same and same[0].revision >= fact.revision:
            fact = same[0]
        second.parts = (*others, fact)
        whole = folded(second.parts)
        if whole is None:
            return
        second.requests = _requests(whole)
        second.concurrency = _concurrency(whole)
        if whole.complete_until is not None and whole.complete_until < at + AHEAD:
            app.complete = max(app.complete, int(whole.complete_until.timestamp()))

    def _sweep(self, at: datetime) -> None:
        """Now and then forget the applications that nobody speaks of any more."""
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = _SWEEP_EACH
        oldest = int((at - KEPT).timestamp())
        for name in [name for name, app in self._apps.items() if app.newest < oldest]:
            del self._apps[name]


def _light(fact: LoadObserved) -> LoadObserved:
    """Without what hpa does not look at, so that many applications fit into memory."""
    return msgspec.structs.replace(fact, units={}, latency_ms=sketch.EMPTY, ttft_ms=sketch.EMPTY)


def _requests(whole: LoadObserved) -> int | None:
    """All that ended, but refused ones: they never came to a replica."""
    counts = [n for name, n in whole.outcomes.items() if name != Outcome.REFUSED.value]
    total = sum(counts)
    return total if min(counts, default=0) >= 0 and total <= MOST else None


def _concurrency(whole: LoadObserved) -> int | None:
    if whole.in_flight is None or whole.pending is None:
        return None
    total = whole.in_flight + whole.pending
    return total if min(whole.in_flight, whole.pending) >= 0 and total <= MOST else None


def _known(app: _App, newest: int, oldest: int, window_s: int, which: str) -> dict[int, int]:
    """The values of the newest known second and of those of the window before it."""
    found: dict[int, int] = {}
    number, least = newest, oldest
    while number >= least:
        second = app.seconds.get(number)
        value = None if second is None else _value(second, which)
        if value is not None:
            if not found:
                least = number - min(window_s, LONGEST_WINDOW_S) + 1
            found[number] = value
        number -= 1
    return found


def _value(second: _Second, which: str) -> int | None:
    return second.requests if which == "requests" else second.concurrency


def _end(found: dict[int, int]) -> datetime | None:
    return datetime.fromtimestamp(max(found) + 1, UTC) if found else None


def _mean(found: dict[int, int]) -> float | None:
    return sum(found.values()) / len(found) if found else None


def _trim(app: _App, oldest: int) -> None:
    while app.seconds:
        first = next(iter(app.seconds))
        if first >= oldest:
            return
        del app.seconds[first]
