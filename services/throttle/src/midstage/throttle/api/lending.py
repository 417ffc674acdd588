"""Leases and checks over HTTP, for callers without Envoy; on the event loop of the checks."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
from fastapi import APIRouter, Request, Response

from midstage.chassis.commands import Raw
from midstage.contracts.errors import UnavailableError
from midstage.contracts.limits import FailureRule, LimitSet
from midstage.contracts.spends import CustomersTaken
from midstage.limits.wire import Ask, Back, LeaseAnswer, LeasesAnswer, LeasesBody, LeaseTerms
from midstage.throttle.adapters.awaiting import awaited
from midstage.throttle.api.answers import ForeseenAnswer
from midstage.throttle.api.elsewhere import Elsewhere, asked_by
from midstage.throttle.api.looking import told
from midstage.throttle.api.reading import CheckBody, check_of, described, leases_of
from midstage.throttle.model.checks import Check, Judged
from midstage.throttle.model.forwarded import Asked
from midstage.throttle.model.later import Later
from midstage.throttle.model.leases import Grant, Lent, Passed, Wanted
from midstage.throttle.views.book import policy_of

_MICROS: Final = 1_000_000
_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_ANSWER: Final = msgspec.json.Decoder(LeasesAnswer)


class Gate(Protocol):
    """What answers checks."""

    def check(
        self, check: Check, remaining_s: float | None
    ) -> Judged | Later[Judged | None] | None:
        """The verdict, charged."""
        ...


class Lender(Protocol):
    """What lends parts of the gate's limits."""

    def lend(self, wanted: Wanted) -> Lent | Later[Lent | None] | None:
        """Parts of limits; None where the log does not take them in time."""
        ...

    def give_back(
        self, holder: str, customer: str, *, holding: int, left: Mapping[str, int]
    ) -> None:
        """The end of what was lent."""
        ...

    def report(self, passed: Passed) -> None:
        """What passed by leases."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lending:
    """Gate and lender as holders of leases use them."""

    gate: Gate
    lender: Lender
    elsewhere: Elsewhere

    async def leases(self, body: LeasesBody, asked: Asked) -> LeasesAnswer:
        """What is given back first: it may be lent again at once; UnavailableError.

        Each customer's owner is asked for what is its own; where one can't be, all are to ask
        again, and what the others have lent meanwhile is lent.
        """
        customers = [back.customer for back in body.backs] + [ask.customer for ask in body.asks]
        holders = {each: self.elsewhere.owner(each, asked) for each in customers}
        owners = {customer: each.owner if each else "" for customer, each in holders.items()}
        others = {each.owner: each for each in holders.values() if each}
        told = await asyncio.gather(
            *[self._told(each, _part(body, owners, name), asked) for name, each in others.items()]
        )
        answers = {each["customer"]: each for part in told for each in part}
        ours = _part(body, owners, "")
        for ask in ours.asks:
            self._report(ask)
        for back in ours.backs:
            self._report(back)
            self.lender.give_back(body.holder, back.customer, holding=back.holding, left=back.left)
        answers |= {ask.customer: await self._lent(body.holder, ask) for ask in ours.asks}
        return {"answers": [answers[ask.customer] for ask in body.asks]}

    async def checked(self, check: Check) -> ForeseenAnswer:
        """The verdict."""
        return told(await awaited(self.gate.check(check, None)))

    async def _told(
        self, holder: CustomersTaken, part: LeasesBody, asked: Asked
    ) -> list[LeaseAnswer]:
        answer = await self.elsewhere.forwarding.ask(holder, asked, msgspec.json.encode(part))
        try:
            answers = _ANSWER.decode(answer.content)["answers"]
        except msgspec.DecodeError as e:
            raise UnavailableError(f"{holder.owner} answered {answer.status}; ask again") from e
        if [each["customer"] for each in answers] != [ask.customer for ask in part.asks]:
            raise UnavailableError(f"{holder.owner} answered for others; ask again")
        return answers

    def _report(self, told_of: Ask | Back) -> None:
        if told_of.passed:
            during_ns = told_of.passed_ms * _NS_PER_MS
            passed = Passed(customer=told_of.customer, apps=told_of.passed, during_ns=during_ns)
            self.lender.report(passed)

    async def _lent(self, holder: str, ask: Ask) -> LeaseAnswer:
        apps = {
            app: {unit: int(wants * _MICROS) for unit, wants in units.items()}
            for app, units in ask.apps.items()
        }
        lent = await awaited(
            self.lender.lend(
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
    async def post_leases(body: Raw, request: Request) -> LeasesAnswer:
        return await lending.leases(leases_of(body), asked_by(request))

    @routes.post("/checks", openapi_extra=described(CheckBody), response_model=ForeseenAnswer)
    async def post_check(body: Raw, request: Request) -> ForeseenAnswer | Response:
        check = check_of(body)
        theirs = await lending.elsewhere.answer(check.customer, request, body)
        return theirs or await lending.checked(check)

    return routes


def _part(body: LeasesBody, owners: Mapping[str, str], owner: str) -> LeasesBody:
    """What the owner is to be asked; empty: what this process answers."""
    return msgspec.structs.replace(
        body,
        asks=tuple(each for each in body.asks if owners[each.customer] == owner),
        backs=tuple(each for each in body.backs if owners[each.customer] == owner),
    )


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
