"""Concurrency: a slot belongs to one request, and is given back once.

By the end of that request, or by its time limit, whichever comes first; so a caller that dies can
not keep one, and an end that is told twice frees no other's. A request that asks again has its slot
already; one without an id has a slot that its time alone frees. The time limit has to be longer
than the longest stream of the route.
"""

from collections import OrderedDict

from midstage.throttle.model.account import Settlement


class Slots:
    """At most ``limit`` requests at once, each for ``ttl_ns`` at most."""

    __slots__ = ("_again", "_fresh", "_unnamed", "at_ns", "held", "limit", "ttl_ns")

    def __init__(self, *, limit: int, ttl_ns: int, now_ns: int) -> None:
        """Nobody has a slot."""
        self.limit = limit
        self.ttl_ns = ttl_ns
        self.at_ns = now_ns
        self.held: OrderedDict[str, int] = OrderedDict()
        self._fresh = ""
        self._again = self._unnamed = 0

    def follow(self, *, limit: int, ttl_ns: int) -> None:
        """Hold by these terms; who has a slot keeps it for the time that was said."""
        self.limit, self.ttl_ns = limit, ttl_ns

    def take(self, units: int, now_ns: int, request: str = "") -> bool:
        """Give ``request`` a slot if ``units`` is not 0; it has one at most."""
        self._expire(now_ns)
        if not units:
            return True
        if request in self.held:
            self._again += 1
            return True
        if len(self.held) >= self.limit:
            return False
        if not request:
            self._unnamed += 1
            request = f"unnamed {self._unnamed}"
        self.held[request] = self.at_ns + self.ttl_ns
        self._fresh, self._again = request, 0
        return True

    def undo(self, units: int, request: str = "") -> None:
        """Free the slot, if it was the last ``take`` that gave it and not an earlier one."""
        if not units:
            return
        if self._again and request:
            self._again -= 1
        else:
            self.release(self._fresh)

    def release(self, request: str) -> bool:
        """Free the slot of ``request``; whether it had one."""
        return self.held.pop(request, None) is not None

    def settle(self, done: Settlement) -> None:
        """The request is over."""
        self._expire(done.now_ns)
        self.release(done.request)

    def remaining(self, now_ns: int) -> int:
        """Slots that are free."""
        self._expire(now_ns)
        return self.limit - len(self.held)

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """Until the oldest slots' time is up; it may be sooner."""
        self._expire(now_ns)
        if units > self.limit:
            return None
        over = len(self.held) + units - self.limit
        if over <= 0:
            return 0
        return list(self.held.values())[over - 1] - self.at_ns

    def untouched(self, now_ns: int) -> bool:
        """Nobody has a slot."""
        self._expire(now_ns)
        return not self.held

    def _expire(self, now_ns: int) -> None:
        self.at_ns = max(self.at_ns, now_ns)
        held = self.held
        while held and next(iter(held.values())) <= self.at_ns:
            held.popitem(last=False)
