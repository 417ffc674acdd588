"""Leases of a token bucket: its owner lends parts of the rate and of the burst for a term.

The owner's rate and burst are what is not lent, and units move from its level to the holder's, so
all of them together are one bucket: in any window, whoever admits, at most burst + rate x window.
A part counts until its term is over here, or until its holder says that it goes by a later one:
an answer that is lost, late or doubled, and a holder that died, can only make it less. A holder
counts the term from when it asked, so its own ends first. The clock may go back, never leap ahead.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from midstage.throttle.decide.grants import Grants
from midstage.throttle.decide.leasing import Apportioning, Asking, Lease, Leases
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.model.leases import Grant, HolderId, holder_id

TERM_NS: Final = 10_000_000_000
"""How long a part is lent: the longest that a holder may go by what nobody remembers."""
TOKEN: Final = 10**15
"""One unit as a level: with it a rate is millionths of a unit a second."""
KEPT: Final = 16
"""One part in so many is never lent: whoever asks the owner itself finds something."""
_OWNER: Final = ""
_MEASURED_NS: Final = 1_000_000_000
_NEVER: Final = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """``holder`` wants ``wants_micros`` (millionths of a unit a second), and goes by ``holding``.

    ``holding`` is the serial number of the newest answer that it has taken over; 0: of none.
    ``least`` units are needed at once, and it has ``left``; ``back`` are the owner's again.
    """

    holder: str
    wants_micros: int
    holding: int = 0
    left: int = 0
    least: int = 0
    back: int = 0


class LentBucket(TokenBucket):
    """The owner's part of a bucket, and who has the others."""

    __slots__ = (
        "_asked",
        "_counted_ns",
        "_demand_micros",
        "_share",
        "_wants",
        "grants",
        "whole_burst",
        "whole_rate",
    )

    def __init__(self, bucket: TokenBucket, *, how: Apportioning = Apportioning.FAIR_SHARE) -> None:
        """What ``bucket`` was, with nothing lent; ``grants`` says who has what."""
        self.token = TOKEN
        self.rate = self.whole_rate = rate_micros(bucket.rate, bucket.token)
        self.whole_burst = bucket.full // bucket.token
        self.full, self.at_ns = self.whole_burst * TOKEN, bucket.at_ns
        self.level = bucket.level * TOKEN // bucket.token
        self.grants = Grants()
        self._wants: dict[HolderId, int] = {}
        self._share = how
        self._asked = self._demand_micros = 0
        self._counted_ns = bucket.at_ns

    def resume(
        self, *, level: int, since_ns: int, whole_rate: int, whole_burst: int, grants: Grants
    ) -> None:
        """Be as a bucket was then, of which others had these parts."""
        self.level, self.at_ns = level, since_ns
        self.whole_rate, self.whole_burst = whole_rate, whole_burst
        self.grants, self._wants = grants, {}
        self._divide()

    def take(self, units: int, now_ns: int, request: str = "") -> bool:
        """Take from the owner's part, all or none."""
        if now_ns >= self.grants.ends_ns:
            self.fill(now_ns)
        self._asked += units
        return super().take(units, now_ns, request)

    def fill(self, now_ns: int) -> None:
        """Bring the level up to ``now_ns``: a part that comes back fills from its end on."""
        while now_ns >= self.grants.ends_ns:
            ends_ns = self.grants.ends_ns
            super().fill(ends_ns)
            self.grants.end(ends_ns)
            self._divide()
        super().fill(now_ns)

    def follow(self, *, units: int, period_ns: int, burst: int, now_ns: int) -> None:
        """Hold by these terms from ``now_ns`` on; what is lent follows when it is renewed."""
        rate = rate_micros(units, period_ns)
        if (rate, burst) != (self.whole_rate, self.whole_burst):
            self.whole_rate = min(self.whole_rate, rate)
            self._divide()
            self.fill(now_ns)
            self.whole_rate, self.whole_burst = rate, burst
            self._divide()

    def untouched(self, now_ns: int) -> bool:
        """Full, with nothing lent."""
        self.fill(now_ns)
        return not self.grants and self.level == self.full

    def lend(self, ask: Ask, *, serial: int, now_ns: int, term_ns: int) -> Grant:
        """Grant what is apportioned to it, for a term; it may be nothing.

        ``serial`` is larger than any that was granted before.
        """
        self.fill(now_ns)
        now_ns, holder = self.at_ns, holder_id(ask.holder)
        self.grants.forget(holder, before=ask.holding)
        self._measure(now_ns)
        if ask.back:
            self._divide()
            self.level = max(self.level, min(self.full, self.level + ask.back * TOKEN))
        rate = self._rate_for(holder, ask.wants_micros)
        burst = self._burst_for(holder, rate)
        rate = rate if burst else 0
        burst = max(burst, min(ask.least, self._free_for(holder)))
        before = self.full
        grant = Grant(
            serial=serial, rate_micros=rate, burst=burst, add=0, until_ns=now_ns + term_ns
        )
        self.grants.add(holder, grant)
        self._wants[holder] = ask.wants_micros
        level = self.level
        self._divide()
        lost = max(0, before - self.full)
        add = max(0, level) * lost // before // TOKEN if before else 0
        if ask.least > ask.left + add:
            add = max(add, min(ask.least - ask.left, max(0, level) // TOKEN, burst))
        self.level = min(level - add * TOKEN, self.full)
        return replace(grant, add=add)

    def give_back(self, name: str, *, holding: int, left: int, now_ns: int) -> bool:
        """It goes by none any more up to ``holding``, and ``left`` of that were not used.

        False where it had none.
        """
        self.fill(now_ns)
        had = self.grants.forget(holder_id(name), before=holding + 1)
        self._divide()
        self.level = max(self.level, min(self.full, self.level + min(left, had[1]) * TOKEN))
        return any(had)

    def lent(self) -> tuple[int, int]:
        """The rate and the burst that others have; a holder has the larger of what may be its."""
        return self.grants.all()

    def _rate_for(self, holder: HolderId, wants_micros: int) -> int:
        """By the share of each in what may be lent; the owner's own demand is one of them.

        Who has not asked since another owner lent to it wants what it has.
        """
        kept = -(-self.whole_rate // KEPT)
        capacity = Fraction(self.whole_rate - kept)
        leases = Leases(capacity=capacity, apportioning=self._share, term_ns=_MEASURED_NS)
        for each in self.grants:
            rate, _ = self.grants.most(each)
            leases.put(str(each), _lease(rate, self._wants.get(each, rate)))
        wanted = max(0, self._demand_micros - kept)
        leases.put(_OWNER, _lease(0, wanted))
        leases.ask(_asking(_OWNER, wanted), self.at_ns)
        return int(leases.ask(_asking(str(holder), wants_micros), self.at_ns).has)

    def _burst_for(self, holder: HolderId, rate: int) -> int:
        """An equal part for each holder and the owner, or as much of it as of the rate."""
        if not rate:
            return 0
        others = sum(each != holder for each in self.grants)
        equal = self.whole_burst // (others + 2)
        kept = -(-self.whole_burst // KEPT)
        free = self._free_for(holder) - kept
        return max(0, min(free, max(equal, self.whole_burst * rate // self.whole_rate)))

    def _free_for(self, holder: HolderId) -> int:
        """The burst that no other holder has."""
        return max(0, self.whole_burst - self.grants.all()[1] + self.grants.most(holder)[1])

    def _measure(self, now_ns: int) -> None:
        gap = now_ns - self._counted_ns
        if gap >= _MEASURED_NS:
            self._demand_micros = self._asked * TOKEN // gap
            self._asked, self._counted_ns = 0, now_ns

    def _divide(self) -> None:
        """The owner has what is not lent."""
        rate, burst = self.lent()
        self.rate = max(0, self.whole_rate - rate)
        self.full = max(0, self.whole_burst - burst) * TOKEN
        self.level = min(self.level, self.full)
        if len(self._wants) > len(self.grants):
            self._wants = {each: self._wants[each] for each in self.grants if each in self._wants}


MakeLent = Callable[[TokenBucket], LentBucket]
"""From a bucket to the same one, of which parts can be lent."""


def rate_micros(units: int, period_ns: int) -> int:
    """Millionths of a unit a second, rounded down, of ``units`` in each ``period_ns``."""
    return units * TOKEN // period_ns


def _lease(has: int, wants: int) -> Lease:
    return Lease(has=Fraction(has), wants=Fraction(wants), holders=1, until_ns=_NEVER)


def _asking(holder: str, wants: int) -> Asking:
    return Asking(holder=holder, wants=Fraction(wants))
