"""Requests that are over: what they really used is charged, what was reserved for them is free."""

from collections.abc import Callable, Collection, Sequence

from midstage.contracts.limits import CONCURRENCY
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.reserving import Reservations
from midstage.throttle.decide.settling import actual, used
from midstage.throttle.decide.strict import Strict
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.account import Settlement
from midstage.throttle.model.checks import Ended
from midstage.throttle.model.limits import Key, whose
from midstage.throttle.stream.keeping import Unanswering
from midstage.throttle.views.book import Book
from midstage.throttle.views.meters import Meters


class Settling:
    """Belongs to the loop of the checks."""

    def __init__(
        self,
        *,
        book: Book,
        meters: Meters,
        reservations: Reservations[LimitAccount],
        keeping: Unanswering,
        ours: Callable[[str], bool],
        metrics: Metrics,
    ) -> None:
        """``ours`` says for which customers this process counts."""
        self._book = book
        self._meters = meters
        self._reservations = reservations
        self._keeping = keeping
        self._ours = ours
        self._metrics = metrics

    def settle(self, ended: Ended, now_ns: int) -> None:
        """Charge what the request really used, once; whatever was reserved for it is free."""
        if ended.earlier:
            self._free(ended, now_ns)
            return
        told = self._settle_unanswered(ended, now_ns)
        held = self._held(ended, now_ns)
        if held is None:
            return
        left = [(account, units) for account, units in held if account.key not in told]
        accounts, reserved = [account for account, _ in left], [units for _, units in left]
        units = [account.limit.unit for account in accounts]
        opened = self._reservations.opened(ended.request)
        if opened is not None:
            opened.accounts, opened.units = accounts, reserved
        self._reservations.settle(
            ended.request, accounts, actual(ended, units, reserved), now_ns, ended.customer
        )
        self._metrics.settled.inc()

    def _free(self, ended: Ended, now_ns: int) -> None:
        """Its slots, and nothing else: nobody knows what was charged for it before."""
        held = () if self._reservations.opened(ended.request) else self._held(ended, now_ns)
        for account, _ in held or ():
            if account.limit.unit == CONCURRENCY:
                over = Settlement(
                    reserved=0, actual=0, taken_ns=now_ns, now_ns=now_ns, request=ended.request
                )
                account.meter.settle(over)

    def _held(self, ended: Ended, now_ns: int) -> Sequence[tuple[LimitAccount, int]] | None:
        """What is to be settled for the request, with what was reserved of it; None: nothing is."""
        opened = self._reservations.opened(ended.request)
        if opened is not None:
            live = [self._meters.live(each, self._book, now_ns) for each in opened.accounts]
            return list(zip(live, opened.units, strict=True))
        if not self._ours(ended.customer):
            return None  # whoever counts for it reads of it too
        meeting = self._book.met(ended.customer, ended.key, ended.app, ended.labels)
        if meeting is None or not meeting.settled:
            return None
        met = self._meters.of(meeting, ended.customer, ended.key, now_ns)
        return [(met[at], 0) for at in meeting.settled]

    def _settle_unanswered(self, ended: Ended, now_ns: int) -> Collection[Key]:
        """Of what a lost owner took for it; whose meters were told."""
        told: list[Key] = []
        taken = self._keeping.unanswered(ended.request)
        if not taken:
            return told
        for (name, customer, own), named in taken:
            limit = self._book.named(name)
            if limit is None or customer != ended.customer:
                continue
            account = self._meters.account(limit, whose(limit, customer, own), now_ns)
            was = used(ended, limit.unit, named.units)
            if isinstance(account.meter, Strict) and account.meter.ended(
                named, was, now_ns=now_ns, debt=limit.debt
            ):
                told.append(account.key)
        if any(customer == ended.customer for (_, customer, _), _ in taken):
            self._keeping.ended(ended.request)
            self._metrics.unanswered.inc()
        return told
