"""Leases and checks over HTTP, for callers without Envoy; on the event loop of the checks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from fastapi import APIRouter

from midstage.chassis.commands import Raw
from midstage.contracts.errors import UnavailableError
from midstage.contracts.limits import FailureRule, LimitSet
from midstage.contracts.spends import CustomersTaken
from midstage.limits.wire import Ask, LeaseAnswer, LeasesAnswer, LeasesBody, LeaseTerms
from midstage.throttle.adapters.awaiting import awaited
from midstage.throttle.api.answers import ForeseenAnswer
from midstage.throttle.api.looking import told
from midstage.throttle.api.reading import CheckBody, check_of, described, leases_of
from midstage.throttle.model.checks import Check, Judged
from midstage.throttle.model.later import Later
from midstage.throttle.model.leases import Grant, Lent, Wanted
from midstage.throttle.views.book import policy_of

_MICROS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000


class Gate(Protocol):
    """What lends and answers checks."""

    def check(
        self, check: Check, remaining_s: float | None
    ) -> Judged | Later[Judged | None] | None:
        """The verdict, charged."""
        ...

    def lend(self, wanted: Wanted) -> Lent | Later[Lent | None] | None:
        """Parts of limits; None where the log does not take them in time."""
        ...

    def give_back(
        self, holder: str, customer: str, *, holding: int, left: Mapping[str, int]
    ) -> None:
        """The end of what was lent."""
        ...


class Owning(Protocol):
    """Who counts for whom."""

    def holder(self, customer: str) -> CustomersTaken | None:
        """Who else counts for the customer; None where this process does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lending:
    """The gate as holders of leases use it; ``serving`` says why it is not open, or None."""

    gate: Gate
    owning: Owning
    serving: Callable[[], str | None]

    async def leases(self, body: LeasesBody) -> LeasesAnswer:
        """What is given back first: it may be lent again at once; UnavailableError."""
        for back in body.backs:
            self._ours(back.customer)
            self.gate.give_back(body.holder, back.customer, holding=back.holding, left=back.left)
        return {"answers": [await self._lent(body.holder, ask) for ask in body.asks]}

    async def checked(self, check: Check) -> ForeseenAnswer:
        """The verdict; UnavailableError."""
        self._ours(check.customer)
        return told(await awaited(self.gate.check(check, None)))

    def _ours(self, customer: str) -> None:
        closed = self.serving()
        if closed is not None:
            raise UnavailableError(closed)
        holder = self.owning.holder(customer)
        if holder is not None:
            raise UnavailableError(f"{holder.owner} counts for {customer}: ask that process")

    async def _lent(self, holder: str, ask: Ask) -> LeaseAnswer:
        self._ours(ask.customer)
        apps = {
            app: {unit: int(wants * _MICROS) for unit, wants in units.items()}
            for app, units in ask.apps.items()
        }
        lent = await awaited(
            self.gate.lend(
                Wanted(holder=holder, customer=ask.customer, apps=apps, holding=ask.holding)
            )
        )
        if lent is None:
            raise UnavailableError("the log does not take what would be lent; ask again")
        return {
            "customer": ask.customer,
            "serial": lent.serial,
            "term_ms": lent.term_ns // 1_000_000,
            "leases": [_terms(limit, grant) for limit, grant in lent.parts],
            "apps": {app: list(limits) for app, limits in lent.apps.items()},
            "per_check": {
                app: {"why": why, "is_open": is_open}
                for app, (why, is_open) in lent.per_check.items()
            },
        }


def router(lending: Lending) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1", tags=["leases"])

    @routes.post("/leases", openapi_extra=described(LeasesBody))
    async def post_leases(body: Raw) -> LeasesAnswer:
        return await lending.leases(leases_of(body))

    @routes.post("/checks", openapi_extra=described(CheckBody))
    async def post_check(body: Raw) -> ForeseenAnswer:
        return await lending.checked(check_of(body))

    return routes


def _terms(limit: LimitSet, grant: Grant) -> LeaseTerms:
    policy = policy_of(limit)
    return {
        "limit": limit.limit,
        "unit": limit.unit,
        "rate_micros": grant.rate_micros,
        "burst": grant.burst,
        "add": grant.add,
        "is_open": limit.on_failure is FailureRule.OPEN,
        "quota": policy.quota,
        "window_s": -(-(policy.window_ns or 0) // _NS_PER_S),
    }
