"""Concurrency: a slot belongs to one request, and is given back once.

By the end of that request, or by its time limit, whichever comes first; so a caller that dies can
not keep one, and an end that is told twice frees no other's. A request that asks again has its slot
already; one without an id has a slot that its time alone frees. The time limit has to be longer
than the longest stream of the route. Slots that were given before, by whoever counted then, are
known by a number of their request, or, where not even that is known, freed by time alone.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from heapq import merge
from itertools import chain, islice, repeat
from typing import NamedTuple

from midstage.throttle.model.account import Settlement

_DIGEST_BYTES = 16


class Ghosts(NamedTuple):
    """So many slots of requests of which nothing is known, each until then."""

    slots: int
    until_ns: int


class Slots:
    """At most ``limit`` requests at once, each for ``ttl_ns`` at most."""

    __slots__ = (
        "_again",
        "_fresh",
        "_unnamed",
        "at_ns",
        "changes",
        "ghosts",
        "given",
        "held",
        "inherited",
        "limit",
        "ttl_ns",
    )

    def __init__(self, *, limit: int, ttl_ns: int, now_ns: int) -> None:
        """Nobody has a slot.

        ``given`` counts how many were given, ``changes`` how often one was given or became free.
        """
        self.limit = limit
        self.ttl_ns = ttl_ns
        self.at_ns = now_ns
        self.held: OrderedDict[str | int, int] = OrderedDict()
        self.inherited: OrderedDict[int, int] = OrderedDict()
        self.ghosts: Sequence[Ghosts] = ()
        self.given = self.changes = 0
        self._fresh: str | int = ""
        self._again = self._unnamed = 0

    def follow(self, *, limit: int, ttl_ns: int) -> None:
        """Hold by these terms; who has a slot keeps it for the time that was said."""
        self.limit, self.ttl_ns = limit, ttl_ns

    def inherit(self, named: Iterable[tuple[int, int]], ghosts: Iterable[Ghosts]) -> None:
        """Go on with slots that were given before, by the number of their request; and ghosts."""
        known = {number_of(each) for each in self.held if isinstance(each, str)}
        found = [(number, until_ns) for number, until_ns in named if number not in known]
        self.inherited = OrderedDict(sorted(found, key=lambda each: each[1]))
        self.ghosts = tuple(each for each in ghosts if each.slots)

    def has(self, request: str) -> bool:
        """Whether the request has a slot, as far as is known."""
        if not request:
            return False
        return request in self.held or (
            bool(self.inherited) and number_of(request) in self.inherited
        )

    def take(self, units: int, now_ns: int, request: str = "") -> bool:
        """Give ``request`` a slot if ``units`` is not 0; it has one at most."""
        self._expire(now_ns)
        if not units:
            return True
        if self.has(request):
            self._again += 1
            return True
        if self._taken() >= self.limit:
            return False
        self._give(request)
        return True

    def undo(self, units: int, request: str = "") -> None:
        """Free the slot, if it was the last ``take`` that gave it and not an earlier one."""
        if not units:
            return
        if self._again and request:
            self._again -= 1
        elif self.held.pop(self._fresh, None) is not None:
            self.given -= 1
            self.changes += 1

    def release(self, request: str) -> bool:
        """Free the slot of ``request``; whether it had one."""
        was = self.held.pop(request, None) is not None
        if not was and self.inherited:
            was = self.inherited.pop(number_of(request), None) is not None
        self.changes += was
        return was

    def settle(self, done: Settlement) -> None:
        """The request is over; or, where more was used than reserved, it passed without asking."""
        self._expire(done.now_ns)
        if done.more <= 0:
            self.release(done.request)
        elif not self.has(done.request):
            self._give(done.request)

    def remaining(self, now_ns: int) -> int:
        """Slots that are free."""
        self._expire(now_ns)
        return self.limit - self._taken()

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """Until the oldest slots' time is up; it may be sooner."""
        self._expire(now_ns)
        if units > self.limit:
            return None
        over = self._taken() + units - self.limit
        if over <= 0:
            return 0
        return next(islice(self._ends(), over - 1, None)) - self.at_ns

    def untouched(self, now_ns: int) -> bool:
        """Nobody has a slot."""
        self._expire(now_ns)
        return not self._taken()

    def _give(self, request: str) -> None:
        holder: str | int = request
        if not request:
            self._unnamed += 1
            holder = self._unnamed
        self.held[holder] = self.at_ns + self.ttl_ns
        self._fresh, self._again = holder, 0
        self.given += 1
        self.changes += 1

    def _taken(self) -> int:
        taken = len(self.held) + len(self.inherited)
        return taken + sum([each.slots for each in self.ghosts]) if self.ghosts else taken

    def _ends(self) -> Iterator[int]:
        """When each slot's time is up, the first one first."""
        ghosts = sorted(self.ghosts, key=lambda each: each.until_ns)
        unknown = chain.from_iterable(repeat(each.until_ns, each.slots) for each in ghosts)
        return merge(self.held.values(), self.inherited.values(), unknown)

    def _expire(self, now_ns: int) -> None:
        self.at_ns = max(self.at_ns, now_ns)
        for held in (self.held, self.inherited):
            while held and next(iter(held.values())) <= self.at_ns:
                held.popitem(last=False)
                self.changes += 1
        if self.ghosts and any(each.until_ns <= self.at_ns for each in self.ghosts):
            self.ghosts = tuple(each for each in self.ghosts if each.until_ns > self.at_ns)
            self.changes += 1


def number_of(request: str) -> int:
    """By which whoever counts next knows the request, however long its id is.

    No two requests have the same one, even if somebody tries.
    """
    name = request.encode(errors="surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=_DIGEST_BYTES).digest())
