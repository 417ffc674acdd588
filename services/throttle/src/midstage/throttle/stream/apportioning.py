"""The owner's side of limits over all customers: other throttles ask it for parts, and are told.

What is lent stands in the log before it is told: of a bucket by the claim of what the owner kept,
of units because they are taken by room as a check takes them. So whoever counts next knows of it,
and a process that does not count any more lends nothing that is not its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from midstage.throttle.decide.kept import Lacking
from midstage.throttle.decide.lending import TERM_NS, TOKEN, Ask, LentBucket
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.opening import lent
from midstage.throttle.decide.parts import Part
from midstage.throttle.decide.portions import Portions, window_of
from midstage.throttle.decide.room import Room
from midstage.throttle.model.account import Settlement
from midstage.throttle.model.later import Later
from midstage.throttle.model.parts import UNSAID, PartAsked, PartLent
from midstage.throttle.stream.keeping import Owning, Waits

WRITTEN_WITHIN_S: Final = 0.5


class Apportioning:
    """Belongs to the loop of the checks."""

    def __init__(
        self,
        *,
        owning: Owning,
        keeping: Waits,
        account: Callable[[str], LimitAccount | None],
        now_ns: Callable[[], int],
        told: Callable[[], None],
    ) -> None:
        """``account`` is that of an aggregate limit; ``told`` is called for each part lent."""
        self._owning = owning
        self._keeping = keeping
        self._account = account
        self._now_ns = now_ns
        self._told = told
        self._serial = now_ns()
        self._portions: dict[str, Portions] = {}

    def lend(self, asked: PartAsked) -> PartLent | Later[PartLent]:
        """The part, when the log says so; ``UNSAID`` where it is not ours to lend, or late."""
        if asked.owner != self._owning.owner or self._owning.holder(asked.limit) is not None:
            return UNSAID
        account = self._account(asked.limit)
        if account is None or isinstance(account.counted, Part):
            return UNSAID
        now_ns = self._now_ns()
        portions = self._portions.setdefault(asked.limit, Portions())
        if not portions.heard(asked, now_ns):
            return UNSAID
        self._serial += 1
        paid = portions.charge(asked, account.meter, debt=account.debt, now_ns=now_ns)
        if isinstance(account.counted, TokenBucket):
            return self._rate(account, asked, portions, paid)
        _take_back(account, asked, portions, now_ns)
        if asked.ends:
            return PartLent(serial=self._serial, paid=paid)
        return self._units(account, asked, portions)

    def _rate(
        self, account: LimitAccount, asked: PartAsked, portions: Portions, paid: int
    ) -> PartLent | Later[PartLent]:
        now_ns = self._now_ns()
        if asked.ends:
            if isinstance(account.counted, LentBucket):
                had = account.counted.give_back(
                    asked.holder, holding=asked.holding, left=asked.back, now_ns=now_ns
                )
                if had and isinstance(account.meter, Room):
                    account.meter.gained()
            return PartLent(serial=self._serial, paid=paid)
        bucket = lent(account)
        serial = self._serial = 1 + max(self._serial, bucket.grants.newest())
        ask = Ask(
            holder=asked.holder,
            wants_micros=asked.wants_micros,
            holding=asked.holding,
            left=asked.left,
            least=asked.least,
            back=portions.returned(asked, bucket, ""),
        )
        grant = bucket.lend(ask, serial=serial, now_ns=now_ns, term_ns=TERM_NS)
        portions.note(asked, serial=serial, units=grant.add, window="")
        enough = min(grant.burst, asked.left + grant.add) >= asked.least
        part = PartLent(
            serial=serial,
            rate_micros=grant.rate_micros,
            burst=grant.burst,
            add=grant.add,
            term_ns=TERM_NS,
            free=max(0, bucket.level) // TOKEN if enough else 0,
            paid=paid,
        )
        self._told()
        room = account.meter
        if not isinstance(room, Room):
            return part
        room.changed()
        later: Later[PartLent] = Later()

        def again() -> Lacking:
            if not room.is_written:
                return [(room, 1)]
            later.told(part)
            return ()

        waits = self._keeping.wait(
            [(room, 1)],
            within_s=WRITTEN_WITHIN_S,
            again=again,
            over=lambda: later.told(UNSAID),
        )
        return later if waits else UNSAID

    def _units(
        self, account: LimitAccount, asked: PartAsked, portions: Portions
    ) -> PartLent | Later[PartLent]:
        taking = _Taking(
            portions=portions,
            meter=account.meter,
            counted=account.counted,
            asked=asked,
            serial=self._serial,
            now_ns=self._now_ns,
            told=self._told,
        )
        found = taking.part(patiently=True)
        if isinstance(found, PartLent):
            return found
        waits = self._keeping.wait(
            taking.lacks(found), within_s=WRITTEN_WITHIN_S, again=taking.again, over=taking.over
        )
        return taking.later if waits else UNSAID


def _take_back(account: LimitAccount, asked: PartAsked, portions: Portions, now_ns: int) -> None:
    window, _ = window_of(account.counted, now_ns)
    back = portions.returned(asked, account.counted, window)
    if back:
        account.meter.settle(Settlement(reserved=back, actual=0, taken_ns=now_ns, now_ns=now_ns))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taking:
    """Units that are taken from the owner's meter for a holder, now or when there is room.

    From the meter that was asked: where another process counts by then, it has no more than room.
    """

    portions: Portions
    meter: Meter
    counted: Meter
    asked: PartAsked
    serial: int
    now_ns: Callable[[], int]
    told: Callable[[], None]
    later: Later[PartLent] = field(default_factory=Later)

    def part(self, *, patiently: bool) -> PartLent | int:
        """What was taken, or how many units the log has no room for yet."""
        if not self.portions.is_newest(self.asked):
            return UNSAID
        now_ns, meter = self.now_ns(), self.meter
        size, short = self.portions.size(self.asked, meter, self.counted, now_ns)
        ready = max(0, min(size, meter.left(now_ns))) if isinstance(meter, Room) else size
        if patiently and ready < max(short, min(1, size)):
            return size
        units = ready if ready and meter.take(ready, now_ns) else 0
        self.told()
        return self.portions.lent(
            self.asked,
            units,
            serial=self.serial,
            meter=meter,
            counted=self.counted,
            now_ns=now_ns,
        )

    def lacks(self, units: int) -> Lacking:
        """Room for so much."""
        meter = self.meter
        return [(meter, units)] if isinstance(meter, Room) else ()

    def again(self) -> Lacking:
        """Take it now, or wait on."""
        found = self.part(patiently=True)
        if isinstance(found, int):
            return self.lacks(found)
        self.later.told(found)
        return ()

    def over(self) -> None:
        """What there is has to do."""
        found = self.part(patiently=False)
        self.later.told(found if isinstance(found, PartLent) else UNSAID)
