"""A throttle's part of a limit over all customers: a meter whose units another process has lent.

It is a bucket of what was lent: a rate and a burst of token buckets, units alone of limits with
windows. Nothing in it is made here, and when its term is over, counted from when it was asked for,
nothing is left: so with the owner's own part it admits what one meter would. It asks again while
it is used, sooner where it runs short; a check that lacks only this waits for the answer, but not
within ``REST_NS`` of one that had too little for it.
"""

from collections.abc import Callable
from typing import Final

from midstage.contracts import algorithms
from midstage.contracts.limits import LimitSet
from midstage.throttle.decide.lending import TOKEN
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.model.account import Settlement
from midstage.throttle.model.parts import PartAsked, PartLent

REST_NS: Final = 50_000_000
ASK_EACH_NS: Final = 100_000_000
RENEW_NS: Final = 1_000_000_000
"""A part that is used is asked for again so often; one that was not is given back."""
AHEAD_NS: Final = 500_000_000
"""Units of a window are asked for so far ahead."""
_MEASURED_NS: Final = 200_000_000
MOST: Final = 10**18
_MICROS: Final = 10**15
"""Units in nanoseconds, as millionths a second."""
_Share = tuple[int, int, int]
"""Rate, burst, and until when they are lent."""
_NOTHING: Final[_Share] = (0, 0, 0)


