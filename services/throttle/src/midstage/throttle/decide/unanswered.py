"""Requests that a lost owner may not have answered, until the log tells what became of them.

Each is settled once: what was told of it first takes it out. One of which nothing is heard stays
used, as nobody knows that it did not pass.
"""

from collections.abc import Collection, Iterable, Sequence

from midstage.contracts.spends import Unanswered
from midstage.throttle.decide.strict import NAMED_NS
from midstage.throttle.model.limits import Key


class Awaited:
    """By request; belongs to one thread."""

    def __init__(self) -> None:
        """Nobody is awaited."""
        self._counters: dict[str, dict[Key, Unanswered]] = {}
        self._until_ns = 0

    def __len__(self) -> int:
        """How many requests."""
        return len(self._counters)

    def add(
        self, named: Iterable[tuple[Key, Sequence[Unanswered]]], now_ns: int
    ) -> Collection[Unanswered]:
        """Await the ends of those that may still be told of; they are what is returned."""
        self._until_ns = now_ns + NAMED_NS
        added = []
        for key, requests in named:
            for each in requests:
                if now_ns - each.taken_ns < NAMED_NS:
                    self._counters.setdefault(each.request, {})[key] = each
                    added.append(each)
        return added

    def among(self, key: Key, named: Iterable[Unanswered]) -> list[Unanswered]:
        """Those that are awaited for this counter."""
        return [each for each in named if self._counters.get(each.request, {}).get(key) == each]

    def of(self, request: str) -> Sequence[tuple[Key, Unanswered]]:
        """What was taken for it, by counter; nothing, where it is not awaited."""
        counters = self._counters.get(request)
        return tuple(counters.items()) if counters else ()

    def ended(self, request: str) -> None:
        """It is not awaited any more."""
        self._counters.pop(request, None)

    def expire(self, now_ns: int) -> None:
        """Await nobody any more when the last one is too old."""
        if now_ns >= self._until_ns:
            self._counters.clear()
