"""Counters that nobody asks for rest beside their claims, and go on as if they had not."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from prometheus_client import CollectorRegistry

from midstage.contracts.limits import LimitSet
from midstage.contracts.spends import CustomersTaken
from midstage.testkit.clock import NOON
from midstage.throttle.decide import rested
from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.opening import Opening, opened
from midstage.throttle.decide.rested import Rested
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.spends import Claimed, Spends, Stood
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.holding import NOTHING_IMPLIED, Holding
from midstage.throttle.model.limits import Key
from midstage.throttle.stream.gate import Gate
from midstage.throttle.stream.rooms import Rooms
from tests.throttle.gated import TINY, Held, limit
from tests.throttle.test_claims import (
    BEGUN,
    EXACT,
    KEY,
    MS,
    OPENED_BY_A_CALL,
    Crashes,
    Make,
    started,
)
from tests.throttle.test_moved_rooms import settle
from tests.throttle.test_rooms import WITHIN_S, Hand, Told, passed

BURST = 100
PLACE = len("acme")
SECOND = 1_000_000_000


class Beside(Hand):
    """A log that keeps counters at rest."""

    def rest(self, counters: Sequence[tuple[Key, Rested]]) -> Sequence[bool]:
        has = [key in self.stand for key, _ in counters]
        self.stand |= {
            key: replace(self.stand[key], rested=known)
            for (key, known), stands in zip(counters, has, strict=True)
            if stands
        }
        return has

    def resting(self) -> Sequence[Key]:
        return [key for key, stood in self.stand.items() if stood.rested is not None]


class Awake(Told):
    """A process that lets all counters rest of which nobody asks."""

    def __init__(self, hand: Beside, *facts: LimitSet) -> None:
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        self.now_ns = time.time_ns()
        self.hand = hand
        self.rooms = Rooms(spends=hand, now_ns=lambda: self.now_ns, metrics=metrics, beside=hand)
        self.limits = Held(*facts)
        self.gate = Gate(
            limits=self.limits,
            keeping=self.rooms,
            monotonic_ns=lambda: self.now_ns,
            wall_ns=lambda: self.now_ns,
            metrics=metrics,
            caller_timeout_s=WITHIN_S,
            late_below_s=0.0,
            most_awake=0,
        )
        self.rooms.on_gained(self.gate.moving.forget)
        assert self.gate.closed() is None

    def rest(self) -> None:
        """Nobody asks for a while."""
        for _ in range(4):
            self.now_ns += SECOND
            self.gate.follow()
            settle(self, self.hand)

    @property
    def awake(self) -> float:
        return self.registry.get_sample_value("midstage_throttle_meters") or 0.0


def fact(*, strict: bool = False) -> LimitSet:
    made = limit("acme", "chat", rate_per_s=TINY, burst=BURST, rule="closed")
    return msgspec.structs.replace(made, strict=strict)


def asked(told: Awake, times: int) -> int:
    """How many pass at once or when the log has heard of them."""
    futures = [told.ask() for _ in range(times)]
    for _ in range(times):
        settle(told, told.hand)
    return sum(each.done() and passed(each) for each in futures)


@pytest.mark.parametrize("strict", [False, True])
def test_a_counter_that_rested_has_what_it_had(*, strict: bool) -> None:
    async def story() -> None:
        told = Awake(Beside(), fact(strict=strict))
        assert asked(told, 10) == 10
        for _ in range(5):
            told.rest()
            assert told.awake == 0
            assert asked(told, 4) == 4
        told.rest()
        assert asked(told, BURST) == BURST - 30

    asyncio.run(story())


def test_the_first_check_after_a_rest_waits_for_nothing() -> None:
    """The room that was claimed before is room still: it is not claimed again."""

    async def story() -> None:
        told = Awake(Beside(), fact())
        assert asked(told, 10) == 10
        told.rest()
        assert told.awake == 0
        assert passed(told.ask())

    asyncio.run(story())


def test_who_was_taken_from_has_no_more_of_what_rested_than_its_claim() -> None:
    async def story() -> None:
        hand = Beside()
        told = Awake(hand, fact())
        assert asked(told, 10) == 10
        told.rest()
        [stood] = hand.stand.values()
        claimed = stood.claim
        hand.gained = frozenset({PLACE})
        told.rooms.turn()
        assert not told.ask().done(), "others may have counted since"
        left = claimed[0] // claimed[3]
        settle(told, hand)
        assert asked(told, BURST) == left - 1

    asyncio.run(story())


def test_room_that_rested_is_none_under_other_terms() -> None:
    async def story() -> None:
        told = Awake(Beside(), fact())
        assert asked(told, 10) == 10
        told.rest()
        told.limits.set(msgspec.structs.replace(fact(), amount=BURST + 1))
        told.gate.follow()
        assert not told.ask().done()

    asyncio.run(story())


def test_who_leaves_writes_how_those_at_rest_are() -> None:
    async def story() -> None:
        hand = Beside()
        told = Awake(hand, fact())
        assert asked(told, 10) == 10
        told.rest()
        assert told.rooms.leave(told.gate.moving.rooms(lambda customer: customer == "acme"))
        settle(told, hand)
        next_one = Awake(hand, fact())
        assert asked(next_one, BURST) == BURST - 10

    asyncio.run(story())


def test_what_others_never_wrote_of_does_not_rest() -> None:
    async def story() -> None:
        hand = Beside()
        told = Awake(hand, fact(strict=True))
        assert asked(told, 1) == 1
        hand.stand.clear()
        told.rest()
        assert told.awake == 1

    asyncio.run(story())


class Rests(Crashes):
    """Owners that let go of their counter and open it again, between all that may happen."""

    kept: ClassVar[list[Standing]] = []

    @precondition(lambda self: hasattr(self, "owner"))
    @rule()
    def it_rests(self) -> None:
        room = self.owner.room
        for _ in range(2):  # one that has no claim asks for it
            room.at_rest(self.now)
            self.it_claims()
            self.the_log_takes_it_and_says_so()
        standing = room.at_rest(self.now)
        if standing is None:
            return
        again = woken(type(self).make, room, self.log[-1], standing, self.now, self.owner.holding)
        assert again.remaining(self.now) == room.remaining(self.now)
        assert again.left(self.now) == room.left(self.now)
        room.retire()
        self.owner.room = again
        self.kept.append(standing)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_no_rest_grants_anything_twice_nor_takes_anything(name: str) -> None:
    machine = type(f"Rests of {name}", (Rests,), {"make": staticmethod(EXACT[name])})
    Rests.kept.clear()
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=30, deadline=None)
    )
    assert Rests.kept


@pytest.mark.parametrize("name", EXACT | OPENED_BY_A_CALL)
@given(
    units=st.integers(1, 8),
    times=st.integers(1, 4),
    before_ms=st.integers(0, 2500),
    after_ms=st.integers(0, 2500),
)
def test_what_rested_counts_on_as_what_did_not(
    name: str, units: int, times: int, before_ms: int, after_ms: int
) -> None:
    make = (EXACT | OPENED_BY_A_CALL)[name]
    room = started(make, [], BEGUN).room
    log: list[Standing] = []
    now = BEGUN
    room.wait_for(times * units)
    accepted(room, log, now)
    assert all(room.take(units, now) for _ in range(times - 1))
    now += before_ms * MS
    for _ in range(2):
        room.at_rest(now)
        accepted(room, log, now)
    standing = room.at_rest(now)
    assert standing is not None
    again = woken(make, room, log[-1], standing, now, NOTHING_IMPLIED)
    later = now + after_ms * MS
    for at in (now, later):
        assert again.left(at) == room.left(at)
        assert again.take(units, at) == room.take(units, at)
        assert again.remaining(at) == room.remaining(at)
        assert again.wait_ns(units, at) == room.wait_ns(units, at)


def accepted(room: Room[Meter], log: list[Standing], now: int) -> None:
    """What it asks for stands in the log."""
    claimed = room.claim(now)
    if claimed is not None:
        log.append(claimed[1])
        assert room.accepted(claimed[1])


def woken(  # noqa: PLR0917  all that a room is opened by
    make: Make, room: Room[Meter], claim: Standing, standing: Standing, now: int, holding: Holding
) -> Room[Meter]:
    """The room, as it is opened from what was kept of it."""
    kept = rested.read(rested.written(Rested(meter=standing, terms=1, taking=0), claim), claim)
    assert kept.meter == standing
    opening = Opening(
        key=KEY,
        unit="requests",
        stood=Stood(algorithm=room.algorithm, claim=claim, rested=kept),
        now_ns=now,
        asked=lambda _: None,
        holding=holding,
        has_room=True,
    )
    again = opened(make(now), opening)
    assert isinstance(again, Room)
    return again


@given(
    claim=st.lists(st.integers(-(10**40), 10**40), max_size=8).map(tuple),
    meter=st.lists(st.integers(-(10**40), 10**40), max_size=8).map(tuple),
    same=st.sets(st.integers(0, 7)),
)
def test_what_rests_is_written_to_the_last_number(
    claim: Standing, meter: Standing, same: set[int]
) -> None:
    meter = tuple(
        claim[at] if at in same and at < len(claim) else number for at, number in enumerate(meter)
    )
    known = Rested(meter=meter, terms=3, taking=2)
    assert rested.read(rested.written(known, claim), claim) == known


@pytest.mark.parametrize("algorithm", ["token-bucket of requests", "with\nline\nends", "\n\n"])
def test_a_newer_claim_and_nothing_else_takes_the_place_of_what_is_kept(algorithm: str) -> None:
    spends = Spends()
    spends.apply(CustomersTaken(partition=0, owner="one", epoch=1, at=NOON), 0)
    known = Rested(meter=(7, 1), terms=1, taking=0)
    assert not spends.rest(KEY, known)
    assert spends.claimed([claimed(algorithm, "one")], 0) == []
    assert spends.rest(KEY, known)
    assert spends.rest(KEY, known)
    assert spends.resting() == [KEY]
    stood = spends.stood(KEY)
    assert stood == Stood(algorithm=algorithm, claim=(5, 1), rested=known)
    [(_, seen)] = spends.in_turn(9)
    assert seen.rested is None, "whoever comes next has the claim alone"
    late = claimed(algorithm, "zombie")
    assert spends.claimed([late], 0) == [late]
    assert spends.stood(KEY) == stood
    assert spends.claimed([claimed(algorithm, "one")], 0) == []
    assert spends.stood(KEY) == Stood(algorithm=algorithm, claim=(5, 1))
    assert spends.resting() == []


def claimed(algorithm: str, owner: str) -> Claimed:
    limit_name, customer, key = KEY
    return Claimed(
        limit=limit_name,
        customer=customer,
        key=key,
        units=1,
        algorithm=algorithm,
        standing=msgspec.Raw(b'["5","1"]'),
        owner=owner,
        epoch=1,
    )
