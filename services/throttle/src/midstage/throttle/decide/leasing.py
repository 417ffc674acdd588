"""Leases: parts of a limit lent to edges, apportioned as Doorman does.

Whatever the algorithm, what is outstanding never exceeds the capacity: who comes late gets what is
free, and more as the others come for theirs again. A lease counts until its term is over, also that
of a holder that died. Arithmetic is in fractions; ``granted`` says whole units. Nobody gets more
than it wants, which Doorman's second round of fair shares may give.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final


class Apportioning(StrEnum):
    """How a capacity that is too small is divided."""

    ALL = "NO_ALGORITHM"
    STATIC = "STATIC"
    PROPORTIONAL_SHARE = "PROPORTIONAL_SHARE"
    FAIR_SHARE = "FAIR_SHARE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """``has`` of what its holder ``wants``, for that many ``holders`` behind it."""

    has: Fraction
    wants: Fraction
    holders: int
    until_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A holder that asks for a lease, anew or again."""

    holder: str
    wants: Fraction
    holders: int = 1


_NOTHING: Final = Lease(has=Fraction(0), wants=Fraction(0), holders=0, until_ns=0)


class Leases:
    """Those of one limit, at its owner."""

    def __init__(self, *, capacity: Fraction, apportioning: Apportioning, term_ns: int) -> None:
        """Nothing is lent."""
        self.capacity = capacity
        self.leases: dict[str, Lease] = {}
        self._share = _SHARES[apportioning]
        self._term_ns = term_ns

    @property
    def outstanding(self) -> Fraction:
        """What all have together."""
        return sum((lease.has for lease in self.leases.values()), Fraction(0))

    def ask(self, asking: Asking, now_ns: int) -> Lease:
        """Lend what the algorithm grants, at most what is free with what this holder has."""
        self.expire(now_ns)
        lease = Lease(
            has=max(Fraction(0), self._share(self, asking)),
            wants=asking.wants,
            holders=asking.holders,
            until_ns=now_ns + self._term_ns,
        )
        self.leases[asking.holder] = lease
        return lease

    def put(self, holder: str, lease: Lease) -> None:
        """A lease that is known from before."""
        self.leases[holder] = lease

    def give_back(self, holder: str) -> None:
        """Before its term."""
        self.leases.pop(holder, None)

    def expire(self, now_ns: int) -> None:
        """End those whose term is over."""
        over = [holder for holder, lease in self.leases.items() if lease.until_ns <= now_ns]
        for holder in over:
            del self.leases[holder]

    def of(self, holder: str) -> Lease:
        """Its lease; an empty one where it has none."""
        return self.leases.get(holder, _NOTHING)

    def free_for(self, asking: Asking) -> Fraction:
        """What is not lent to others."""
        return self.capacity - self.outstanding + self.of(asking.holder).has


def granted(lease: Lease) -> int:
    """Whole units; the part of one stays with the owner."""
    return lease.has.numerator // lease.has.denominator


def _all(leases: Leases, asking: Asking) -> Fraction:
    """Whatever is wanted; for limits that only measure."""
    del leases
    return asking.wants


def _static(leases: Leases, asking: Asking) -> Fraction:
    """The capacity is each holder's own."""
    return min(leases.capacity, asking.wants)


def _proportional(leases: Leases, asking: Asking) -> Fraction:
    """An equal share, and of what others leave a part that is proportional to what is missing."""
    others = [lease for holder, lease in leases.leases.items() if holder != asking.holder]
    count = sum(lease.holders for lease in others) + (
        leases.of(asking.holder).holders if asking.holder in leases.leases else asking.holders
    )
    equal = leases.capacity / count
    own, free = equal * asking.holders, leases.free_for(asking)
    wanted = sum((lease.wants for lease in leases.leases.values()), Fraction(0))
    if wanted <= leases.capacity or asking.wants <= own:
        return min(asking.wants, free)
    everyone = [(lease.wants, equal * lease.holders) for lease in others]
    everyone.append((asking.wants, own))
    left = sum((share - wants for wants, share in everyone if wants < share), Fraction(0))
    missing = sum((wants - share for wants, share in everyone if wants >= share), Fraction(0))
    return min(asking.wants, own + (asking.wants - own) * left / missing, free)


def _fair(leases: Leases, asking: Asking) -> Fraction:
    """An equal share, and an equal part of what others leave, in two rounds."""
    others = [lease for holder, lease in leases.leases.items() if holder != asking.holder]
    count = sum(lease.holders for lease in others) + asking.holders
    equal = leases.capacity / count
    own, free = equal * asking.holders, leases.free_for(asking)
    if asking.wants <= own:
        return min(asking.wants, free)
    shares = [(lease, equal * lease.holders) for lease in others]
    left = sum((share - lease.wants for lease, share in shares if lease.wants < share), Fraction(0))
    greedy = [lease for lease, share in shares if lease.wants > share]
    extra = left / (asking.holders + sum(lease.holders for lease in greedy)) * asking.holders
    if asking.wants < own + extra:
        return min(asking.wants, free)
    rest = sum(
        (own + extra - each.wants for each in greedy if each.wants < own + extra), Fraction(0)
    )
    still = asking.holders + sum(each.holders for each in greedy if each.wants > own + extra)
    return min(asking.wants, own + extra + rest / still * asking.holders, free)


_SHARES: Final[dict[Apportioning, Callable[[Leases, Asking], Fraction]]] = {
    Apportioning.ALL: _all,
    Apportioning.STATIC: _static,
    Apportioning.PROPORTIONAL_SHARE: _proportional,
    Apportioning.FAIR_SHARE: _fair,
}
