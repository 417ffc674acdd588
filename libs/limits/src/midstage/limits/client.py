"""Limits in process: a check is a look at what was lent; leases are renewed behind it.

Belongs to one event loop and its thread. Leases are asked for well before their end, and at once
where one ran short; where throttle is away they hold until their term, then each limit's failure
rule does. A request whose limits can't be lent is asked for at throttle, one by one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Final, Self

from midstage.limits.customer import NS_PER_S, Customer, charged
from midstage.limits.errors import (
    LimitsUnavailableError,
    NotLeasedError,
    OwnerAwayError,
    QuotaExceededError,
)
from midstage.limits.headers import Policy, State
from midstage.limits.lease import Plan
from midstage.limits.owner import WITHIN_S, Owner

BATCH: Final = 50
"""Customers in one question: with the longest names it stays below what throttle reads."""
MOST_CUSTOMERS: Final = 65_536
_LONGEST_NAME: Final = 256
_RENEWED_AFTER: Final = 3
"""A third of the term: two more questions may be lost."""
_FIRST_EACH_S: Final = 1.0
_AGAIN_NS: Final = 100_000_000
"""A lease that ran short is not asked for again sooner."""


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
        under_way = [*self._asking.values(), *([self._batch] if self._batch else [])]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._within_s):
                await asyncio.gather(*under_way, return_exceptions=True)
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
        self, customer: str, *, app: str, units: Mapping[str, int] | None = None
    ) -> AsyncIterator[None]:
        """The block runs if all limits let the request pass.

        QuotaExceededError where they don't, LimitsUnavailableError where nobody knows, ValueError
        for a name that is none.
        """
        await self.admit(customer, app=app, units=units)
        yield

    async def admit(
        self, customer: str, *, app: str, units: Mapping[str, int] | None = None
    ) -> None:
        """The same without a block: it passes, or raises."""
        if not await self.lease(customer, app=app):
            await self._asked(customer, app, units)
            return
        if self.try_acquire(customer, app=app, units=units):
            return
        if self._may_ask(customer):
            await self._ask_now(customer)
            if not await self.lease(customer, app=app):
                await self._asked(customer, app, units)
                return
            if self.try_acquire(customer, app=app, units=units):
                return
        raise self._refused(customer, app, units)

    async def lease(self, customer: str, *, app: str) -> bool:
        """Know what requests of ``customer`` to ``app`` meet; False where they are asked per check.

        LimitsUnavailableError where throttle is away.
        """
        known = self._customers.get(customer)
        if known is None:
            known = self._added(customer, app)
        for _ in range(2):  # a question that is under way may be without this application
            if known.knows(app):
                return app in known.plans
            known.want(app)
            await self._ask_now(customer)
        if not known.knows(app):
            raise LimitsUnavailableError(f"throttle told nothing of {customer!r} and {app!r}")
        return app in known.plans

    def told(self, customer: str, *, app: str) -> tuple[Sequence[Policy], Sequence[State]]:
        """The limits that such requests meet, and what is left of them here; empty: not known."""
        plan = self._plans.get((customer, app))
        if plan is None or plan.book.over(self._now_ns()):
            return (), ()
        plan.book.fill(self._now_ns())
        policies = [
            Policy(
                name=lease.terms.limit,
                quota=lease.terms.quota,
                window_ns=lease.terms.window_s * NS_PER_S or None,
                unit=lease.terms.unit,
            )
            for lease in plan.leases
        ]
        states = [
            State(name=each.terms.limit, remaining=each.left, reset_ns=each.wait_ns(each.left + 1))
            for each in plan.leases
        ]
        return policies, states

    def _added(self, customer: str, app: str) -> Customer:
        if not (0 < len(customer) <= _LONGEST_NAME and 0 < len(app) <= _LONGEST_NAME):
            raise ValueError(f"a name has 1 to {_LONGEST_NAME} characters")
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

    def _refused(
        self, customer: str, app: str, units: Mapping[str, int] | None
    ) -> QuotaExceededError | LimitsUnavailableError:
        now_ns = self._now_ns()
        plan = self._plans.get((customer, app))
        short = plan.short(charged(units), now_ns) if plan else ()
        names = [each.limit for each in short]
        if plan is None or plan.book.over(now_ns):
            return LimitsUnavailableError(
                f"throttle is away, what it lent is over, and {', '.join(names)} is not open"
            )
        waits = [each.wait_ns for each in short if each.wait_ns is not None]
        never = len(waits) < len(short)
        longest = plan.book.until_ns - now_ns if never else max(waits, default=0)
        return QuotaExceededError(names, longest / NS_PER_S)

    async def _asked(self, customer: str, app: str, units: Mapping[str, int] | None) -> None:
        """Ask throttle itself; where it is away, the failure rules that it told last hold."""
        try:
            checked = await self._owner.check(customer, app, charged(units))
        except OwnerAwayError as e:
            known = self._customers.get(customer)
            told = known.per_check.get(app) if known else None
            if told is not None and told["is_open"]:
                return
            raise LimitsUnavailableError(str(e)) from e
        if not checked["admitted"]:
            raise QuotaExceededError(checked["violated"], checked["retry_after_s"])

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
        due_ns = self._now_ns()
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
            for first in range(0, len(names), BATCH):
                self._batch = asyncio.create_task(self._ask(names[first : first + BATCH]))
                with suppress(OwnerAwayError):
                    await asyncio.shield(self._batch)

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
