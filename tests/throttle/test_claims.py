"""Every algorithm that keeps its promise through crashes: one machine, over all of them.

The reference is one exact meter that sees every admission of every owner and must let it pass.
Owners use what is implied as long as the log has heard them say so, dead or alive, replaced or not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
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

from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.meters.calendar import Every, calendar
from midstage.throttle.decide.meters.gcra import Gcra
from midstage.throttle.decide.meters.leaky import LeakyBucket
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.meters.sliding import MovingWindow, SlidingCounter
from midstage.throttle.decide.meters.wall import OnWallClock, WallClock
from midstage.throttle.decide.meters.window import (
    CalendarQuota,
    FirstHitWindow,
    FixedWindow,
    LifetimeQuota,
    RefilledBucket,
)
from midstage.throttle.decide.opening import Opening, opened
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.spends import Stood
from midstage.throttle.model.account import Settlement
from midstage.throttle.model.holding import NOTHING_IMPLIED, Holding

MS = 1_000_000
SECOND = 1_000_000_000
BEGUN = 1_767_268_800 * SECOND
KEY = ("limit", "acme", "")
Make = Callable[[int], Meter]
EXACT: dict[str, Make] = {
    "token-bucket": lambda now: TokenBucket(units=7, period_ns=SECOND, burst=24, now_ns=now),
    "leaky-bucket": lambda now: LeakyBucket(limit=7, period_ns=SECOND, burst=24, now_ns=now),
    "gcra": lambda now: Gcra(units=7, period_ns=SECOND, burst=24, now_ns=now),
    "fixed-window": lambda now: OnWallClock(
        FixedWindow(limit=24, period_ns=SECOND, now_ns=now), WallClock()
    ),
    "calendar": lambda now: OnWallClock(
        CalendarQuota(limit=600, calendar=calendar(Every.DAY, "Europe/Berlin"), now_ns=now),
        WallClock(),
    ),
    "moving-window": lambda now: MovingWindow(limit=24, period_ns=SECOND, now_ns=now),
    "sliding-counter": lambda now: SlidingCounter(limit=24, period_ns=SECOND, now_ns=now),
    "lifetime": lambda _: LifetimeQuota(limit=60),
}
OPENED_BY_A_CALL: dict[str, Make] = {
    "first-hit": lambda now: FirstHitWindow(limit=24, period_ns=SECOND, now_ns=now),
    "refilled": lambda now: RefilledBucket(limit=24, period_ns=SECOND, now_ns=now),
}


@dataclass(slots=True, kw_only=True)
class Owner:
    """Who counts, and what it sent that is under way."""

    room: Room[Meter]
    holding: Holding
    sent: list[Standing] = field(default_factory=list)


class Crashes(RuleBasedStateMachine):
    """Owners that count by room, die, and are replaced while they live on.

    ``implied_ns`` is the last that the log has heard of what is implied.
    """

    make: ClassVar[Make]

    @initialize()
    def begun(self) -> None:
        self.now = BEGUN
        self.reference = type(self).make(self.now)
        self.log: list[Standing] = []
        self.zombies: list[Owner] = []
        self.implied_ns = 0
        self.owner = self._started()

    @rule(ms=st.integers(0, 2500))
    def time_passes(self, ms: int) -> None:
        self.now += ms * MS

    @rule(units=st.integers(1, 8), times=st.integers(1, 6))
    def checks_come(self, units: int, times: int) -> None:
        for _ in range(times):
            self._check(self.owner, units)

    @rule(units=st.integers(1, 8))
    def a_replaced_owner_is_asked(self, units: int) -> None:
        for zombie in self.zombies:
            self._check(zombie, units)

    @rule()
    def it_claims(self) -> None:
        if (claimed := self.owner.room.claim(self.now)) is not None:
            self.owner.sent.append(claimed[1])

    @rule()
    def the_log_takes_it_and_says_so(self) -> None:
        for claim in self._appended():
            self.owner.room.accepted(claim)

    @rule(appended=st.booleans(), lives_on=st.booleans())
    def another_one_begins(self, appended: bool, lives_on: bool) -> None:
        if appended:
            self._appended()
        if lives_on:
            self.zombies.append(self.owner)
        self.owner = self._started()

    @rule(ms=st.integers(0, 3000))
    def it_says_how_long_it_uses_what_is_implied(self, ms: int) -> None:
        self.owner.holding.until_ns = max(self.owner.holding.until_ns, self.now + ms * MS)
        self.implied_ns = max(self.implied_ns, self.owner.holding.until_ns)

    @rule(units=st.integers(1, 3), times=st.integers(1, 20))
    def checks_come_and_wait(self, units: int, times: int) -> None:
        for _ in range(times):
            self._check(self.owner, units)
            self.it_claims()
            self.the_log_takes_it_and_says_so()
            self._check(self.owner, units)

    @rule()
    def what_equals_a_new_one_is_cleared(self) -> None:
        if self.owner.room.untouched(self.now):
            stood = started(type(self).make, self.log, self.now)
            if stood.room.untouched(self.now):
                self.log = []
                self.owner = started(type(self).make, self.log, self.now, self.owner.holding)

    @invariant()
    def room_is_of_what_the_meter_has(self) -> None:
        if hasattr(self, "owner"):
            left = self.owner.room.left(self.now)
            assert left <= max(1, self.owner.room.remaining(self.now))

    def _check(self, owner: Owner, units: int) -> None:
        if owner.room.take(units, self.now):
            assert self.reference.take(units, self.now), "more than the limit allows"
        elif owner.room.lacks(units, self.now):
            owner.room.wait_for(units)

    def _started(self) -> Owner:
        holding = Holding(before_ns=self.implied_ns)
        return started(type(self).make, self.log, self.now, holding)

    def _appended(self) -> list[Standing]:
        sent, self.owner.sent = self.owner.sent, []
        self.log += sent
        return sent


@pytest.mark.parametrize("name", EXACT)
def test_no_crash_and_no_take_over_grants_anything_twice(name: str) -> None:
    machine = type(f"Crashes of {name}", (Crashes,), {"make": staticmethod(EXACT[name])})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=30, deadline=None)
    )


@pytest.mark.parametrize("name", ["fixed-window", "sliding-counter"])
def test_what_is_settled_in_a_window_after_the_claims_is_written_too(name: str) -> None:
    owner = started(EXACT[name], [], BEGUN)
    owner.room.wait_for(2)
    claimed = owner.room.claim(BEGUN)
    assert claimed is not None
    assert owner.room.accepted(claimed[1])
    later = BEGUN + SECOND
    owner.room.settle(Settlement(reserved=0, actual=5, taken_ns=later, now_ns=later))
    again = owner.room.claim(later)
    assert again is not None
    after = started(EXACT[name], [again[1]], later)
    assert after.room.remaining(later) <= owner.room.remaining(later)


@pytest.mark.parametrize("name", [name for name in EXACT if name != "lifetime"])
def test_who_begins_with_what_is_implied_grants_it_twice(name: str) -> None:
    """The negative control: of two that begin, one leaves out what is implied."""
    make = EXACT[name]
    whole = make(BEGUN).remaining(BEGUN)
    part = passing(started(make, [], BEGUN, Holding(until_ns=BEGUN + MS)), asks=False)
    after = started(make, [], BEGUN, Holding(before_ns=BEGUN + MS))
    gifted = started(make, [], BEGUN, Holding())
    assert whole - part <= part + passing(after, asks=True) <= whole
    assert part + passing(gifted, asks=True) > whole


@pytest.mark.parametrize("name", EXACT)
def test_what_is_implied_needs_no_claim_and_is_left_to_who_counted_before(name: str) -> None:
    make = EXACT[name]
    holding = Holding(until_ns=BEGUN + SECOND)
    first = started(make, [], BEGUN, holding).room
    whole, part = first.remaining(BEGUN), first.left(BEGUN)
    assert (part > 0) is (name != "lifetime")
    assert all(first.take(1, BEGUN) for _ in range(part))
    assert not first.take(1, BEGUN)
    next_one = started(make, [], BEGUN, Holding(until_ns=BEGUN + 9 * SECOND, before_ns=BEGUN + MS))
    for now in (BEGUN, BEGUN + MS):
        assert whole - 2 * part <= next_one.room.remaining(now) <= whole - part
        assert next_one.room.left(now) == 0
    assert started(make, [], BEGUN, Holding(until_ns=BEGUN - 1)).room.left(BEGUN) == 0


def test_who_asks_for_all_is_not_told_to_come_before_those_before_are_done() -> None:
    before_ns = BEGUN + SECOND
    room = started(EXACT["token-bucket"], [], BEGUN, Holding(before_ns=before_ns)).room
    wait_ns = room.wait_ns(24, BEGUN)
    assert wait_ns is not None
    assert room.remaining(BEGUN + wait_ns - MS) < 24 <= room.remaining(BEGUN + wait_ns)


@pytest.mark.parametrize("name", EXACT | OPENED_BY_A_CALL)
def test_a_successor_goes_on_where_the_last_claim_stands(name: str) -> None:
    make = (EXACT | OPENED_BY_A_CALL)[name]
    owner = started(make, [], BEGUN)
    assert owner.room.lacks(5, BEGUN)
    owner.room.wait_for(5)
    units, claim = owner.room.claim(BEGUN) or (0, ())
    assert owner.room.accepted(claim)
    assert owner.room.take(4, BEGUN)
    after = started(make, [claim], BEGUN + MS)
    allowed = make(BEGUN).remaining(BEGUN)
    assert (units, after.room.remaining(BEGUN + MS)) == (5, allowed - 5)


@pytest.mark.parametrize("name", EXACT | OPENED_BY_A_CALL)
@pytest.mark.parametrize("claim", [(), (1,) * 9, (5, -1, -1, -1, -1), (0,) * 5])
def test_what_makes_no_sense_says_nothing(name: str, claim: Standing) -> None:
    make = (EXACT | OPENED_BY_A_CALL)[name]
    if name == "sliding-counter" and claim[:1] == (5,):
        claim = (5, 0, 0, 0, 0)
    meter = started(make, [claim], BEGUN).room
    assert meter.remaining(BEGUN) <= make(BEGUN).remaining(BEGUN)


def started(make: Make, log: list[Standing], now: int, holding: Holding = NOTHING_IMPLIED) -> Owner:
    """Who goes on from the last claim in the log."""
    opening = Opening(
        key=KEY, unit="requests", stood=None, now_ns=now, asked=lambda _: None, holding=holding
    )
    room = opened(make(now), opening)
    assert isinstance(room, Room)
    if log:
        stood = Stood(algorithm=room.algorithm, claim=log[-1])
        room = opened(make(now), replace(opening, stood=stood))
        assert isinstance(room, Room)
    return Owner(room=room, holding=holding)


def passing(owner: Owner, *, asks: bool) -> int:
    """How many pass at once; one that ``asks`` claims what it lacks."""
    room, passed = owner.room, 0
    for now in range(BEGUN, BEGUN + 1000):
        if room.take(1, now):
            passed += 1
        elif asks and room.lacks(1, now):
            room.wait_for(1)
            _, claim = room.claim(now) or (0, ())
            assert room.accepted(claim)
    return passed
