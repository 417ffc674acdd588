"""A meter that uses only what the log already counts as used, so that a crash grants nothing twice.

Two tiers: the meter itself, exact at every moment, and the newest claim of it that the log has
(``decide.claims``), where a successor would go on. The invariant: at every moment the meter allows
at least what a successor would allow, whichever of the claims that may stand in the log it begins
with. So whatever is used in life and after it keeps the algorithm's promise in every window; a
crash loses at most the room, the distance between the two. The first units of a counter need no
claim: no successor begins with them (``model.holding``). Room is asked for ahead of need, when less
than half of those is left: twice what was used in ``HORIZON_NS`` or by one check, again when less
than half of it is left, or half of its term.
"""

from collections.abc import Callable
from typing import Final, TypeVar, cast

from midstage.throttle.decide.claiming import Claiming, M_co
from midstage.throttle.decide.claims.claim import Claims, Standing
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.model.account import Settlement
from midstage.throttle.model.holding import NOTHING_IMPLIED, Holding
from midstage.throttle.model.limits import Key

HORIZON_NS: Final = 100_000_000
TERM_NS: Final = 500_000_000
SHARE: Final = 8
"""A claim takes one part in so many of what is left, unless a check waits for more."""

N = TypeVar("N", bound=Meter)


class Room(Claiming[M_co]):
    """A Meter over a meter, for one key."""

    __slots__ = (
        "_accepted",
        "_before_ns",
        "_changed",
        "_holding",
        "_once",
        "_owes",
        "_part",
        "_renewed_ns",
        "_size",
        "_used",
        "waited_for",
    )

    def __init__(
        self,
        meter: M_co,
        claims: Claims[M_co],
        *,
        key: Key,
        algorithm: str,
        now_ns: int,
        asked: Callable[["Room[M_co]"], None],
        holding: Holding = NOTHING_IMPLIED,
        accepted: Standing | None = None,
    ) -> None:
        """Without room but for what is implied, whatever the log says so far.

        But ``accepted`` is this process's own claim of the meter as it is now, and stands.

        ``holding`` says how long what is implied may be used; the others are as in ``Claiming``.
        """
        super().__init__(meter, claims, key=key, algorithm=algorithm, now_ns=now_ns, asked=asked)
        self.waited_for = 0
        self._accepted = accepted
        self._renewed_ns = self._size = self._used = self._once = 0
        self._owes = self._changed = False
        self._holding = holding
        self._part = claims.part(meter)
        self._before_ns = holding.before_ns
        if self._before_ns:
            self._begin(now_ns)

    @property
    def is_asking(self) -> bool:
        """A claim is on its way, or it may be."""
        return self._pending is not None

    def left(self, now_ns: int) -> int:
        """Units of room, whichever claim stands in the log."""
        return max(self._implied(now_ns), self._claimed(now_ns))

    def changed(self) -> None:
        """The terms of the meter have changed: what was claimed under others is no room."""
        self._accepted = None
        self._changed = True
        self._part = self._claims.part(self.meter)

    def gained(self) -> None:
        """The meter allows more than the log says: whoever comes next is to know of it soon."""
        self._owes = True
        self._want()

    def replaced(self, meter: N, claims: Claims[N], *, algorithm: str) -> None:
        """It is the room over ``meter`` from now on, in which the old one's count goes on."""
        self.meter, self._claims = cast(M_co, meter), cast(Claims[M_co], claims)
        self.algorithm = algorithm
        self.changed()

    @property
    def is_written(self) -> bool:
        """Whether a claim under the terms of today stands in the log."""
        return self._accepted is not None

    def lacks(self, units: int, now_ns: int) -> bool:
        """Whether it is room alone that is missing for ``units``, and is worth waiting for."""
        return self.left(now_ns) < units <= self.meter.remaining(now_ns)

    def wait_for(self, units: int) -> None:
        """A check waits for so much; the next claim counts it."""
        self.waited_for += units
        self._want()

    def claim(self, now_ns: int) -> tuple[int, Standing] | None:
        """Units and the claim that is to be written; None where one is under way, or none helps."""
        self._wanted = False
        if self._pending is not None or self._is_retired:
            return None
        if self._before_ns:
            self._begin(now_ns)
        size = self._wanted_size(now_ns)
        if not size and not self._owes:
            return None
        self._pending = self._claims.of(self.meter, size, now_ns, now_ns + TERM_NS)
        self._size, self._used, self._asked_ns = size, 0, now_ns
        self._owes = self._changed = False
        return size, self._pending

    def at_rest(self, now_ns: int) -> Standing | None:
        """The meter as it is, if nobody has used it since this was asked last.

        Beside the claim that stands it says all of the room, which may be forgotten. One without a
        claim asks for it.
        """
        if self._before_ns:
            self._begin(now_ns)
        is_idle = not (self._is_asked or self._is_retired or self._before_ns)
        self._is_asked = False
        if self._wanted or self._pending is not None:
            return None
        if self._accepted is None or self._owes:
            self._owes = True
            self._want()
            return None
        return self._claims.of(self.meter, 0, now_ns, now_ns) if is_idle else None

    def retire(self) -> None:
        """Another room is the counter's from now on: this one says nothing to the log, ever.

        It may be known to who asked it before. What it counts is not what the other one does: a
        claim of it would take that back.
        """
        super().retire()
        self._accepted = None
        self._holding = NOTHING_IMPLIED

    def last(self, now_ns: int) -> Standing | None:
        """The meter as it is, which is to be written; None where the log says so already.

        There is no room any more, whatever becomes of it.
        """
        if self._is_retired:
            return None
        if self._stands(now_ns) and not (self.is_asking or self._owes or self._changed):
            return None
        self._pending = self._claims.of(self.meter, 0, now_ns, now_ns)
        self._size, self._used, self._asked_ns = 0, 0, now_ns
        self._owes = self._changed = False
        return self._pending

    def accepted(self, claim: Standing) -> bool:
        """The log has it, and what stood there before stands no more; False: it is none of ours."""
        if claim != self._pending:
            return False
        self._accepted = None if self._changed or self._is_retired else claim
        self._pending = None
        self._renewed_ns = self._asked_ns + TERM_NS // 2
        self.waited_for = 0
        if self._owes:
            self._want()
        return True

    def take(self, units: int, now_ns: int, request: str = "") -> bool:
        """As the meter, if there is room for it; asks for more in good time."""
        if self._before_ns:
            self._begin(now_ns)
        left = -1  # as in _implied; a call would cost a tenth of the check
        if now_ns <= self._holding.until_ns:
            left = self._claims.implied(self.meter, self._part, now_ns)
        runs_short = (left - units) * 2 < self._part
        if runs_short:
            left = max(left, self._claimed(now_ns))
            if units > left:
                if units <= self.meter.remaining(now_ns):
                    self._want()
                return False
        if not self.meter.take(units, now_ns, request):
            return False
        self._used += units
        self._once = units
        self._is_asked = True
        if runs_short and ((left - units) * 2 < self._size or now_ns > self._renewed_ns):
            self._want()
        return True

    def undo(self, units: int, request: str = "") -> None:
        """It is room again."""
        self.meter.undo(units, request)
        self._used -= units

    def settle(self, done: Settlement) -> None:
        """What has happened counts at once, room or not, and is written down soon."""
        if self._before_ns:
            self._begin(done.now_ns)
        self._is_asked = True
        self.meter.settle(done)
        is_claimed = self._accepted is not None and self._claimed(done.now_ns) >= 0
        if not is_claimed and self._implied(done.now_ns) < 0:
            self._owes = True
            self._want()

    def give_back(self, back: Settlement) -> None:
        """It was taken and never passed; what came in for it since stays as it is."""
        self._claims.give_back(self.meter, back)

    def remaining(self, now_ns: int) -> int:
        """Of the limit, not of the room."""
        if self._before_ns:
            self._begin(now_ns)
        return self.meter.remaining(now_ns)

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """Of the limit, not of the room."""
        if not self._before_ns:
            return self.meter.wait_ns(units, now_ns)
        before_ns = self._before_ns
        self._begin(now_ns)
        wait_ns = self.meter.wait_ns(units, now_ns)
        if wait_ns and self.meter.wait_ns(units + self._part, now_ns) is None:
            wait_ns += max(0, before_ns - now_ns)  # until then it never has so many
        return wait_ns

    def _stands(self, now_ns: int) -> bool:
        """Whether the log says exactly how the meter is, but for claims under way."""
        if self._accepted is None:
            return self.meter.untouched(now_ns)  # else it was used, under what is implied
        return self._claimed(now_ns) == 0

    def _implied(self, now_ns: int) -> int:
        """Units that need no claim; below 0 what was used is more than those."""
        if self._before_ns:
            self._begin(now_ns)
        if now_ns > self._holding.until_ns:
            return -1
        return self._claims.implied(self.meter, self._part, now_ns)

    def _claimed(self, now_ns: int) -> int:
        """Units of room under claims alone."""
        if self._accepted is None:
            return 0
        room = self._claims.room(self.meter, self._accepted, now_ns)
        if self._pending is None:
            return room
        return min(room, self._claims.room(self.meter, self._pending, now_ns))

    def _begin(self, now_ns: int) -> None:
        """Leave what is implied to whoever counted before, as long as that one may use it."""
        self._claims.begin(self.meter, self._part, self._before_ns, now_ns)
        if now_ns > self._before_ns:
            self._before_ns = 0

    def _wanted_size(self, now_ns: int) -> int:
        remaining = max(1, self.meter.remaining(now_ns))
        elapsed = max(now_ns - self._asked_ns, HORIZON_NS)
        recent = -(-self._used * HORIZON_NS // elapsed)
        share = -(-remaining // SHARE)
        return min(remaining, max(self.waited_for, min(2 * max(recent, self._once), share)))
