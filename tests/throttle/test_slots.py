"""Slots over crashes and moves, as callers see them: who has one keeps it, and no more get one."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
import pytest

from midstage.contracts.algorithms import LifetimeQuota, Slots
from midstage.contracts.limits import FailureRule, LimitSet
from midstage.contracts.spends import CustomersTaken
from midstage.contracts.topics import EVENT_BYTES
from midstage.testkit.clock import NOON
from midstage.throttle.decide.claims.slots import MOST_NAMED, SlotClaims
from midstage.throttle.decide.meters.slots import Slots as Meter
from midstage.throttle.decide.spends import Claimed, Spends
from midstage.throttle.model.checks import Check, Ended, Judged
from midstage.throttle.model.later import Later
from midstage.throttle.stream.arriving import UNSAID, Arriving
from midstage.throttle.stream.holdings import Holdings
from tests.throttle.test_rooms import Hand, Told

T = TypeVar("T")
SECOND = 1_000_000_000
TTL_S = 600.0
SLOTS = LimitSet(
    limit="slots",
    customer="acme",
    unit="concurrency",
    amount=3,
    algorithm=Slots(ttl_s=TTL_S),
    on_failure=FailureRule.CLOSED,
    at=NOON,
)
TOKENS = LimitSet(
    limit="tokens",
    customer="acme",
    unit="tokens",
    amount=100,
    algorithm=LifetimeQuota(),
    on_failure=FailureRule.CLOSED,
    at=NOON,
)


class Life:
    """A process that counts, over a log that others count in before and after it."""

    def __init__(self, hand: Hand, *limits: LimitSet, now_ns: int | None = None) -> None:
        self.hand = Hand()
        self.hand.stand = hand.stand
        self.told = Told(self.hand, *(limits or (SLOTS,)))
        self.told.now_ns = now_ns or self.told.now_ns

    @property
    def now_ns(self) -> int:
        return self.told.now_ns

    def asks(self, request: str, *, tokens: int = 0) -> bool:
        """What it is told when the log has all that it was given."""
        answers: list[Judged | None] = []
        check = Check(customer="acme", app="chat", request=request, units={"tokens": tokens})
        answer = self.told.gate.check(check, None)
        if isinstance(answer, Later):
            answer.then(answers.append)
        else:
            answers.append(answer)
        self.goes_on()
        [judged] = answers
        assert judged is not None
        return judged.admitted

    def goes_on(self) -> None:
        for _ in range(3):
            self.told.rooms.turn()
            self.hand.accept()
        self.told.rooms.turn()

    def ends(self, request: str, *, earlier: bool = False, tokens: int = 0) -> None:
        used = {"tokens": tokens}
        ended = Ended(request=request, customer="acme", app="chat", used=used, earlier=earlier)
        self.told.gate.settle(ended)

    def rests(self, seconds: float = 1.0) -> None:
        """Nobody asks, and all counters are swept."""
        self.told.now_ns += int(seconds * SECOND)
        self.told.gate.follow()
        self.goes_on()

    def leaves(self) -> None:
        assert self.told.rooms.leave(self.told.gate.moving.rooms(lambda _: True))
        self.hand.accept()

    def next(self, *limits: LimitSet) -> "Life":
        return Life(self.hand, *limits, now_ns=self.now_ns)

    def left(self, limit: str = "slots") -> int:
        found = self.told.gate.left("acme", None, "")
        return next(left.remaining for fact, left in found if fact.limit == limit)


def told(story: Callable[[], None]) -> None:
    async def run() -> None:
        story()

    asyncio.run(run())


def test_after_a_crash_who_has_a_slot_has_it_and_no_more_get_one() -> None:
    def story() -> None:
        first = Life(Hand())
        assert [first.asks(each) for each in "abc"] == [True] * 3
        first.rests()
        second = first.next()
        assert second.left() == 0
        assert not second.asks("d")
        assert second.asks("b"), "it has its slot already"
        second.ends("a")
        second.ends("a")
        assert second.left() == 1
        assert second.asks("d")
        assert not second.asks("e")

    told(story)


def test_what_was_given_just_before_a_crash_is_free_when_its_time_is_up() -> None:
    def story() -> None:
        first = Life(Hand())
        assert first.asks("a")
        second = first.next()  # no claim names it yet
        assert second.left() == 2
        second.ends("a")
        assert second.left() == 2
        assert second.asks("b")
        assert second.asks("c")
        assert not second.asks("d")
        second.rests(TTL_S * 17 / 16 + 1)
        assert second.left() == 3

    told(story)


def test_who_leaves_in_order_leaves_all_slots_by_name() -> None:
    def story() -> None:
        first = Life(Hand())
        assert first.asks("a")
        assert first.asks("b")
        first.leaves()
        second = first.next()
        assert second.left() == 1
        second.ends("a")
        assert second.left() == 2
        second.leaves()
        third = second.next()
        assert third.left() == 2
        third.ends("b")
        third.rests()
        assert third.left() == 3
        assert third.next().left() == 3

    told(story)


def test_a_counter_is_let_go_of_when_the_log_says_that_nobody_has_a_slot() -> None:
    def story() -> None:
        life = Life(Hand())
        assert life.asks("a")
        life.rests()
        life.ends("a")
        rooms = life.told.gate.moving.rooms
        life.told.gate.follow()
        assert list(rooms(lambda _: True)), "the log names it still"
        life.rests()
        life.rests()
        assert list(rooms(lambda _: True)) == []
        assert life.left() == 3
        life.rests(60)
        assert life.hand.stand == {}, "it equals a new one"

    told(story)


def test_an_end_of_before_frees_a_slot_and_charges_nothing() -> None:
    def story() -> None:
        first = Life(Hand(), SLOTS, TOKENS)
        assert first.asks("a", tokens=10)
        first.rests()
        second = first.next(SLOTS, TOKENS)
        tokens = second.left("tokens")
        second.ends("a", earlier=True, tokens=50)
        assert second.left() == 3
        assert second.left("tokens") == tokens
        assert second.asks("b", tokens=10)
        second.ends("b", earlier=True, tokens=50)  # it is under way: what ended was another one
        assert second.left() == 2

    told(story)


def test_what_passes_by_an_open_rule_has_a_slot_too() -> None:
    def story() -> None:
        life = Life(Hand(), msgspec.structs.replace(SLOTS, on_failure=FailureRule.OPEN))
        check = Check(customer="acme", app="chat", request="a")
        late = life.told.gate.check(check, -1.0)
        assert isinstance(late, Judged)
        assert late.admitted
        assert life.left() == 2
        life.goes_on()
        assert life.next().left() == 2
        life.ends("a")
        assert life.left() == 3

    told(story)


def test_a_request_without_an_id_has_a_slot_that_nobody_can_free_by_a_name() -> None:
    def story() -> None:
        first = Life(Hand())
        assert first.asks("")
        assert first.asks("")
        first.ends("1")
        first.ends("")
        first.leaves()
        second = first.next()
        assert second.left() == 1
        second.rests(TTL_S + 1)
        assert second.left() == 3

    told(story)


def test_another_limit_counts_for_what_the_log_names() -> None:
    def story() -> None:
        first = Life(Hand())
        assert [first.asks(each) for each in "abc"] == [True] * 3
        first.leaves()
        second = first.next(msgspec.structs.replace(SLOTS, amount=2))
        assert second.left() == -1
        second.ends("a")
        second.ends("b")
        assert second.left() == 1
        assert second.asks("d")
        assert not second.asks("e")

    told(story)


def test_of_very_many_the_rest_is_known_by_number_alone() -> None:
    many = MOST_NAMED + 20
    meter = Meter(limit=2 * many, ttl_ns=SECOND, now_ns=0)
    for each in range(many):
        assert meter.take(1, each, f"request {each}")
    claim = SlotClaims().of(meter, 7, many, many)
    successor = Meter(limit=2 * many, ttl_ns=SECOND, now_ns=many)
    SlotClaims().restore(successor, claim, many)
    assert successor.remaining(many) == many - 7
    assert successor.has(f"request {many - 1}")
    assert not successor.has("request 0"), "the youngest are named"
    assert sum(len(str(number)) + 3 for number in claim) < EVENT_BYTES // 2


@pytest.mark.parametrize(
    "claim",
    [(), (1,), (5, 5, 0, 1, 4, 0), (5, 4, 0, 0, 9, 0), (5, 5, 0, -1, 9, 0), (5, 5, 0, 0, 9, 1)],
)
def test_what_makes_no_sense_says_nothing(claim: tuple[int, ...]) -> None:
    meter = Meter(limit=3, ttl_ns=SECOND, now_ns=0)
    with pytest.raises(ValueError, match="slot"):
        SlotClaims().restore(meter, claim, 0)
    assert meter.remaining(0) == 3


def test_ghosts_of_many_crashes_are_of_a_few_kinds_and_none_is_forgotten() -> None:
    claims = SlotClaims()
    meter = Meter(limit=100, ttl_ns=SECOND, now_ns=0)
    for crash in range(20):
        successor = Meter(limit=100, ttl_ns=SECOND, now_ns=crash)
        claims.restore(successor, claims.of(meter, 1, crash, crash + 1), crash)
        meter = successor
    assert meter.remaining(20) == 80
    assert len(claims.of(meter, 1, 20, 21)) <= 6 + 2 * 8
    assert meter.remaining(3 * SECOND) == 100


class Counted:
    """What the log says, without one."""

    def __init__(self) -> None:
        self.me = CustomersTaken(partition=0, owner="me", epoch=1, at=NOON)
        self.holdings = Holdings(self.me)
        self.spends = Spends()
        self.looked: list[tuple[Collection[str], datetime, Collection[str]]] = []

    def folded(self, read: Callable[[Spends], T]) -> T:
        return read(self.spends)

    def partition(self, customer: str) -> int:
        return len(customer)

    def look_back_for(
        self, customers: Collection[str], since: datetime, requests: Collection[str] = ()
    ) -> None:
        self.looked.append((customers, since, requests))


def test_ends_are_looked_for_since_it_was_last_heard_of_who_counted() -> None:
    log = Counted()
    arriving = Arriving(counting=log, resume=lambda facts: [str(len([*facts]))], ends=log)
    claim = Claimed(
        limit="slots",
        customer="acme",
        units=1,
        algorithm="slots of concurrency",
        standing=msgspec.Raw(b'["1","1","0","0","1","0"]'),
        owner="other",
        epoch=1,
    )
    other = CustomersTaken(partition=4, owner="other", epoch=1, at=NOON)
    log.spends.apply(other, 4)
    assert log.spends.claimed([claim], 4) == []
    arriving({4})
    assert log.looked == [], "nobody counted before"
    said = NOON + timedelta(seconds=7)
    log.holdings.heard(other)
    log.holdings.heard(msgspec.structs.replace(other, at=said))
    mine = msgspec.structs.replace(log.me, partition=4, epoch=2, at=NOON + timedelta(hours=1))
    log.holdings.heard(mine)
    arriving({0})
    arriving({0, 4})
    assert log.looked == [({"acme"}, said - UNSAID, ["0"])]
