"""Checks, reservations, leases, crashes, take-overs and changes together: never more than allowed.

The gate that serves, as one process after the other counts a customer's tokens; what the log takes,
and when, is in the machine's hand. Whatever passes anywhere, at an owner, at one that was replaced
and does not know it, or by a lease, goes through one bucket of the widest terms that ever held. It
is told what requests really used, so that it has at least what the limit allows.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from prometheus_client import CollectorRegistry

from midstage.contracts.limits import LimitSet
from midstage.limits.lease import Book, Plan, Terms
from midstage.throttle.decide.lending import LentBucket
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.spends import Stood
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.checks import Check, Ended, Judged
from midstage.throttle.model.holding import Holding
from midstage.throttle.model.later import Later
from midstage.throttle.model.leases import Lent, Wanted
from midstage.throttle.model.limits import Key
from midstage.throttle.stream.gate import Gate
from midstage.throttle.stream.rooms import Rooms
from tests.throttle.dying import Uncounted
from tests.throttle.gated import Held, limit
from tests.throttle.test_rooms import Hand

MS = 1_000_000
SECOND = 1_000_000_000
MICROS = 1_000_000
TOKEN = MICROS * SECOND
"""One unit as a level, where rates are millionths a second."""
RESERVED_S = 20
BURST = 64
RATES = st.sampled_from([0.25, 1.0, 5.0, 1000.0])
BURSTS = st.sampled_from([4, 32, 256])
UNITS = st.sampled_from([0, 1, 1, 3, 12])
HOLDERS = st.sampled_from(["a", "b"])
T = TypeVar("T")
Told = Judged | Later[Judged | None] | None


@dataclass(slots=True)
class Holder:
    """A process that goes by leases."""

    book: Book = field(default_factory=Book)


class Process:
    """A gate of its own over the log that all share; ``before_ns``: what the one before may use."""

    def __init__(
        self,
        stand: dict[Key, Stood],
        limits: Held,
        clock: Callable[[], int],
        *,
        before_ns: int,
        lent_bucket: type[LentBucket],
    ) -> None:
        self.hand = Hand()
        self.hand.stand = stand
        self.hand.held = Holding(before_ns=before_ns)
        metrics = Metrics(CollectorRegistry())
        self.rooms = Rooms(spends=self.hand, now_ns=clock, metrics=metrics)
        self.gate = Gate(
            limits=limits,
            keeping=self.rooms,
            monotonic_ns=clock,
            wall_ns=clock,
            metrics=metrics,
            caller_timeout_s=60.0,
            late_below_s=0.0,
            reserved_for_s=RESERVED_S,
            lent_bucket=lent_bucket,
        )
        self.rooms.on_gained(self.gate.moving.forget)
        self.known: set[str] = set()
        assert self.gate.closed() is None


class Limited(RuleBasedStateMachine):
    """``bucket`` is what may pass; ``reserved`` what it may be given back, and when."""

    lent_bucket: type[LentBucket] = LentBucket

    @initialize(rate=RATES, burst=BURSTS)
    def begin(self, rate: float, burst: int) -> None:
        self.now = 10**18
        self.bucket = TokenBucket(
            units=int(rate * MICROS), period_ns=TOKEN, burst=burst, now_ns=self.now
        )
        self.reserved: dict[str, tuple[int, int]] = {}
        self.asked: list[str] = []
        self.limits = Held(of(rate, burst))
        self.stand: dict[Key, Stood] = {}
        self.implied_ns = 0
        self.replaced: list[Process] = []
        self.holders = {"a": Holder(), "b": Holder()}
        self.loop = asyncio.new_event_loop()
        self.owner = self.started()

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    @rule(ms=st.sampled_from([0, 1, 30, 500, 3_000, 30_000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms * MS
        for request, (units, until_ns) in list(self.reserved.items()):
            if until_ns <= self.now:
                del self.reserved[request]
                self.given_back(units)
        for process in self.all:
            process.gate.follow()
            process.rooms.turn()

    @rule(units=UNITS, times=st.integers(1, 8))
    def checks_come(self, units: int, times: int) -> None:
        for _ in range(times):
            self.check(self.owner, f"r{len(self.asked)}", units)

    @rule(pick=st.integers(0, 5), units=UNITS)
    def a_check_comes_again(self, pick: int, units: int) -> None:
        if self.asked:
            self.check(self.owner, self.asked[-1 - pick % len(self.asked)], units)

    @rule(pick=st.integers(0, 3), units=UNITS)
    def one_that_was_replaced_is_asked(self, pick: int, units: int) -> None:
        if self.replaced:
            replaced = self.replaced[pick % len(self.replaced)]
            self.check(replaced, f"r{len(self.asked)}", units)

    @rule(pick=st.integers(0, 5), used=st.integers(0, 20))
    def a_request_ends_as_all_read(self, pick: int, used: int) -> None:
        if not self.asked:
            return
        request = self.asked[-1 - pick % len(self.asked)]
        ended = Ended(request=request, customer="acme", app="chat", used={"tokens": used})
        units, _ = self.reserved.pop(request, (0, 0))
        self.given_back(max(0, units - used))
        for process in self.all:
            process.known.add(request)
            process.gate.settle(ended)

    @rule()
    def the_log_takes_it_and_says_so(self) -> None:
        self.owner.rooms.turn()
        self.owner.hand.accept()
        self.owner.rooms.turn()

    @rule()
    def the_log_takes_nothing_of_the_replaced(self) -> None:
        for process in self.replaced:
            process.rooms.turn()
            process.hand.refuse()
            process.rooms.turn()

    @rule(is_taken=st.booleans())
    def the_owner_dies(self, is_taken: bool) -> None:
        self.owner.rooms.turn()
        if is_taken:
            self.owner.hand.accept()
        self.owner = self.started()

    @rule()
    def another_one_takes_over(self) -> None:
        self.replaced.append(self.owner)
        self.owner = self.started()

    @rule(ms=st.sampled_from([0, 500, 6_000]))
    def it_says_how_long_it_uses_what_is_implied(self, ms: int) -> None:
        held = self.owner.hand.held
        held.until_ns = max(held.until_ns, self.now + ms * MS)
        self.implied_ns = max(self.implied_ns, held.until_ns)

    @rule(rate=RATES, burst=BURSTS)
    def the_limit_changes(self, rate: float, burst: int) -> None:
        self.limits.set(of(rate, burst))
        for process in self.all:
            process.gate.follow()
        self.bucket.fill(self.now)
        more = max(0, burst * TOKEN - self.bucket.full)
        self.bucket.full += more
        self.bucket.level += more
        self.bucket.rate = max(self.bucket.rate, int(rate * MICROS))

    @rule(name=HOLDERS, wants=st.sampled_from([0, MICROS, 10**9]))
    def a_holder_asks_for_its_lease(self, name: str, wants: int) -> None:
        holder, sent = self.holders[name], self.now
        holding = 0 if holder.book.over(sent) else holder.book.serial
        wanted = Wanted(
            holder=name, customer="acme", apps={"chat": {"tokens": wants}}, holding=holding
        )
        answer = self.on_loop(lambda: self.owner.gate.lending.lend(wanted))
        if isinstance(answer, Later):
            answer.then(lambda lent: self.lent(holder, lent, sent))
        else:
            self.lent(holder, answer, sent)

    @rule(name=HOLDERS, units=UNITS, times=st.integers(1, 40))
    def a_holder_is_asked(self, name: str, units: int, times: int) -> None:
        book = self.holders[name].book
        if book.over(self.now):
            return
        plan = Plan(book, tuple(book.leases))
        for _ in range(times):
            if plan.take_units({"tokens": units}, self.now):
                self.passed(units)

    @rule(name=HOLDERS)
    def a_lease_is_given_back(self, name: str) -> None:
        book = self.holders[name].book
        if book.over(self.now):
            return
        book.fill(self.now)
        left = {each: lease.left for each, lease in book.leases.items()}
        self.holders[name] = Holder()
        self.owner.gate.lending.give_back(name, "acme", holding=book.serial, left=left)

    @rule(name=HOLDERS)
    def a_holder_dies(self, name: str) -> None:
        self.holders[name] = Holder()

    @property
    def all(self) -> list[Process]:
        return [self.owner, *self.replaced]

    def started(self) -> Process:
        return Process(
            self.stand,
            self.limits,
            lambda: self.now,
            before_ns=self.left_out(),
            lent_bucket=self.lent_bucket,
        )

    def left_out(self) -> int:
        """Until when others may use the first units of the counter."""
        return self.implied_ns

    def on_loop(self, call: Callable[[], T]) -> T:
        """What waits may be given up by the loop, which takes a second or more."""

        async def called() -> T:
            return call()

        return self.loop.run_until_complete(called())

    def check(self, process: Process, request: str, units: int) -> None:
        if request not in self.asked:
            self.asked.append(request)
        asked = Check(customer="acme", app="chat", request=request, units={"tokens": units})
        answer: Told = self.on_loop(lambda: process.gate.check(asked, None))
        if isinstance(answer, Later):
            answer.then(lambda judged: self.judged(process, request, units, judged))
        else:
            self.judged(process, request, units, answer)

    def judged(self, process: Process, request: str, units: int, answer: Judged | None) -> None:
        assert answer is not None, "the limit holds"
        if not answer.admitted or request in process.known:
            return
        process.known.add(request)
        self.passed(units)
        self.reserved[request] = units, self.now + RESERVED_S * SECOND

    def passed(self, units: int) -> None:
        assert self.bucket.take(units, self.now), "more than the limit allows"

    def given_back(self, units: int) -> None:
        self.bucket.fill(self.now)
        self.bucket.level = min(self.bucket.full, self.bucket.level + units * TOKEN)

    def lent(self, holder: Holder, lent: Lent | None, sent_ns: int) -> None:
        if lent is None:
            return
        if lent.per_check:
            holder.book = Book()  # nothing was free: the holder asks check by check
            return
        terms = [
            Terms(
                limit=said.limit,
                unit=said.unit,
                rate_micros=grant.rate_micros,
                burst=grant.burst,
                add=grant.add,
            )
            for said, grant in lent.parts
        ]
        holder.book.renew(lent.serial, terms, until_ns=sent_ns + lent.term_ns, now_ns=self.now)


class Forgetful(Limited):
    """Whoever begins takes for unused what others may still use."""

    def left_out(self) -> int:
        return 0


class Generous(Limited):
    """What is lent to others is the owner's as well."""

    lent_bucket = Uncounted


