"""Which limits a request meets, by whom it comes from and where it goes.

All of them hold, but for those that one of them overrides. Limits stand in a table by customer,
key, plan and application, each by name or for any, and by labels, so a question costs sixteen
look-ups however many limits there are, and as many for each set of labels that limits ask for and
find. What was found is kept until a limit changes, for the last ``MOST_KEPT`` that asked, or half
as many; what is always said of the same limits is made once for all who meet them.
"""

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
from midstage.throttle.model.limits import MeterKey, Standing, meter_key
from midstage.throttle.views.matches import Match, Matches, match_of

MOST_KEPT: Final = 65_536

_Place = tuple[str, str, str, str, Match]
"""Customer, key, plan, application, labels."""
_Asking = tuple[str, str, str, Match]
"""Customer, key, application, the labels that matter."""
_NOBODY_S: Final[Mapping[str, LimitSet]] = MappingProxyType({})
_DAYS: Final = {Every.DAY: 1, Every.WEEK: 7, Every.MONTH: 31, Every.YEAR: 366}
_DAY_NS: Final = 86_400_000_000_000


class Book:
    """The limits that stand and who is on which plan, as the log says."""

    def __init__(self, states: Mapping[str, Standing] | None = None) -> None:
        """Nothing stands yet, or what ``states`` say."""
        self._facts: dict[str, LimitSet | CustomerPlanned | None] = {}
        self._by_name: dict[str, LimitSet] = {}
        self._by_place: dict[_Place, dict[str, LimitSet]] = {}
        self._matches = Matches()
        self._plans: dict[str, CustomerPlanned] = {}
        self._met: dict[_Asking, Meeting | None] = {}
        self._met_before: dict[_Asking, Meeting | None] = {}
        self._alike: dict[tuple[str, ...], Meeting] = {}
        self.take_over(states or {})

    def __len__(self) -> int:
        """How many limits stand."""
        return len(self._by_name)

    @property
    def kept(self) -> int:
        """For how many customers, keys and applications it is known what they meet."""
        return len(self._met) + len(self._met_before)

    def take_over(self, states: Mapping[str, Standing]) -> None:
        """Hold by what stands now; costs little for what did not change."""
        known, changed = self._facts, False
        for key, standing in states.items():
            fact = standing.fact
            if known.get(key) is not fact:
                self._change(known.get(key), fact)
                known[key] = fact
                changed = True
        if len(known) > len(states):
            for key in known.keys() - states.keys():
                self._change(known.pop(key), None)
                changed = True
        if changed:
            self._met, self._met_before, self._alike = {}, {}, {}

    def met(
        self, customer: str, key: str, app: str, labels: Mapping[str, str] = UNLABELLED
    ) -> Meeting | None:
        """The limits that such a request meets; None where it meets none."""
        who = (customer, key, app, self._matches.known(labels) if labels else ())
        try:
            return self._met[who]
        except KeyError:
            return self._met_again(who)

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

    def _met_again(self, who: _Asking) -> Meeting | None:
        """What was found for it before, or is found now."""
        if len(self._met) >= MOST_KEPT // 2:
            # dropping them one by one would look for the first among ever more that are gone
            self._met, self._met_before = {}, self._met
        try:
            meeting = self._met_before[who]
        except KeyError:
            meeting = self._found(*who)
        self._met[who] = meeting
        return meeting

    def _found(self, customer: str, key: str, app: str, labels: Match) -> Meeting | None:
        planned = self._plans.get(customer)
        places = product(
            (customer, ANY),
            ("", ANY, key) if key else ("",),
            ("", planned.plan) if planned else ("",),
            (app, ANY),
            self._matches.fulfilled(labels),
        )
        found: dict[str, LimitSet] = {}
        for place in places:
            found.update(self._by_place.get(place, _NOBODY_S))
        over = {name for limit in found.values() for name in limit.overrides}
        names = tuple(name for name in sorted(found) if name not in over)
        if not names:
            return None
        alike = self._alike.get(names)
        if alike is not None:
            return alike.of(meter_keys(alike.limits, customer, key))
        if len(self._alike) >= MOST_KEPT:
            self._alike.clear()
        meeting = meeting_of([found[name] for name in names], customer, key)
        self._alike[names] = meeting
        return meeting

    def _change(
        self, before: LimitSet | CustomerPlanned | None, fact: LimitSet | CustomerPlanned | None
    ) -> None:
        match before:
            case LimitSet():
                del self._by_place[_place(before)][before.limit]
                if not self._by_place[_place(before)]:
                    del self._by_place[_place(before)]
                del self._by_name[before.limit]
                self._matches.remove(match_of(before.match))
            case CustomerPlanned():
                del self._plans[before.customer]
            case None:
                pass
        match fact:
            case LimitSet():
                self._by_place.setdefault(_place(fact), {})[fact.limit] = fact
                self._by_name[fact.limit] = fact
                self._matches.add(match_of(fact.match))
            case CustomerPlanned():
                self._plans[fact.customer] = fact
            case None:
                pass


def meeting_of(limits: Sequence[LimitSet], customer: str, key: str) -> Meeting:
    """These limits as ``customer`` meets them by ``key``, with what is always said of them."""
    told = [limit for limit in limits if not limit.shadow]
    return Meeting(
        limits=tuple(limits),
        keys=meter_keys(limits, customer, key),
        policies=headers.rate_limit_policy(policy_of(limit) for limit in told),
        states=tuple("" if limit.shadow else headers.state_begins(limit.limit) for limit in limits),
        shadowed=len(told) < len(limits),
        settled=tuple(at for at, limit in enumerate(limits) if limit.unit != REQUESTS),
        strict=any(limit.strict for limit in limits),
    )


def meter_keys(limits: Sequence[LimitSet], customer: str, key: str) -> Sequence[MeterKey]:
    """Whose meters of ``limits`` count, in their order."""
    return tuple([meter_key(limit, customer, key) for limit in limits])


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
