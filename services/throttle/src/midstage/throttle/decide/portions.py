"""What an owner lends to other throttles out of what remains of a window or a quota, as units.

What is lent is taken from the owner's meter as a check would take it, so it counts as used whoever
dies, and outstanding units never exceed what remains. They are a holder's until the window's end,
or its term's; what it gives back, or says by its next question never to have got, is there again.
A holder that dies loses what it had not used. Questions count once, and in the order of their
numbers: one that comes late or again is not answered. What holders owe is charged here, once.
"""

from dataclasses import dataclass
from typing import Final

from midstage.throttle.decide.lending import TERM_NS
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.meters.sliding import SlidingCounter
from midstage.throttle.decide.meters.wall import OnWallClock
from midstage.throttle.decide.meters.window import LifetimeQuota, Window
from midstage.throttle.decide.parts import AHEAD_NS
from midstage.throttle.model.account import Settlement
from midstage.throttle.model.parts import PartAsked, PartLent

MOST_HOLDERS: Final = 1_000
_MICROS: Final = 10**15


@dataclass(slots=True, kw_only=True)
class _Holder:
    number: int = 0
    serial: int = 0
    units: int = 0
    window: str = ""
    until_ns: int = 0
    paid: int = 0


class Portions:
    """Of one limit; changes in place."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._holders: dict[str, _Holder] = {}
        self._counted: Meter | None = None

    def heard(self, asked: PartAsked, now_ns: int) -> bool:
        """Take note of it; False for what is late, or one holder too many."""
        holder = self._holders.get(asked.holder)
        if holder is None:
            self._forget(now_ns)
            if len(self._holders) >= MOST_HOLDERS:
                return False
            holder = self._holders[asked.holder] = _Holder()
        if asked.number <= holder.number:
            return False
        holder.number = asked.number
        holder.until_ns = now_ns if asked.ends else now_ns + TERM_NS
        return True

    def charge(self, asked: PartAsked, meter: Meter, *, debt: int, now_ns: int) -> int:
        """What its holder owes, once; the sum that is charged of it now."""
        holder = self._holders[asked.holder]
        owes = asked.owed - max(asked.paid, holder.paid)
        if owes > 0:
            meter.settle(
                Settlement(reserved=0, actual=owes, taken_ns=now_ns, now_ns=now_ns, debt=debt)
            )
        holder.paid = max(holder.paid, asked.owed)
        return holder.paid

    def returned(self, asked: PartAsked, counted: Meter, window: str) -> int:
        """Units of ``window`` that it gives back, and those that it was lent and never got.

        ``counted`` is the limit's meter. What was lent of one before it is not undone: another
        process may have counted since, and told its holder of other parts.
        """
        if counted is not self._counted:
            self._counted = counted
            for each in self._holders.values():
                each.units = 0
        holder = self._holders[asked.holder]
        back = asked.back if asked.window == window else 0
        if asked.holding < holder.serial and holder.window == window:
            back += holder.units  # it was lent, and never taken over
        holder.units = 0
        return back

    def note(self, asked: PartAsked, *, serial: int, units: int, window: str) -> None:
        """It was lent so much by the answer of this number."""
        holder = self._holders[asked.holder]
        holder.serial, holder.units, holder.window = serial, units, window

    def is_newest(self, asked: PartAsked) -> bool:
        """Whether its holder still waits for the answer."""
        holder = self._holders.get(asked.holder)
        return holder is not None and holder.number == asked.number

    def size(self, asked: PartAsked, meter: Meter, counted: Meter, now_ns: int) -> tuple[int, int]:
        """Units that are to be lent, and how many of them are needed at once.

        What it wants for ``AHEAD_NS`` less what it has, up to an equal part of what remains.
        """
        window, _ = window_of(counted, now_ns)
        left = asked.left if asked.window == window else 0
        remaining = max(0, meter.remaining(now_ns))
        short = max(0, asked.least - left)
        wants = asked.wants_micros * AHEAD_NS // _MICROS - left
        others = sum(
            each.until_ns > now_ns for name, each in self._holders.items() if name != asked.holder
        )
        size = max(short, min(wants, remaining // (others + 2)))
        return max(0, min(size, remaining)), min(short, remaining)

    def lent(
        self,
        asked: PartAsked,
        units: int,
        *,
        serial: int,
        meter: Meter,
        counted: Meter,
        now_ns: int,
    ) -> PartLent:
        """``units`` were taken from the meter, and are its; until when, and what is left."""
        window, ends_ns = window_of(counted, now_ns)
        self.note(asked, serial=serial, units=units, window=window)
        left = asked.left if asked.window == window else 0
        remaining = max(0, meter.remaining(now_ns))
        enough = left + units >= asked.least
        return PartLent(
            serial=serial,
            burst=left + units,
            add=units,
            window=window,
            term_ns=TERM_NS if ends_ns is None else max(0, min(TERM_NS, ends_ns)),
            free=remaining if enough else 0,
            wait_ns=meter.wait_ns(remaining + 1, now_ns),
            paid=self._holders[asked.holder].paid,
        )

    def _forget(self, now_ns: int) -> None:
        """Who has not asked for two terms: nothing of it is under way any more."""
        for name, each in list(self._holders.items()):
            if each.until_ns + TERM_NS < now_ns:
                del self._holders[name]


def window_of(counted: Meter, now_ns: int) -> tuple[str, int | None]:
    """The window that is open, by a name that no other has, and in what time it ends."""
    match counted:
        case OnWallClock(meter=inner):
            return window_of(inner, now_ns + counted.ahead_ns)
        case Window():
            counted.remaining(now_ns)
            return f"window:{counted.start_ns}", counted.end_ns - counted.at_ns
        case SlidingCounter():
            counted.remaining(now_ns)
            ends_ns = counted.start_ns + counted.period_ns
            return f"sliding:{counted.start_ns}", ends_ns - counted.at_ns
        case LifetimeQuota():
            return "lifetime", None
        case _:
            raise TypeError(f"units of a {type(counted).__name__} can't be lent")