class Part:
    """A Meter; ``asked`` hears once that ``ask`` is to be called, soon."""

    __slots__ = (
        "_asked",
        "_asked_ns",
        "_bucket",
        "_demand_micros",
        "_free",
        "_is_asked",
        "_measured_ns",
        "_number",
        "_owed",
        "_owner",
        "_owner_asked",
        "_paid",
        "_serial",
        "_share",
        "_silent_since_ns",
        "_since_ns",
        "_spare",
        "_told_ns",
        "_units",
        "_used_ns",
        "_wait_until_ns",
        "_waited_for",
        "_whole",
        "_window",
        "limit",
    )

    def __init__(self, limit: LimitSet, *, now_ns: int, asked: Callable[["Part"], None]) -> None:
        """Nothing is lent."""
        self._bucket = TokenBucket(units=0, period_ns=TOKEN, burst=0, now_ns=now_ns)
        self._asked = asked
        self._share = _NOTHING
        self._owner = self._owner_asked = self._window = ""
        self._serial = self._number = self._demand_micros = self._units = 0
        self._waited_for = self._spare = self._free = self._owed = self._paid = 0
        self._is_asked = False
        self._silent_since_ns: int | None = None
        self._wait_until_ns: int | None = None
        self._asked_ns = self._since_ns = self._told_ns = now_ns - RENEW_NS
        self._used_ns = self._measured_ns = now_ns
        self.limit, self._whole = limit, _whole(limit)

    def follow(self, limit: LimitSet) -> bool:
        """The terms are these now, and what is lent follows; False: they count another way."""
        before = self.limit
        if (before.unit, type(before.algorithm)) != (limit.unit, type(limit.algorithm)):
            return False
        if before != limit:
            self.limit, self._whole = limit, _whole(limit)
            self._want()
        return True

    def take(self, units: int, now_ns: int, request: str = "") -> bool:
        """Of this part, all or none; asks for more in good time."""
        self._come_to(now_ns)
        self._used(units, now_ns)
        taken = self._bucket.take(units, now_ns, request)
        short = not taken or self._bucket.level * 2 < self._ahead()
        if short and now_ns - self._asked_ns >= ASK_EACH_NS:
            self._want()
        return taken

    def undo(self, units: int, request: str = "") -> None:
        """Put them back."""
        self._bucket.undo(units, request)

    def settle(self, done: Settlement) -> None:
        """What is more than there is here is the owner's to charge, as far as debt may go there.

        What is less comes back while its window is open.
        """
        self._come_to(done.now_ns)
        if done.more > 0:
            self._used(done.more, done.now_ns)
            self._bucket.level -= done.more * TOKEN
            if self._bucket.level < 0 and done.now_ns - self._asked_ns >= ASK_EACH_NS:
                self._want()
        elif done.taken_ns >= self._since_ns:
            self._bucket.settle(done)

    def left(self, now_ns: int) -> int:
        """Whole units of this part."""
        self._come_to(now_ns)
        return self._bucket.level // TOKEN

    def remaining(self, now_ns: int) -> int:
        """With what the owner has said to be free; all where it has not said so lately."""
        free = self._free if now_ns - self._told_ns < REST_NS else self._whole
        return min(self._whole, self.left(now_ns) + free)

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """0 where it passes, or as far as is known; else by this part alone, or as was said."""
        if units <= self.remaining(now_ns):
            return 0
        if units > self._whole:
            return None
        alone = self._bucket.wait_ns(units, now_ns)
        if self._wait_until_ns is None:
            return alone if alone is not None else RENEW_NS
        said = max(self._wait_until_ns - now_ns, REST_NS)
        return said if alone is None else min(alone, said)

    def untouched(self, now_ns: int) -> bool:
        """Nothing is lent, and nothing owed."""
        self._come_to(now_ns)
        return not self._share[2] and not self._is_asked and not self._bucket.level

    def lacks(self, units: int, now_ns: int) -> bool:
        """Whether it is this part alone that is missing for ``units``, as far as is known."""
        return self.left(now_ns) < units <= self.remaining(now_ns)

    def wait_for(self, units: int) -> None:
        """A check waits for so much."""
        self._waited_for += units
        self._want()

    def asking_for_ns(self, now_ns: int) -> int:
        """Since when the owner has not answered."""
        return 0 if self._silent_since_ns is None else now_ns - self._silent_since_ns

    def tend(self, now_ns: int) -> None:
        """Ask again in time, also where nobody checks."""
        self._come_to(now_ns)
        if (self._share[2] or self._bucket.level < 0) and now_ns - self._asked_ns >= RENEW_NS:
            self._want()

    def rest(self, now_ns: int) -> bool:
        """Nobody checks here any more: the next question gives back what there is, if any is."""
        self._come_to(now_ns)
        self._used_ns = min(self._used_ns, now_ns - RENEW_NS)
        self._number = self._waited_for = 0
        return bool(self._share[2]) or self._bucket.level < 0

    def ask(self, *, number: int, holder: str, owner: str, now_ns: int) -> PartAsked | None:
        """The question that is due; None while one is under way.

        What it gives back is used no more from here on, whether or not the question arrives.
        """
        self._is_asked = False
        if self._number:
            return None
        self._come_to(now_ns)
        self._measure(now_ns)
        least, self._waited_for = self._waited_for, 0
        ahead = 0 if now_ns - self._used_ns >= RENEW_NS else self._ahead()
        ends = not ahead and not least
        owes = max(0, -(self._bucket.level // TOKEN))
        self._owed = max(self._owed, self._paid + owes)
        left = max(0, self._bucket.level // TOKEN)
        back = max(0, left - (-(-2 * ahead // TOKEN) + least)) if ends or self._window else 0
        self._bucket.level -= back * TOKEN
        back, self._spare = back + self._spare, 0
        if ends:
            self._let_go()
        self._number, self._owner_asked, self._asked_ns = number, owner, now_ns
        if self._silent_since_ns is None:
            self._silent_since_ns = now_ns
        return PartAsked(
            limit=self.limit.limit,
            owner=owner,
            holder=holder,
            number=number,
            # who comes after an owner of a bucket knows what that one has lent
            holding=self._serial if owner == self._owner or not self._window else 0,
            wants_micros=0 if ends else min(MOST, max(1, self._demand_micros * 3 // 2)),
            left=max(0, self._bucket.level // TOKEN),
            least=min(least, self._whole),
            back=back,
            window=self._window,
            owed=self._owed,
            paid=self._paid,
        )

    def answered(self, number: int, lent: PartLent, now_ns: int) -> bool:
        """Go by it; False for what says nothing, or is no answer to the question under way."""
        if number != self._number:
            return False
        self._number = self._waited_for = 0
        if not lent.serial:
            return False
        self._come_to(now_ns)
        self._silent_since_ns = None
        self._told_ns, self._free = now_ns, lent.free
        self._wait_until_ns = None if lent.wait_ns is None else now_ns + lent.wait_ns
        bucket = self._bucket
        bucket.level += max(0, lent.paid - self._paid) * TOKEN
        self._paid = max(self._paid, lent.paid)
        if lent.window != self._window:
            self._share, self._window = _NOTHING, lent.window
            self._since_ns = self._asked_ns
            bucket.level, self._spare = min(bucket.level, 0), 0
        level = bucket.level + lent.add * TOKEN
        self._lend(lent)
        bucket.level = min(bucket.full, level)
        self._spare += (level - bucket.level) // TOKEN
        return True

    def end(self, now_ns: int) -> tuple[int, str]:
        """Units (below 0: owed) and their window, which are used here no more."""
        self._come_to(now_ns)
        left = self._bucket.level // TOKEN
        self._let_go()
        self._number = 0
        return left, self._window

    def _used(self, units: int, now_ns: int) -> None:
        if now_ns - self._used_ns >= RENEW_NS:
            self._units, self._measured_ns = 0, now_ns
        self._units += units
        self._used_ns = now_ns

    def _lend(self, lent: PartLent) -> None:
        """The newest part is instead of the last, whoever has lent that."""
        self._owner, self._serial = self._owner_asked, lent.serial
        self._share = (lent.rate_micros, lent.burst, self._asked_ns + lent.term_ns)
        self._divide()

    def _let_go(self) -> None:
        self._share = _NOTHING
        self._divide()

    def _divide(self) -> None:
        bucket = self._bucket
        bucket.rate, bucket.full = self._share[0], self._share[1] * TOKEN
        bucket.level = min(bucket.level, bucket.full)

    def _come_to(self, now_ns: int) -> None:
        """What is over does not fill after its end."""
        ends_ns = self._share[2]
        if ends_ns and ends_ns <= now_ns:
            self._bucket.fill(ends_ns)
            self._let_go()
        self._bucket.fill(now_ns)

    def _ahead(self) -> int:
        """The level that the demand uses in ``AHEAD_NS``; some units where it is not known."""
        return max(self._demand_micros * AHEAD_NS, TOKEN)

    def _measure(self, now_ns: int) -> None:
        gap = now_ns - self._measured_ns
        demand = self._units * _MICROS // max(gap, _MEASURED_NS)
        if gap >= _MEASURED_NS:
            self._demand_micros, self._units, self._measured_ns = demand, 0, now_ns
        else:
            self._demand_micros = max(self._demand_micros, demand)

    def _want(self) -> None:
        if not self._is_asked and not self._number:
            self._is_asked = True
            self._asked(self)


def _whole(limit: LimitSet) -> int:
    match limit.algorithm:
        case algorithms.TokenBucket(burst=int(burst)):
            return burst
        case _:
            return limit.amount
