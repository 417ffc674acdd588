"""Slots that use only what the log counts as given, so that no crash lets more in at once.

As any room, but for three things. What is ahead of need is little: of a slot that was claimed and
never given a successor can't know so, and keeps it until its time is up. So who asks seldom waits
for the log each time, and has nothing ahead. What the log says is made true in the sweep as well:
who has a slot is named there, and an end takes the name out, soon and not at once. And a request
that has a slot needs no room to ask again.
"""

from collections.abc import Callable
from typing import Final

from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.claims.slots import SlotClaims
from midstage.throttle.decide.meters.slots import Slots
from midstage.throttle.decide.room import HORIZON_NS, SHARE, TERM_NS, Room
from midstage.throttle.model.holding import NOTHING_IMPLIED, Holding
from midstage.throttle.model.limits import Key

_PER_HORIZON: Final = TERM_NS // (2 * HORIZON_NS)
"""Of what was given in a term, one part in so many is ahead: twice what is in the horizon."""


class SlotRoom(Room[Slots]):
    """A Meter over slots, for one key."""

    __slots__ = ("_ahead", "_before", "_counted", "_counted_ns", "_said")

    def __init__(
        self,
        meter: Slots,
        claims: SlotClaims,
        *,
        key: Key,
        algorithm: str,
        now_ns: int,
        asked: Callable[[Room[Slots]], None],
        holding: Holding = NOTHING_IMPLIED,
        accepted: Standing | None = None,
    ) -> None:
        """``meter`` is as the log says; nothing of it is implied, and no older claim is room."""
        del holding, accepted
        super().__init__(meter, claims, key=key, algorithm=algorithm, now_ns=now_ns, asked=asked)
        self._said = meter.changes
        self._counted_ns = now_ns
        self._ahead = self._counted = self._before = 0

    def changed(self) -> None:
        """The log says what is ahead by other terms."""
        super().changed()
        self._said = -1

    def take(self, units: int, now_ns: int, request: str = "") -> bool:
        """As the meter, if there is room for it."""
        if units and self.meter.has(request):
            return self.meter.take(units, now_ns, request)
        if not super().take(units, now_ns, request):
            return False
        self._count(units, now_ns)
        return True

    def claim(self, now_ns: int) -> tuple[int, Standing] | None:
        """What is to be given next, and who has a slot."""
        claimed = super().claim(now_ns)
        if claimed is not None:
            self._said, self._ahead = self.meter.changes, claimed[0]
        return claimed

    def last(self, now_ns: int) -> Standing | None:
        """Who has a slot."""
        claim = super().last(now_ns)
        if claim is not None:
            self._said, self._ahead = self.meter.changes, 0
        return claim

    def at_rest(self, now_ns: int) -> None:
        """Never: requests hold it, or it is let go of; a claim's room is of what was given here."""
        del now_ns

    def refused(self, claim: Standing) -> bool:
        """The log does not say what it should."""
        if not super().refused(claim):
            return False
        self._said = -1
        return True

    def untouched(self, now_ns: int) -> bool:
        """Whether nobody has a slot and the log says so; it is told where it does not."""
        is_free = super().untouched(now_ns)
        if self._stands(now_ns):
            return is_free
        if now_ns > self._renewed_ns and not self.is_asking:
            self._owes = True
            self._want()
        return False

    def _stands(self, now_ns: int) -> bool:
        """Whether the log names who has a slot, nobody else, and nothing is ahead."""
        self.meter.remaining(now_ns)
        return self._said == self.meter.changes and not self._ahead

    def _count(self, units: int, now_ns: int) -> None:
        since_ns = now_ns - self._counted_ns
        if since_ns > TERM_NS:
            self._before = self._counted if since_ns < 2 * TERM_NS else 0
            self._counted, self._counted_ns = 0, now_ns
        self._counted += units

    def _wanted_size(self, now_ns: int) -> int:
        self._count(0, now_ns)
        remaining = max(0, self.meter.remaining(now_ns))
        ahead = min(max(self._before, self._counted) // _PER_HORIZON, -(-remaining // SHARE))
        # one at least for who waits, so that it is told when the last one was given meanwhile
        return min(max(1, remaining), max(self.waited_for, ahead))
