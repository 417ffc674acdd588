"""Customers that come and go: who waits is answered where they come, and none of it is lost."""

import asyncio

import msgspec
import pytest

from midstage.throttle.model.account import Settlement
from tests.throttle.gated import TINY, limit
from tests.throttle.test_rooms import Hand, Told, passed

BURST = 100
USED = 5


def test_a_check_that_came_before_its_customer_is_answered_when_it_comes() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, limit("acme", "chat", rate_per_s=TINY, burst=BURST, rule="closed"))
        asked = told.ask()
        told.rooms.turn()
        hand.refuse()
        told.rooms.turn()
        assert not asked.done()
        hand.gained = frozenset({len("acme")})
        told.rooms.turn()
        hand.accept()
        told.rooms.turn()
        assert passed(asked)

    asyncio.run(story())


def test_what_was_claimed_and_not_used_goes_to_the_next_one() -> None:
    async def story() -> None:
        hand = Hand()
        fact = limit("acme", "chat", rate_per_s=TINY, burst=BURST, rule="closed")
        first, second = Told(hand, fact), Told(hand, fact)
        used = [first.ask() for _ in range(USED)]
        for _ in range(3):
            first.rooms.turn()
            hand.accept()
        first.rooms.turn()
        assert all(passed(each) for each in used)
        assert first.rooms.leave(first.gate.moving.rooms(lambda _: True))
        [last] = hand.written
        assert last.units == 0
        hand.accept()
        first.rooms.turn()
        late = first.ask()
        assert not late.done(), "there is no room any more"
        rest = [second.ask() for _ in range(BURST)]
        for _ in range(BURST):
            second.rooms.turn()
            hand.accept()
        second.rooms.turn()
        assert sum(passed(each) for each in rest) == BURST - USED

    asyncio.run(story())


def test_what_stands_in_the_log_as_it_is_is_not_written_again() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, limit("acme", "chat", rate_per_s=TINY, burst=USED, rule="closed"))
        used = [told.ask() for _ in range(USED)]
        for _ in range(3):
            told.rooms.turn()
            hand.accept()
        told.rooms.turn()
        assert all(passed(each) for each in used)
        assert told.rooms.leave(told.gate.moving.rooms(lambda _: True))
        assert hand.written == []

    asyncio.run(story())


@pytest.mark.parametrize("strict", [False, True])
def test_who_counts_again_writes_nothing_of_what_it_counted_before(*, strict: bool) -> None:
    """What another process has admitted meanwhile would be admitted once more after a crash."""

    async def story() -> None:
        fact = limit("acme", "chat", rate_per_s=TINY, burst=BURST, rule="closed")
        fact = msgspec.structs.replace(fact, strict=strict)
        hands = [Hand(), Hand(), Hand()]
        for hand in hands:
            hand.stand = hands[0].stand
        first, second, third = (Told(hand, fact) for hand in hands)
        used = [first.ask() for _ in range(USED)]
        for _ in range(BURST):
            settle(first, hands[0])
        rest = [second.ask() for _ in range(BURST)]
        for _ in range(BURST):
            settle(second, hands[1])
        early = [
            first.ask() for _ in range(2 * USED + 1)
        ]  # before it has read that it counts again
        hands[0].gained = frozenset({len("acme")})
        for _ in range(BURST):
            settle(first, hands[0])
        after = [third.ask() for _ in range(BURST)]
        for _ in range(BURST):
            settle(third, hands[2])
        assert sum(each.done() and passed(each) for each in (*used, *rest, *early, *after)) <= BURST

    asyncio.run(story())


def test_what_was_let_go_of_writes_nothing_any_more() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, limit("acme", "chat", rate_per_s=BURST, burst=BURST, rule="closed"))
        asked = told.ask()
        for _ in range(3):
            settle(told, hand)
        assert passed(asked)
        [room] = told.gate.moving.rooms(lambda _: True)
        told.now_ns += 60 * 1_000_000_000
        told.gate.follow()
        assert list(told.gate.moving.rooms(lambda _: True)) == []
        room.settle(Settlement(reserved=0, actual=9, taken_ns=told.now_ns, now_ns=told.now_ns))
        told.rooms.turn()
        assert hand.written == []

    asyncio.run(story())


def settle(told: Told, hand: Hand) -> None:
    """All that it asks for is accepted, and heard of."""
    told.rooms.turn()
    hand.accept()
    told.rooms.turn()