def of(rate: float, burst: int) -> LimitSet:
    said = limit("acme", "chat", rate_per_s=rate, burst=burst, rule="closed")
    return msgspec.structs.replace(said, unit="tokens")


TestLimited = Limited.TestCase
TestLimited.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def after_a_take_over(machine: Limited) -> None:
    """Who was replaced uses what it said that it may, and its successor all that it has."""
    machine.it_says_how_long_it_uses_what_is_implied(ms=6_000)
    machine.another_one_takes_over()
    for _ in range(BURST):
        machine.one_that_was_replaced_is_asked(pick=0, units=1)
    all_is_asked_of_the_owner(machine)


def beside_a_lease(machine: Limited) -> None:
    """A holder uses what comes in by its lease, and the owner all that it has."""
    machine.a_holder_asks_for_its_lease(name="a", wants=10**9)
    machine.the_log_takes_it_and_says_so()
    for _ in range(3):
        machine.a_holder_is_asked(name="a", units=1, times=BURST)
        all_is_asked_of_the_owner(machine)
        machine.time_passes(ms=3_000)


def all_is_asked_of_the_owner(machine: Limited) -> None:
    for _ in range(BURST):
        machine.checks_come(units=1, times=1)
        machine.the_log_takes_it_and_says_so()


@pytest.mark.parametrize(
    ("careless", "story"), [(Forgetful, after_a_take_over), (Generous, beside_a_lease)]
)
def test_who_does_not_count_what_others_may_use_grants_more(
    careless: type[Limited], story: Callable[[Limited], None]
) -> None:
    """The negative controls: the same story with the bucket as it serves passes."""
    told(Limited(), story)
    with pytest.raises(AssertionError, match="more than the limit allows"):
        told(careless(), story)


def told(machine: Limited, story: Callable[[Limited], None]) -> None:
    machine.begin(rate=5.0, burst=BURST)
    try:
        story(machine)
        assert machine.bucket.level < machine.bucket.full // 2, "much has passed"
    finally:
        machine.teardown()
