"""Leases by customer: which limits its requests meet, and a part of each for who asks.

Token buckets that fill continuously are lent; where a request meets another limit, or a bucket of
which nothing is free, its application is asked for check by check. Limits in shadow mode refuse
nobody and are not lent: what passes by leases counts in them when its holder tells of it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from midstage.contracts.algorithms import Refill, Slots, TokenBucket
from midstage.contracts.limits import FailureRule, LimitSet
from midstage.throttle.decide.lending import TERM_NS, Ask, LentBucket, MakeLent, rate_micros
from midstage.throttle.decide.metering import LimitAccount, ns
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.opening import lent
from midstage.throttle.decide.reported import counted
from midstage.throttle.decide.room import Room
from midstage.throttle.model.leases import Grant, Lent, Passed, Wanted
from midstage.throttle.model.limits import whose
from midstage.throttle.views.book import Book
from midstage.throttle.views.meters import Meters

SLOWEST_MICROS: Final = 1_000
"""One unit in a quarter of an hour: of less, what is rounded away would count."""


class Lender:
    """Lends parts of the meters; belongs to their thread."""

    def __init__(
        self,
        *,
        book: Book,
        meters: Meters,
        serial: int,
        bucket: MakeLent = LentBucket,
        term_ns: int = TERM_NS,
    ) -> None:
        """``serial`` is larger than any of this process before; numbers of others are in the log.

        ``bucket`` makes those of which parts are lent.
        """
        self._book = book
        self._meters = meters
        self._serial = serial
        self._bucket = bucket
        self._term_ns = term_ns

    def lend(self, wanted: Wanted, now_ns: int) -> tuple[Lent, list[Room[Meter]]]:
        """A part of each limit that can be lent, by what all applications want of it together.

        And the rooms whose next claims say so: until they stand in the log, nobody may go by it.
        """
        met = {app: self._met(wanted.customer, app) for app in wanted.apps}
        per_check = {
            app: (why, _is_open(limits)) for app, limits in met.items() if (why := _unlent(limits))
        }
        wants: dict[str, int] = {}
        limits = {}
        for app, found in met.items():
            for limit in () if app in per_check else found:
                limits[limit.limit] = limit
                more = wanted.apps[app].get(limit.unit, 0)
                wants[limit.limit] = wants.get(limit.limit, 0) + more
        accounts = {
            name: self._account(limit, wanted.customer, now_ns) for name, limit in limits.items()
        }
        buckets = {name: lent(each, of=self._bucket) for name, each in accounts.items()}
        newest = max((each.grants.newest() for each in buckets.values()), default=0)
        self._serial = 1 + max(self._serial, newest)
        parts = {
            name: (limit, self._part(wanted, buckets[name], wants[name], now_ns))
            for name, limit in limits.items()
        }
        rooms = [each.meter for each in accounts.values() if isinstance(each.meter, Room)]
        for room in rooms:
            room.changed()
        for app, found in met.items():
            nothing = [each.limit for each in found if not _is_lent(parts.get(each.limit))]
            if app not in per_check and nothing:
                per_check[app] = f"nothing of {', '.join(nothing)} is free", _is_open(found)
        apps = {app: [each.limit for each in met[app]] for app in met if app not in per_check}
        told = Lent(
            serial=self._serial,
            term_ns=self._term_ns,
            parts=[part for part in parts.values() if _is_lent(part)],
            apps=apps,
            per_check=per_check,
        )
        return told, rooms

    def give_back(
        self, holder: str, customer: str, *, holding: int, left: Mapping[str, int], now_ns: int
    ) -> None:
        """End what it was lent up to ``holding``; what is ``left`` is the owner's again."""
        for name, units in left.items():
            limit = self._book.named(name)
            if limit is None:
                continue
            account = self._account(limit, customer, now_ns)
            if not isinstance(account.counted, LentBucket):
                continue
            had = account.counted.give_back(holder, holding=holding, left=units, now_ns=now_ns)
            if had and isinstance(account.meter, Room):
                account.meter.gained()

    def report(self, passed: Passed, now_ns: int) -> int:
        """Count it in limits in shadow mode; how many requests they would have refused.

        But for slots: those are free again.
        """
        refused = 0
        for app, units in passed.apps.items():
            accounts = [
                (limit.unit, self._account(limit, passed.customer, now_ns - passed.during_ns))
                for limit in self._all_met(passed.customer, app)
                if limit.shadow and not isinstance(limit.algorithm, Slots)
            ]
            since_ns = now_ns - passed.during_ns
            refused += counted(accounts, units, since_ns=since_ns, now_ns=now_ns)
        return refused

    def _met(self, customer: str, app: str) -> list[LimitSet]:
        return [each for each in self._all_met(customer, app) if not each.shadow]

    def _all_met(self, customer: str, app: str) -> Sequence[LimitSet]:
        meeting = self._book.met(customer, "", app)
        return () if meeting is None else meeting.limits

    def _account(self, limit: LimitSet, customer: str, now_ns: int) -> LimitAccount:
        account = self._meters.account(limit, whose(limit, customer, ""), now_ns)
        account.meter.remaining(now_ns)  # what is to be left to those before is no part of it
        return account

    def _part(self, wanted: Wanted, bucket: LentBucket, wants: int, now_ns: int) -> Grant:
        ask = Ask(holder=wanted.holder, wants_micros=wants, holding=wanted.holding)
        return bucket.lend(ask, serial=self._serial, now_ns=now_ns, term_ns=self._term_ns)


def _is_lent(part: tuple[LimitSet, Grant] | None) -> bool:
    return part is not None and part[1].burst > 0


def _is_open(limits: list[LimitSet]) -> bool:
    return all(each.on_failure is FailureRule.OPEN for each in limits)


def _unlent(limits: list[LimitSet]) -> str:
    """Why they can't be lent; empty where they can."""
    return "; ".join(f"{limit.limit}: {why}" for limit in limits if (why := _reason(limit)))


def _reason(limit: LimitSet) -> str:
    kinds = {
        "what is over all customers is lent to throttles alone": limit.aggregate,
        "a limit that is drained, or strict, can't be lent": limit.drain or limit.strict,
        "what is owed can't be lent": limit.debt,
    }
    why = next((why for why, is_one in kinds.items() if is_one), "")
    return why or _reason_of_algorithm(limit)


def _reason_of_algorithm(limit: LimitSet) -> str:
    match limit.algorithm:
        case TokenBucket(refill=Refill.CONTINUOUS, period_s=period_s, burst=burst):
            if rate_micros(limit.amount, ns(period_s)) < SLOWEST_MICROS:
                return "it fills too slowly to be lent"
            return "" if (burst or limit.amount) > 1 else "one unit can't be divided"
        case TokenBucket():
            return "a bucket that is refilled whole can't be lent"
        case other:
            return f"a {other.__struct_config__.tag} can't be lent"
