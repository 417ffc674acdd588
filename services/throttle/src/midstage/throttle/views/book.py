"""Which limits a request meets, by whom it comes from and where it goes.

All of them hold, but for those that one of them overrides. Limits stand in a table by customer,
key, plan and application, each by name or for any, and by labels, so a question costs sixteen
look-ups however many limits there are, and as many for each set of labels that limits ask for and
find. What was found is kept until a limit changes, once for all customers, keys, applications and
labels that no limit names: so neither strangers nor a million customers make it dearer.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Final

from midstage.contracts.algorithms import (
    CalendarQuota,
    Every,
    Gcra,
    LeakyBucket,
    LifetimeQuota,
    Refill,
    Slots,
    TokenBucket,
)
from midstage.contracts.limits import ANY, REQUESTS, CustomerPlanned, LimitSet, Terms
from midstage.limits import headers
from midstage.throttle.decide.metering import ns
from midstage.throttle.model.checks import UNLABELLED, Meeting
from midstage.throttle.model.limits import Standing
from midstage.throttle.views.matches import Match, Matches, match_of

MOST_KEPT: Final = 4096
"""Meetings of one group; there are more only of those who are named in very many ways."""

_Place = tuple[str, str, str, str, Match]
"""Customer, key, plan, application, labels."""
_NOBODY_S: Final[Mapping[str, LimitSet]] = MappingProxyType({})
_DAYS: Final = {Every.DAY: 1, Every.WEEK: 7, Every.MONTH: 31, Every.YEAR: 366}
_DAY_NS: Final = 86_400_000_000_000


class _Group:
    """Customers who meet the same: one that limits name, or all others of a plan, or of none.

    ``met``: what was found by key, application and labels, as of ``change``.
    """

    __slots__ = ("change", "customer", "met", "plan")

    def __init__(self, customer: str, plan: str) -> None:
        """``customer`` is ``*`` where no limit names those who are meant."""
        self.customer = customer
        self.plan = plan
        self.change = 0
        self.met: dict[tuple[str, str, Match], Meeting | None] = {}


class Book:
    """The limits that stand and who is on which plan, as the log says."""

    def __init__(self, states: Mapping[str, Standing] | None = None) -> None:
        """Nothing stands yet, or what ``states`` say."""
        self._facts: dict[str, LimitSet | CustomerPlanned] = {}
        self._by_name: dict[str, LimitSet] = {}
        self._by_place: dict[_Place, dict[str, LimitSet]] = {}
        self._matches = Matches()
        self._plans: dict[str, CustomerPlanned] = {}
        self._named: Counter[str] = Counter()
        self._keys: Counter[str] = Counter()
        self._apps: Counter[str] = Counter()
        self._others = _Group(ANY, "")
        self._planned: dict[str, _Group] = {}
        self._groups: dict[str, _Group] = {}
        self._change_number = 0
        self.take_over(states or {})

    def __len__(self) -> int:
        """How many limits stand."""
        return len(self._by_name)

    @property
    def kept(self) -> int:
        """How many meetings are remembered."""
        groups = {*self._groups.values(), *self._planned.values(), self._others}
        return sum(len(group.met) for group in groups)

    def take_over(self, changes: Mapping[str, Standing]) -> None:
        """Hold by what stands now of these keys; it costs as much as there are."""
        known = self._facts
        for key, standing in changes.items():
            before, fact = known.get(key), standing.fact
            if before is fact:
                continue
            self._let_go(before)
            if fact is None:
                del known[key]
            else:
                known[key] = fact
                self._hold(fact)

    def met(
        self, customer: str, key: str, app: str, labels: Mapping[str, str] = UNLABELLED
    ) -> Meeting | None:
        """The limits that such a request meets; None where it meets none."""
        group = self._groups.get(customer, self._others)
        if group.change != self._change_number or len(group.met) > MOST_KEPT:
            group.met, group.change = {}, self._change_number
        if key and key not in self._keys:
            key = ANY
        known = self._matches.known(labels) if labels else ()
        where = (key, app if app in self._apps else ANY, known)
        try:
            return group.met[where]
        except KeyError:
            meeting = group.met[where] = self._found(group, *where)
            return meeting

    def named(self, name: str) -> LimitSet | None:
        """The limit of that name; None where it does not stand."""
        return self._by_name.get(name)

    def plan(self, customer: str) -> CustomerPlanned | None:
        """The plan that the customer is on; None where it is on none."""
        return self._plans.get(customer)

    def concerning(self, customer: str, key: str, app: str | None) -> Sequence[LimitSet]:
        """All that requests of a customer may meet, to ``app`` or anywhere, overridden or not.

        With whatever labels.
        """
        planned = self._plans.get(customer)
        plans = ("", planned.plan) if planned else ("",)
        return [
            limit
            for _, limit in sorted(self._by_name.items())
            if limit.customer in (customer, ANY)
            and limit.plan in plans
            and (not limit.key or (key and limit.key in (key, ANY)))
            and (app is None or limit.app in (app, ANY))
        ]

    def _found(self, group: _Group, key: str, app: str, labels: Match) -> Meeting | None:
        places = product(
            (group.customer, ANY),
            ("", ANY, key) if key else ("",),
            ("", group.plan) if group.plan else ("",),
            (app, ANY),
            self._matches.fulfilled(labels),
        )
        found: dict[str, LimitSet] = {}
        for place in places:
            found.update(self._by_place.get(place, _NOBODY_S))
        over = {name for limit in found.values() for name in limit.overrides}
        holding = [limit for name, limit in sorted(found.items()) if name not in over]
        return meeting_of(holding) if holding else None

    def _let_go(self, before: LimitSet | CustomerPlanned | None) -> None:
        match before:
            case LimitSet():
                place = _place(before)
                del self._by_place[place][before.limit]
                if not self._by_place[place]:
                    del self._by_place[place]
                del self._by_name[before.limit]
                self._matches.remove(match_of(before.match))
                self._count(before, -1)
            case CustomerPlanned(customer=customer):
                del self._plans[customer]
                self._group(customer)
            case None:
                pass

    def _hold(self, fact: LimitSet | CustomerPlanned) -> None:
        match fact:
            case LimitSet():
                self._by_place.setdefault(_place(fact), {})[fact.limit] = fact
                self._by_name[fact.limit] = fact
                self._matches.add(match_of(fact.match))
                self._count(fact, 1)
            case CustomerPlanned(customer=customer):
                self._plans[customer] = fact
                self._group(customer)

    def _count(self, limit: LimitSet, more: int) -> None:
        """Of a limit that names a customer, only that one's meetings are found anew."""
        for names, name in ((self._keys, limit.key), (self._apps, limit.app)):
            names[name] += more
            if not names[name]:
                del names[name]
        if limit.customer == ANY:
            self._change_number += 1
            return
        self._named[limit.customer] += more
        if not self._named[limit.customer]:
            del self._named[limit.customer]
        self._group(limit.customer)

    def _group(self, customer: str) -> None:
        """Put the customer where it belongs now; of a limit that names it nothing is kept."""
        planned = self._plans.get(customer)
        plan = planned.plan if planned else ""
        if customer in self._named:
            group = _Group(customer, plan)
            group.change = self._change_number
            self._groups[customer] = group
        elif plan:
            self._groups[customer] = self._planned.setdefault(plan, _Group(ANY, plan))
        else:
            self._groups.pop(customer, None)


