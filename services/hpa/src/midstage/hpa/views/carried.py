"""What each application carried, second by second, for the last minutes.

Facts fold as ``contracts.load.folded`` has it, into numbers: a fact seen twice changes nothing, a
missing shard is unknown. A second is complete when any later fact says so. What is older than
``FORGOTTEN_S`` is unknown, whoever folded it, so that a reader that began late knows the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from midstage.contracts.load import LoadObserved
from midstage.contracts.policy import Measure
from midstage.contracts.requests import Outcome
from midstage.contracts.scaling import LoadInput
from midstage.hpa.views.seconds import DEAF, UNKNOWN, Seconds

FORGOTTEN_S: Final = 60
LONGEST_WINDOW_S: Final = 600
KEPT: Final = timedelta(minutes=13)
"""Longer than what an evaluation may look back to."""
AHEAD: Final = timedelta(seconds=60)
MOST: Final = 10**12
"""More in one second is a broken counter: unknown."""
_SWEEP_EACH: Final = 10_000


@dataclass(slots=True, kw_only=True)
class _App:
    shards: dict[int, dict[int, Seconds]] = field(default_factory=dict)
    """By how many there are, and by which: in a second the finest counts."""
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
        _put(app, number, fact)
        complete = _complete(app, number)
        if complete <= int((at + AHEAD).timestamp()):
            app.complete = max(app.complete, complete)
        app.newest = max(app.newest, number)
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
        complete = min(held.newest, held.complete - 1)
        requests = _known(held, complete, oldest, window_s, _requests)
        gauged = _known(held, held.newest, oldest, window_s, _concurrency)
        return LoadInput(
            until=_end(requests),
            seconds=len(requests),
            requests_per_s=_mean(requests),
            gauged_until=_end(gauged),
            gauged_seconds=len(gauged),
            concurrency=_mean(gauged),
        )

    def gauged(self, app: str, *, now: datetime, window_s: int) -> tuple[float, float] | None:
        """In flight and pending in the newest known second, and by how much they grew each second.

        Since the first known second of the window before it; None: less than two are known.
        """
        held = self._apps.get(app)
        if held is None:
            return None
        oldest = int(now.timestamp()) - FORGOTTEN_S
        found = _known(held, held.newest, oldest, window_s + 1, _concurrency)
        if len(found) < 2:
            return None
        first, last = min(found), max(found)
        return float(found[last]), (found[last] - found[first]) / (last - first)

    def between(self, app: str, measure: Measure, first: int, end: int) -> dict[int, int]:
        """The known seconds from ``first`` to before ``end``, of at most ten minutes."""
        held = self._apps.get(app)
        if held is None:
            return {}
        newest, which = min(held.newest, end - 1), _concurrency
        if measure is Measure.RPS:
            newest, which = min(newest, held.complete - 1), _requests
        found = _known(held, newest, first, end - first, which)
        return {second: value for second, value in found.items() if second >= first}

    def _sweep(self, at: datetime) -> None:
        """Now and then forget the applications that nobody speaks of any more."""
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = _SWEEP_EACH
        oldest = int((at - KEPT).timestamp())
        for name in [name for name, app in self._apps.items() if app.newest < oldest]:
            del self._apps[name]
        for app in self._apps.values():
            if len(app.shards) > 1:
                _drop_old(app.shards, oldest)


def _put(app: _App, number: int, fact: LoadObserved) -> None:
    """All that ended, but refused ones: they never came to a replica."""
    shards = app.shards.setdefault(fact.shards, {})
    held = shards.get(fact.shard)
    if held is None:
        held = shards[fact.shard] = Seconds(number)
    counts = [n for name, n in fact.outcomes.items() if name != Outcome.REFUSED.value]
    requests = sum(counts)
    until = fact.complete_until
    held.put(
        number,
        fact.revision,
        requests=requests if min(counts, default=0) >= 0 and requests <= MOST else UNKNOWN,
        concurrency=_in_flight(fact),
        complete=0 if until is None else int(until.timestamp()),
    )


def _in_flight(fact: LoadObserved) -> int:
    if fact.edges == 0:
        return DEAF
    if fact.in_flight is None or fact.pending is None:
        return UNKNOWN
    total = fact.in_flight + fact.pending
    return total if min(fact.in_flight, fact.pending) >= 0 and total <= MOST else UNKNOWN


def _whole(app: _App, number: int) -> Sequence[Seconds]:
    """All shards, where each said something of the second; of two ways to share out the finer."""
    for shards in sorted(app.shards, reverse=True) if len(app.shards) > 1 else app.shards:
        found = [each for each in app.shards[shards].values() if each.heard(number)]
        if found:
            return found if len(found) >= shards else ()
    return ()


def _requests(whole: Sequence[Seconds], number: int) -> int | None:
    total = 0
    for each in whole:
        one = each.requests(number)
        if one < 0:
            return None
        total += one
    return total if whole and total <= MOST else None


def _concurrency(whole: Sequence[Seconds], number: int) -> int | None:
    """Of the shards that hear an edge; None where none does."""
    total, hearing = 0, False
    for each in whole:
        one = each.concurrency(number)
        if one == UNKNOWN:
            return None
        if one != DEAF:
            total, hearing = total + one, True
    return total if hearing and total <= MOST else None


def _complete(app: _App, number: int) -> int:
    """Up to where all shards that hear an edge count everything, as they say in that second."""
    said = [
        each.complete(number) for each in _whole(app, number) if each.concurrency(number) != DEAF
    ]
    return min(said, default=0)


def _known(
    app: _App,
    newest: int,
    oldest: int,
    window_s: int,
    which: Callable[[Sequence[Seconds], int], int | None],
) -> dict[int, int]:
    """The values of the newest known second and of those of the window before it."""
    window_s = min(window_s, LONGEST_WINDOW_S)
    only = app.shards.get(1)
    if only is not None and len(app.shards) == len(only) == 1:  # for most of all, ten times faster
        [held] = only.values()
        return held.known(newest, oldest, window_s, gauged=which is _concurrency)
    found: dict[int, int] = {}
    number, least = newest, oldest
    while number >= least:
        value = which(_whole(app, number), number)
        if value is not None:
            if not found:
                least = number - window_s + 1
            found[number] = value
        number -= 1
    return found


def _drop_old(shards: dict[int, dict[int, Seconds]], oldest: int) -> None:
    for of, held in list(shards.items()):
        if all(each.newest < oldest for each in held.values()):
            del shards[of]


def _end(found: dict[int, int]) -> datetime | None:
    return datetime.fromtimestamp(max(found) + 1, UTC) if found else None


def _mean(found: dict[int, int]) -> float | None:
    return sum(found.values()) / len(found) if found else None
