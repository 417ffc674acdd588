"""Checks that the log keeps waiting: for room, or until it has what they took of strict limits.

Each is told once: when the log has all that it lacks, or, when its time is up, by the failure
rules. What it took of a strict limit by then is given back, and so is what it took of others in the
same step: it never passed by count. It is decided by the limits of that moment: those that it met
when it came may be changed, and nobody counts by them any more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from midstage.throttle.decide.judging import asked, lacking, undurable
from midstage.throttle.decide.kept import Lacking
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.reserving import Reservations
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.strict import Strict
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.account import Counting, Settlement
from midstage.throttle.model.checks import Check, Judged, Meeting
from midstage.throttle.model.later import Later
from midstage.throttle.stream.deciding import Deciding
from midstage.throttle.stream.keeping import Waits

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What an admitted check took of each meter, and what has to be durable before it is told."""

    answer: Judged
    meters: Sequence[Counting]
    units: Sequence[int]
    at_ns: int
    lacks: Sequence[tuple[Strict[Meter], int]]


@dataclass(slots=True, kw_only=True)
class Asking:
    """A check under way; ``taken`` when it has passed and is not told yet."""

    meeting: Meeting
    accounts: Sequence[LimitAccount]
    check: Check
    within_s: float
    taken: Taken | None = None
    later: Later[Judged | None] = field(default_factory=Later)

    def passes(self, answer: Judged, now_ns: int, *, known: bool) -> Taken:
        """It took what it asked for just now, or nothing where that was ``known``."""
        units = [0] * len(self.accounts) if known else asked(self.accounts, self.check)
        lacks = undurable(self.accounts)
        meters = [account.meter for account in self.accounts]
        self.taken = Taken(answer=answer, meters=meters, units=units, at_ns=now_ns, lacks=lacks)
        return self.taken


class Waiting:
    """Belongs to one event loop."""

    def __init__(
        self,
        *,
        waits: Waits,
        met: Callable[[Check], Meeting | None],
        deciding: Deciding,
        reservations: Reservations[LimitAccount],
        metrics: Metrics,
        monotonic_ns: Callable[[], int],
    ) -> None:
        """Nobody waits yet; ``met`` are the limits that a check meets now, None for no limit."""
        self._waits = waits
        self._met = met
        self._deciding = deciding
        self._reservations = reservations
        self._metrics = metrics
        self._monotonic_ns = monotonic_ns

    def told(self, asking: Asking, lacks: Lacking) -> Judged | Later[Judged | None] | None:
        """When the log has what it lacks; the failure rules speak where that is too late.

        None where no limit holds by then.
        """
        waits = self._waits.wait(
            lacks,
            within_s=asking.within_s,
            again=lambda: self._again(asking),
            over=lambda: asking.later.told(self._over(asking)),
        )
        return asking.later if waits else self._over(asking)

    def _again(self, asking: Asking) -> Lacking:
        """The same check once more, or, when it has passed, what the log does not have of it.

        By the accounts of that moment: meanwhile the customer may be counted for here anew.
        """
        check, taken = asking.check, asking.taken
        if taken is None:
            now_ns = self._monotonic_ns()
            meeting = self._met(check)
            if meeting is None:
                self._metrics.unlimited.inc()
                asking.later.told(None)
                return ()
            asking.meeting = meeting
            asking.accounts = accounts = self._deciding.accounts(meeting, check, now_ns)
            known = self._deciding.known(meeting, check, now_ns)
            answer = self._deciding.decided(meeting, accounts, check, now_ns)
            if not answer.admitted:
                still = () if answer.violated else lacking(meeting, accounts, check, now_ns)
                if not still:
                    asking.later.told(self._deciding.counted(answer))
                return still
            taken = asking.passes(answer, now_ns, known=known)
        behind = [each for each in taken.lacks if not each[0].is_durable(each[1])]
        if not behind:
            asking.later.told(self._durable(taken, check))
        return behind

    def _durable(self, taken: Taken, check: Check) -> Judged:
        """Whoever counts next knows of it."""
        for meter, _ in taken.lacks:
            meter.answered(check.request)
        if taken.lacks:
            self._metrics.strict_seconds.observe((self._monotonic_ns() - taken.at_ns) / _NS_PER_S)
        return self._deciding.counted(taken.answer)

    def _over(self, asking: Asking) -> Judged | None:
        if asking.taken is not None:
            self._give_back(asking, asking.taken)
        meeting, check = self._met(asking.check), asking.check
        if meeting is None:
            self._metrics.unlimited.inc()
            return None
        accounts = self._deciding.accounts(meeting, check, self._monotonic_ns())
        return self._deciding.without_log(meeting, accounts, check)

    def _give_back(self, asking: Asking, taken: Taken) -> None:
        """But for what its fact has settled already, and what limits in shadow mode count."""
        request = asking.check.request
        is_settled = bool(request) and self._reservations.opened(request) is None
        self._reservations.cancel(request)
        now_ns = self._monotonic_ns()
        accounts = zip(asking.accounts, taken.meters, taken.units, strict=True)
        for at, (account, meter, units) in enumerate(accounts):
            if not units or account.shadow or (is_settled and at in asking.meeting.settled):
                continue
            if account.meter is not meter:
                continue  # the limit began anew: nothing was taken of this one
            back = Settlement(
                reserved=units, actual=0, taken_ns=taken.at_ns, now_ns=now_ns, request=request
            )
            if isinstance(account.meter, Room | Strict):
                account.meter.give_back(back)
            else:
                account.meter.settle(back)