def meeting_of(limits: Sequence[LimitSet]) -> Meeting:
    """These limits as they are met, with what is always said of them."""
    told = [limit for limit in limits if not limit.shadow]
    return Meeting(
        limits=tuple(limits),
        policies=headers.rate_limit_policy(policy_of(limit) for limit in told),
        states=tuple("" if limit.shadow else headers.state_begins(limit.limit) for limit in limits),
        shadowed=len(told) < len(limits),
        settled=tuple(at for at, limit in enumerate(limits) if limit.unit != REQUESTS),
        strict=any(limit.strict for limit in limits),
    )


def policy_of(limit: LimitSet) -> headers.Policy:
    """Quota and window as headers tell them.

    Of a bucket: how much it holds, and in what time as much comes in. A calendar's window is its
    longest.
    """
    quota, window_ns = _quota(limit)
    return headers.Policy(name=limit.limit, quota=quota, window_ns=window_ns, unit=limit.unit)


def _quota(terms: Terms) -> tuple[int, int | None]:
    amount, algorithm = terms.amount, terms.algorithm
    match algorithm:
        case TokenBucket(refill=Refill.CONTINUOUS) | LeakyBucket() | Gcra():
            full = algorithm.burst or amount
            return full, -(-full * ns(algorithm.period_s) // amount)
        case CalendarQuota(every=every):
            return amount, _DAYS[every] * _DAY_NS
        case LifetimeQuota() | Slots():
            return amount, None
        case _:
            return amount, ns(algorithm.period_s)


def _place(terms: Terms) -> _Place:
    return terms.customer, terms.key, terms.plan, terms.app, match_of(terms.match)
