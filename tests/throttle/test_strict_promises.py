"""Whoever counts a strict limit dies at any point: nothing that was answered is ever forgotten.

The reference is one exact meter that is told of the answered admissions alone, when they were
taken, and must let them pass. What a successor lacks beyond them is what nobody was told of, less
what came back as facts said that it never passed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from midstage.contracts.spends import Unanswered
from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.opening import Opening, opened
from midstage.throttle.decide.spends import Stood
from midstage.throttle.decide.strict import Strict
from midstage.throttle.model.account import Settlement
from tests.throttle.test_claims import BEGUN, EXACT, KEY, MS, OPENED_BY_A_CALL, Make

Written = tuple[Standing, tuple[Unanswered, ...]]
ROUNDED = frozenset({"moving-window", "sliding-counter"})
"""Written with less than all that they know: their successors may lack a little more."""
FILLING = frozenset({"token-bucket", "leaky-bucket", "gcra"})
"""What comes in for what was taken is not given back: a full one would not have held it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that the meter let pass, and that is not told of it."""

    request: str
    units: int
    taken_ns: int
    change: int


@dataclass(slots=True, kw_only=True)
class Owner:
    """Who counts, what it sent that is under way, and who waits for it."""

    strict: Strict[Meter]
    sent: Written | None = None
    waiting: list[Asked] = field(default_factory=list)


class Crashes(RuleBasedStateMachine):
    """One owner after the other; ``log`` is what they wrote."""

    make: ClassVar[Make]
    is_rounded: ClassVar[bool]
    fills: ClassVar[bool]

    @initialize()
    def begun(self) -> None:
        self.now = BEGUN
        self.log: list[Written] = []
        self.answered: dict[str, Asked] = {}
        self.lost: dict[str, int] = {}
        self.awaited: list[Unanswered] = []
        self.asked = 0
        self.owner = self._started()

    @rule(ms=st.integers(0, 2500))
    def time_passes(self, ms: int) -> None:
        self.now += ms * MS

    @rule(units=st.integers(1, 5), times=st.integers(1, 6))
    def checks_come(self, units: int, times: int) -> None:
        for _ in range(times):
            self.asked += 1
            request = f"request-{self.asked}"
            if self.owner.strict.take(units, self.now, request):
                change = self.owner.strict.change
                asked = Asked(request=request, units=units, taken_ns=self.now, change=change)
                self.owner.waiting.append(asked)

    @rule(units=st.integers(1, 5))
    def another_limit_refuses_it(self, units: int) -> None:
        if self.owner.strict.take(units, self.now, "refused"):
            self.owner.strict.undo(units, "refused")

    @rule()
    def it_claims(self) -> None:
        claimed = self.owner.strict.claim(self.now)
        if claimed is not None:
            assert self.owner.sent is None, "one at a time"
            self.owner.sent = (claimed[1], self.owner.strict.unanswered)

    @rule()
    def the_log_takes_it_and_says_so(self) -> None:
        self._append(self.owner)
        self._hear(self.owner)

    @rule(pick=st.integers(0, 9))
    def ones_time_is_up(self, pick: int) -> None:
        if self.owner.waiting:
            waiting = self.owner.waiting
            self._give_back(self.owner, waiting.pop(pick % len(waiting)))

    @rule(appended=st.booleans(), lives_on=st.booleans())
    def another_one_begins(self, appended: bool, lives_on: bool) -> None:
        """What ``lives_on`` still hears what the log took of it, and nothing else."""
        before = self.owner
        if appended:
            self._append(before)
        self.owner = self._started()
        self.awaited = list(self.log[-1][1]) if self.log else []
        if lives_on and appended:
            self._hear(before)
        for each in before.waiting:
            self.lost[each.request] = each.units
        for named in self.awaited:  # what is given back and not written, nobody knows
            if named.request not in self.answered:
                self.lost[named.request] = named.units

    @rule(pick=st.integers(0, 9), times=st.integers(1, 2))
    def a_fact_says_what_became_of_one(self, pick: int, times: int) -> None:
        if not self.awaited:
            return
        named = self.awaited.pop(pick % len(self.awaited))
        passed = named.request in self.answered
        for _ in range(times):
            self.owner.strict.ended(named, named.units if passed else 0, now_ns=self.now)
        if not self.fills:
            self.lost.pop(named.request, None)

    @invariant()
    def what_was_answered_keeps_the_promise_and_is_known(self) -> None:
        if not hasattr(self, "owner"):
            return
        exact = self._exact()
        successor = self._started().strict
        assert successor.remaining(self.now) <= exact.remaining(self.now)
        if not self.is_rounded:
            own = sum(each.units for each in self.owner.waiting)
            has = self.owner.strict.remaining(self.now) + own + sum(self.lost.values())
            assert has >= exact.remaining(self.now)

    def _append(self, owner: Owner) -> None:
        if owner.sent is not None:
            self.log.append(owner.sent)

    def _hear(self, owner: Owner) -> None:
        if owner.sent is None:
            return
        assert owner.strict.accepted(owner.sent[0])
        owner.sent = None
        for each in list(owner.waiting):
            if owner.strict.is_durable(each.change):
                owner.waiting.remove(each)
                owner.strict.answered(each.request)
                self.answered[each.request] = each

    def _give_back(self, owner: Owner, asked: Asked) -> None:
        owner.strict.give_back(
            Settlement(
                reserved=asked.units,
                actual=0,
                taken_ns=asked.taken_ns,
                now_ns=self.now,
                request=asked.request,
            )
        )
        if self.fills:
            self.lost[asked.request] = asked.units

    def _exact(self) -> Meter:
        meter = type(self).make(BEGUN)
        for each in sorted(self.answered.values(), key=lambda each: each.taken_ns):
            assert meter.take(each.units, each.taken_ns), "more than the limit allows"
        return meter

    def _started(self) -> Owner:
        return started(type(self).make, self.log, self.now)


@pytest.mark.parametrize("name", EXACT)
def test_no_crash_forgets_what_was_answered(name: str) -> None:
    rounded = name in ROUNDED
    machine = type(
        f"Crashes of {name}",
        (Crashes,),
        {"make": staticmethod(EXACT[name]), "is_rounded": rounded, "fills": name in FILLING},
    )
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=30, deadline=None)
    )


@pytest.mark.parametrize("name", EXACT | OPENED_BY_A_CALL)
def test_a_successor_gives_back_what_never_passed_once(name: str) -> None:
    make = (EXACT | OPENED_BY_A_CALL)[name]
    owner = started(make, [], BEGUN).strict
    assert owner.take(3, BEGUN, "told")
    first = claimed(owner, BEGUN)
    owner.answered("told")
    assert owner.take(2, BEGUN, "cut off")
    assert owner.take(1, BEGUN, "passed")
    second = claimed(owner, BEGUN)
    assert [each.request for each in first[1]] == ["told"]
    assert [each.request for each in second[1]] == ["cut off", "passed"]
    after = started(make, [first, second], BEGUN + MS).strict
    allowed = make(BEGUN).remaining(BEGUN)
    assert after.remaining(BEGUN + MS) == allowed - 6
    cut_off, passed = second[1]
    after.ended(passed, 1, now_ns=BEGUN + MS)
    for _ in range(2):
        after.ended(cut_off, 0, now_ns=BEGUN + MS)
    assert after.remaining(BEGUN + MS) == allowed - 4
    third = claimed(after, BEGUN + MS)
    assert third[1] == ()
    assert started(make, [third], BEGUN + MS).strict.remaining(BEGUN + MS) == allowed - 4


@pytest.mark.parametrize("name", sorted(FILLING))
def test_what_has_come_in_since_is_not_given_back(name: str) -> None:
    strict = started(EXACT[name], [], BEGUN).strict
    full = strict.remaining(BEGUN)
    assert strict.take(1, BEGUN, "slow")
    later = BEGUN + 143 * MS  # in which one comes in, and it is full again
    assert strict.take(1, later, "passes")
    back = Settlement(reserved=1, actual=0, taken_ns=BEGUN, now_ns=later, request="slow")
    strict.give_back(back)
    assert strict.remaining(later) == full - 1
    assert strict.take(3, later, "at once")
    back = Settlement(reserved=3, actual=0, taken_ns=later, now_ns=later, request="at once")
    strict.give_back(back)
    assert strict.remaining(later) == full - 1


def test_who_is_not_heard_of_is_named_on_until_it_is_too_old() -> None:
    make = EXACT["lifetime"]
    owner = started(make, [], BEGUN).strict
    assert owner.take(1, BEGUN, "silent")
    after = started(make, [claimed(owner, BEGUN)], BEGUN + MS).strict
    assert after.take(1, BEGUN + MS, "next")
    assert [each.request for each in claimed(after, BEGUN + MS)[1]] == ["silent", "next"]
    after.answered("next")
    late = BEGUN + 10**12
    assert after.take(1, late, "later")
    assert [each.request for each in claimed(after, late)[1]] == ["later"]


def test_no_claim_is_longer_than_a_record_may_be() -> None:
    owner = started(lambda _: EXACT["lifetime"](0), [], BEGUN).strict
    for number in range(60):
        assert owner.take(1, BEGUN, "x" * 129 if number % 2 else str(number))
    assert len(claimed(owner, BEGUN)[1]) == 30


def claimed(strict: Strict[Meter], now: int) -> Written:
    """What it writes next, and the log says that it has it."""
    found = strict.claim(now)
    assert found is not None
    units, claim = found
    assert units == 0
    names = strict.unanswered
    assert strict.accepted(claim)
    return claim, names


def started(make: Callable[[int], Meter], log: Sequence[Written], now: int) -> Owner:
    """Who goes on from the last claim in the log."""
    bare = Opening(
        key=KEY, unit="requests", stood=None, now_ns=now, asked=lambda _: None, strict=True
    )
    strict = opened(make(now), bare)
    assert isinstance(strict, Strict)
    if log:
        claim, names = log[-1]
        stood = Stood(algorithm=strict.algorithm, claim=claim, unanswered=names)
        opening = Opening(
            key=KEY,
            unit="requests",
            stood=stood,
            now_ns=now,
            asked=lambda _: None,
            strict=True,
            unanswered=names,
        )
        strict = opened(make(now), opening)
        assert isinstance(strict, Strict)
    return Owner(strict=strict)
