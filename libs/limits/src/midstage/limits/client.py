"""Limits in process: a check is a look at what was lent; leases are renewed behind it.

Belongs to one event loop and its thread. Leases are asked for well before their end, and at once
where one ran short; where throttle is away they hold until their term, and are asked for again
soon, then each limit's failure rule does. A request whose limits can't be lent, or that has a key
or labels, is asked for at throttle, one by one, and its end told there.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from random import random
from types import TracebackType
from typing import Final, Self

from midstage.limits.asking import MOST_UNTOLD, Asking, new_request
from midstage.limits.customer import NS_PER_S, Customer, charged
from midstage.limits.errors import (
    LimitsUnavailableError,
    NotLeasedError,
    OwnerAwayError,
)
from midstage.limits.headers import Policy, State
from midstage.limits.held import Held
from midstage.limits.lease import Plan
from midstage.limits.owner import WITHIN_S, Owner
from midstage.limits.telling import refusal, told
from midstage.limits.wire import Ending, Question

BATCH: Final = 50
"""Customers in one question: with the longest names it stays below what throttle reads."""
MOST_CUSTOMERS: Final = 65_536
_LONGEST_NAME: Final = 256
_RENEWED_AFTER: Final = 3
"""A third of the term: two more questions may be lost."""
_FIRST_EACH_S: Final = 1.0
_AGAIN_NS: Final = 100_000_000
"""A lease that ran short is not asked for again sooner."""
_RETRY_S: Final = 0.25
"""So soon after throttle did not answer; twice as long each time, up to what is usual."""


class Limits:
    """What this process may let pass; ``holder`` is its name, of this very run of it."""

    def __init__(
        self,
        url: str,
        *,
        holder: str,
        token: str = "",
        within_s: float = WITHIN_S,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Nothing is asked before ``start``; ``url`` is throttle's HTTP address.

        ``within_s``: throttle is away if it takes longer to answer.
        """
        self._owner = Owner(url, holder=holder, token=token, within_s=within_s)
        self._per_check = Asking(self._owner)
        self._ending: set[asyncio.Task[None]] = set()
        self._within_s = within_s
        self._now_ns = monotonic_ns
        self._customers: dict[str, Customer] = {}
        self._plans: dict[tuple[str, str], Plan] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._batch: asyncio.Task[None] | None = None
        self._short: set[str] = set()
        self._wake = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None
        self._each_s = _FIRST_EACH_S

    @classmethod
    async def connect(
        cls, url: str, *, holder: str, token: str = "", within_s: float = WITHIN_S
    ) -> Self:
        """Limits that renew what they were lent; throttle is asked when a customer comes."""
        limits = cls(url, holder=holder, token=token, within_s=within_s)
        await limits.start()
        return limits

    async def start(self) -> None:
        """Renew leases from now on; doing it again does nothing."""
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew_for_ever())

    async def close(self) -> None:
        """Give all leases back; what throttle doesn't hear of comes back after its term."""
        if self._renewing is not None:
            self._renewing.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewing
            self._renewing = None
        # an answer that nobody hears is lent until its term: it is waited for, and given back
        asked = [*self._asking.values(), *([self._batch] if self._batch else [])]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._within_s):
                await asyncio.gather(*asked, *self._ending, return_exceptions=True)
                await self._per_check.tell_again(MOST_UNTOLD)
        customers = list(self._customers.values())
        self._plans.clear()
        self._customers.clear()
        with suppress(OwnerAwayError, TimeoutError):
            async with asyncio.timeout(self._within_s):
                await self._give_back(customers)
        await self._owner.close()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    def try_acquire(
        self, customer: str, *, app: str, units: Mapping[str, int] | None = None
    ) -> bool:
        """Whether the request passes, from what was lent, without waiting.

        NotLeasedError where nothing was; ``lease`` asks for it.
        """
        plan = self._plans.get((customer, app))
        if plan is None:
            raise NotLeasedError(f"nothing was lent for {customer!r} and {app!r}")
        if units is None:
            passed = plan.take(self._now_ns())
        else:
            passed = plan.take_units(units, self._now_ns())
        if not passed:
            self._ran_short(customer)
        return passed

    @asynccontextmanager
    async def acquire(
        self,
        customer: str,
        *,
        app: str,
        units: Mapping[str, int] | None = None,
        key: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Held]:
        """The block runs if all limits let the request pass, and its end is the request's.

        ``units`` are estimates: ``held.used(tokens=412)`` in the block says what it was, and slots
        are held until its end. A block that raises has used nothing but what it said.
        QuotaExceededError where they don't, LimitsUnavailableError where nobody knows, ValueError
        for a name that is none.
        """
        question = Question(
            customer=customer,
            app=app,
            key=key,
            labels=labels or {},
            units=charged(units),
            request=new_request(),
        )
        ending = await self._admitted(question, units)
        held, failed = Held(units or {}), False
        try:
            yield held
        except Exception:
            failed = True
            raise
        finally:
            used = held.ended(failed=failed)
            if ending is not None:
                await self._in_background(self._per_check.end(ending, used))
            elif used and (plan := self._plans.get((customer, app))) is not None:
                plan.settle(question.units, used, self._now_ns())

    async def admit(
        self,
        customer: str,
        *,
        app: str,
        units: Mapping[str, int] | None = None,
        key: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """The same without a block: it passes, or raises; what it is charged stays."""
        await self._admitted(
            Question(
                customer=customer, app=app, key=key, labels=labels or {}, units=charged(units)
            ),
            units,
        )

    async def _admitted(self, question: Question, units: Mapping[str, int] | None) -> Ending | None:
        """By leases, or throttle itself, and then perhaps with an end that is to be told."""
        customer, app = question.customer, question.app
        if question.key or question.labels:
            _checked(customer, app, question.key or app)
            return await self._per_check.admit(question, is_open=False)
        if not await self.lease(customer, app=app, units=units):
            return await self._asked(question)
        if self.try_acquire(customer, app=app, units=units):
            return None
        if self._may_ask(customer):
            await self._ask_now(customer)
            if not await self.lease(customer, app=app):
                return await self._asked(question)
            if self.try_acquire(customer, app=app, units=units):
                return None
        raise refusal(self._plans.get((customer, app)), charged(units), self._now_ns())

    async def lease(
        self, customer: str, *, app: str, units: Mapping[str, int] | None = None
    ) -> bool:
        """Know what requests of ``customer`` to ``app`` meet; False where they are asked per check.

        ``units``: what such a request uses. LimitsUnavailableError where throttle is away.
        """
        known = self._customers.get(customer)
        if known is None:
            _checked(customer, app)
            known = self._added(customer)
        for _ in range(2):  # a question that is under way may be without this application
            if known.knows(app):
                return app in known.plans
            known.want(app, units or {})
            await self._ask_now(customer)
        if not known.knows(app):
            raise LimitsUnavailableError(f"throttle told nothing of {customer!r} and {app!r}")
        return app in known.plans

    def told(self, customer: str, *, app: str) -> tuple[Sequence[Policy], Sequence[State]]:
        """The limits that such requests meet, and what is left of them here; empty: not known."""
        plan = self._plans.get((customer, app))
        return ((), ()) if plan is None else told(plan, self._now_ns())

    def _added(self, customer: str) -> Customer:
        if len(self._customers) >= MOST_CUSTOMERS:
            raise LimitsUnavailableError(f"{MOST_CUSTOMERS} customers have leases here")
        known = self._customers[customer] = Customer(customer, self._now_ns())
        return known

    def _may_ask(self, customer: str) -> bool:
        known = self._customers.get(customer)
        return known is not None and self._now_ns() - known.asked_ns >= _AGAIN_NS

    def _ran_short(self, customer: str) -> None:
        if customer not in self._short and self._may_ask(customer):
            self._short.add(customer)
            self._wake.set()

    async def _asked(self, question: Question) -> Ending | None:
        """Ask throttle itself; where it is away, the failure rules that it told last hold."""
        known = self._customers.get(question.customer)
        if known is not None:
            known.count(question.app, question.units)
        rule = known.per_check.get(question.app) if known else None
        is_open = rule is not None and rule["is_open"]
        return await self._per_check.admit(question, is_open=is_open)

    async def _in_background(self, ending: Coroutine[None, None, None]) -> None:
        """Wait for it, but let it go on where the waiting is cancelled."""
        task = asyncio.create_task(ending)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        await asyncio.shield(task)

    async def _ask_now(self, customer: str) -> None:
        """Wait for an answer; one question at a time for each customer."""
        task = self._asking.get(customer)
        if task is None:
            task = self._asking[customer] = asyncio.create_task(self._ask([customer]))
            task.add_done_callback(lambda _: self._asking.pop(customer, None))
        with suppress(OwnerAwayError):
            await asyncio.shield(task)

    async def _ask(self, names: Sequence[str]) -> None:
        customers = [self._customers[name] for name in names if name in self._customers]
        sent_ns = self._now_ns()
        answers = await self._owner.lease([each.ask(sent_ns) for each in customers])
        now_ns = self._now_ns()
        for customer, answer in zip(customers, answers, strict=False):
            if customer.answered(answer, sent_ns=sent_ns, now_ns=now_ns):
                self._each_s = answer["term_ms"] / 1000 / _RENEWED_AFTER
                self._index(customer)

    def _index(self, customer: Customer) -> None:
        if self._customers.get(customer.name) is not customer:
            return
        for app, plan in customer.plans.items():
            self._plans[customer.name, app] = plan
        for app in customer.per_check:
            self._plans.pop((customer.name, app), None)

    async def _renew_for_ever(self) -> None:
        due_ns, retry_s = self._now_ns(), _RETRY_S
        while True:
            wait_s = max(0.0, (due_ns - self._now_ns()) / NS_PER_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_s)
            self._wake.clear()
            short, self._short = self._short, set()
            names: Sequence[str] = list(short)
            if self._now_ns() >= due_ns:
                due_ns = self._now_ns() + int(self._each_s * NS_PER_S)
                names = list(self._customers)
                await self._let_go_of_idle()
                await self._per_check.tell_again()
            if not names:
                continue
            if await self._all_heard(names):
                retry_s = _RETRY_S
                continue
            due_ns = min(due_ns, self._now_ns() + int(retry_s * (1 + random()) * NS_PER_S))
            retry_s = min(2 * retry_s, self._each_s)

    async def _all_heard(self, names: Sequence[str]) -> bool:
        """Ask for all of them; False where some were not answered: an owner may be gone."""
        heard = True
        for first in range(0, len(names), BATCH):
            self._batch = asyncio.create_task(self._ask(names[first : first + BATCH]))
            try:
                await asyncio.shield(self._batch)
            except OwnerAwayError:
                heard = False
        return heard

    async def _let_go_of_idle(self) -> None:
        idle = [each for each in self._customers.values() if each.is_idle()]
        for customer in idle:
            del self._customers[customer.name]
            for app in customer.plans:
                self._plans.pop((customer.name, app), None)
        with suppress(OwnerAwayError):
            await self._give_back(idle)

    async def _give_back(self, customers: Sequence[Customer]) -> None:
        now_ns = self._now_ns()
        lent = [each for each in customers if not each.book.over(now_ns)]
        for first in range(0, len(lent), BATCH):
            backs = [each.back(now_ns) for each in lent[first : first + BATCH]]
            await self._owner.lease((), backs)


def _checked(*names: str) -> None:
    if not all(0 < len(name) <= _LONGEST_NAME for name in names):
        raise ValueError(f"a name has 1 to {_LONGEST_NAME} characters")
