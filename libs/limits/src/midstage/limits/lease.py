"""A holder's part of limits: buckets that fill by themselves until their term is over.

A check compares and subtracts whole units; only every ``FILL_EACH_NS``, or when there are too few,
what came in is added. It is added as if all that was taken since had been taken at the end of that
time, which is never more than a bucket filled at each check would have: in any window at most
burst + rate x time, to the last unit. A clock that goes back stands still.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

REQUESTS: Final = "requests"
TOKEN: Final = 10**15
"""One unit as a level: millionths of a unit a second times nanoseconds."""
FILL_EACH_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the owner lends of a limit: ``rate_micros`` and ``burst``, and ``add`` units at once.

    ``quota`` and ``window_s`` are the whole limit's, for headers; ``is_open``: when the term is
    over and no other has come, the limit lets pass.
    """

    limit: str
    unit: str = REQUESTS
    rate_micros: int
    burst: int
    add: int
    is_open: bool = True
    quota: int = 0
    window_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """A limit that does not let pass: what is left of it here, and when it would (None: never)."""

    limit: str
    left: int
    wait_ns: int | None


class Lease:
    """One limit's part; ``left`` whole units may be taken."""

    __slots__ = ("at_ns", "base", "left", "part", "terms")

    def __init__(self, terms: Terms, now_ns: int) -> None:
        """As many units as were added."""
        self.terms = terms
        self.left = self.base = min(terms.add, terms.burst)
        self.part = 0
        self.at_ns = now_ns

    def fill(self, now_ns: int) -> None:
        """Add what came in since the last time; what was taken since was taken soon after it."""
        gap = max(0, now_ns - self.at_ns)
        soon = min(gap, FILL_EACH_NS)
        full, rate = self.terms.burst * TOKEN, self.terms.rate_micros
        level = min(full, self.base * TOKEN + self.part + rate * soon)
        level -= (self.base - self.left) * TOKEN
        self.left, self.part = divmod(min(full, level + rate * (gap - soon)), TOKEN)
        self.base, self.at_ns = self.left, self.at_ns + gap

    def follow(self, terms: Terms, now_ns: int) -> None:
        """Hold by these terms from ``now_ns`` on: what is left stays, what was added comes in."""
        self.fill(now_ns)
        self.terms = terms
        if self.left + terms.add >= terms.burst:
            self.left, self.part = terms.burst, 0
        else:
            self.left += terms.add
        self.base = self.left

    def settle(self, back: int, now_ns: int) -> None:
        """Units that a request had taken and not used are here again; below 0: it used more."""
        self.fill(now_ns)
        self.left = self.base = max(0, min(self.terms.burst, self.left + back))
        if self.left == self.terms.burst:
            self.part = 0

    def wait_ns(self, units: int) -> int | None:
        """From the last filling until ``units`` would pass; None: never by this lease."""
        missing = units * TOKEN - self.left * TOKEN - self.part
        if missing <= 0:
            return 0
        if units > self.terms.burst or not self.terms.rate_micros:
            return None
        return -(-missing // self.terms.rate_micros)


class Book:
    """All that one customer was lent, under one serial number and term."""

    __slots__ = ("due_ns", "leases", "serial", "until_ns")

    def __init__(self) -> None:
        """Nothing is lent: its term is over."""
        self.serial = 0
        self.until_ns = self.due_ns = 0
        self.leases: dict[str, Lease] = {}

    def renew(self, serial: int, terms: Iterable[Terms], *, until_ns: int, now_ns: int) -> bool:
        """Take over an answer; False for one that is not newer than the last.

        Of a lease whose term is over nothing is kept: its owner has lent it to others since.
        """
        if not self.over(now_ns) and serial <= self.serial:
            return False
        kept = {} if self.over(now_ns) else self.leases
        self.leases = {each.limit: _renewed(kept.get(each.limit), each, now_ns) for each in terms}
        self.serial, self.until_ns = serial, until_ns
        self.due_ns = min(now_ns + FILL_EACH_NS, until_ns)
        return True

    def over(self, now_ns: int) -> bool:
        """Whether the term is over."""
        return now_ns >= self.until_ns

    def fill(self, now_ns: int) -> None:
        """Add what came in to all of them."""
        for lease in self.leases.values():
            lease.fill(now_ns)
        self.due_ns = min(now_ns + FILL_EACH_NS, self.until_ns)


def _renewed(lease: Lease | None, terms: Terms, now_ns: int) -> Lease:
    if lease is None:
        return Lease(terms, now_ns)
    lease.follow(terms, now_ns)
    return lease


class Plan:
    """What a request of one customer to one application meets, and what was asked of it.

    Made anew with each renewal, since the limits that it meets may be others then.
    """

    __slots__ = ("_requests", "asked", "book", "leases", "refused", "requests", "unused")

    def __init__(self, book: Book, limits: Sequence[str]) -> None:
        """``limits`` are names of ``book``'s leases."""
        self.book = book
        self.requests = self.refused = 0
        self.asked: dict[str, int] = {}
        self.unused: dict[str, int] = {}
        self.leases = tuple(book.leases[limit] for limit in limits)
        self._requests = tuple(each for each in self.leases if each.terms.unit == REQUESTS)

    def take(self, now_ns: int) -> bool:
        """One request: all limits let it pass, or nothing is taken.

        Of units for which it says no estimate one has to be left.
        """
        self.requests += 1
        book = self.book
        if now_ns >= book.due_ns:
            if now_ns >= book.until_ns:
                is_open = all(each.terms.is_open for each in self.leases)
                self.refused += not is_open
                return is_open
            book.fill(now_ns)
        for lease in self.leases:
            if lease.left < 1:
                book.fill(now_ns)
                if any(each.left < 1 for each in self.leases):
                    self.refused += 1
                    return False
                break
        for lease in self._requests:
            lease.left -= 1
        return True

    def take_units(self, units: Mapping[str, int], now_ns: int) -> bool:
        """The same for ``units``; one request where they don't say how many."""
        _add(self.asked, {REQUESTS: 1, **units})
        passes = self._take_units(self._charges(units), now_ns)
        if not passes:
            _add(self.unused, {REQUESTS: 1, **units})
        return passes

    def short(self, units: Mapping[str, int], now_ns: int) -> tuple[Short, ...]:
        """The limits that don't let ``units`` pass, all of them."""
        if self.book.over(now_ns):
            return tuple(
                Short(limit=lease.terms.limit, left=0, wait_ns=None)
                for lease, _ in self._charges(units)
                if not lease.terms.is_open
            )
        self.book.fill(now_ns)
        return tuple(
            Short(limit=lease.terms.limit, left=lease.left, wait_ns=lease.wait_ns(wanted or 1))
            for lease, wanted in self._charges(units)
            if lease.left < (wanted or 1)
        )

    def settle(self, units: Mapping[str, int], used: Mapping[str, int], now_ns: int) -> None:
        """A request that took ``units`` is over and has used ``used`` of those named there.

        Less comes back, and of more is taken what is there. A request is one, whatever it used.
        """
        more = {unit: units.get(unit, 0) - each for unit, each in used.items()}
        _add(self.unused, {**more, REQUESTS: 0})
        if self.book.over(now_ns):
            return
        for lease in self.leases:
            unit = lease.terms.unit
            if unit in used and unit != REQUESTS:
                lease.settle(units.get(unit, 0) - used[unit], now_ns)

    def inherit(self, before: "Plan") -> None:
        """Go on counting the demand of the plan that this one is instead of."""
        self.requests, self.refused = before.requests, before.refused
        self.asked, self.unused = before.asked, before.unused

    def demand(self) -> tuple[dict[str, int], dict[str, int]]:
        """Units that were asked for since the last time, and those that were used.

        What is settled to less than was used since is less the next time.
        """
        asked, used = self.asked, dict(self.asked)
        _add(asked, {REQUESTS: self.requests})
        _add(used, {REQUESTS: self.requests - self.refused})
        _add(used, {unit: -each for unit, each in self.unused.items()})
        self.requests = self.refused = 0
        self.asked = {}
        self.unused = {unit: -each for unit, each in used.items() if each < 0}
        return asked, {unit: each for unit, each in used.items() if each > 0}

    def _take_units(self, charges: Sequence[tuple[Lease, int]], now_ns: int) -> bool:
        if self.book.over(now_ns):
            return all(lease.terms.is_open for lease, _ in charges)
        self.book.fill(now_ns)
        if any(lease.left < (wanted or 1) for lease, wanted in charges):
            return False
        for lease, wanted in charges:
            lease.left -= wanted
        return True

    def _charges(self, units: Mapping[str, int]) -> list[tuple[Lease, int]]:
        charged = {REQUESTS: 1, **units}
        return [(lease, charged.get(lease.terms.unit, 0)) for lease in self.leases]


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for unit, each in more.items():
        counts[unit] = counts.get(unit, 0) + each
