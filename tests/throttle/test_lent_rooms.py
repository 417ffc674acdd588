"""Leases and the log of counters: nobody goes by what the log does not say, and successors know."""

import asyncio
from dataclasses import replace

from midstage.throttle.decide.lending import TERM_NS
from midstage.throttle.model.later import Later
from midstage.throttle.model.leases import Grant, Lent, Wanted
from midstage.throttle.stream.wait_queue import PATIENCE_NS
from tests.throttle.gated import limit
from tests.throttle.test_rooms import Hand, Told

BURST = 32
_SECOND = 1_000_000_000
WANTED = Wanted(holder="edge", customer="acme", apps={"chat": {"requests": 10**9}})


class Lender(Told):
    """The same gate, as holders ask it."""

    def __init__(self, hand: Hand) -> None:
        super().__init__(hand, limit("acme", "chat", rate_per_s=1.0, burst=BURST, rule="closed"))

    def lend(self, holding: int = 0) -> asyncio.Future[Lent | None]:
        told: asyncio.Future[Lent | None] = asyncio.get_running_loop().create_future()
        answer = self.gate.lending.lend(replace(WANTED, holding=holding))
        if isinstance(answer, Later):
            answer.then(told.set_result)
        else:
            told.set_result(answer)
        return told

    def passing(self) -> int:
        """How many checks this process lets pass, whatever room it has to wait for."""
        passed = 0
        for _ in range(2 * BURST):
            asked = self.ask()
            while not asked.done():
                self.written()
            answer = asked.result()
            assert answer is not None
            passed += answer.admitted
        return passed

    def written(self) -> None:
        self.rooms.turn()
        self.hand.accept()
        self.rooms.turn()

    @property
    def hand(self) -> Hand:
        hand = self.rooms._spends
        assert isinstance(hand, Hand)
        return hand


def test_a_lease_is_told_when_the_log_has_what_the_owner_kept() -> None:
    async def story() -> None:
        lender = Lender(Hand())
        asked = lender.lend()
        lender.rooms.turn()
        assert not asked.done()
        [claim] = lender.hand.written
        assert claim.algorithm == "lent-bucket of requests"
        lender.written()
        assert part(asked).burst > 0

    asyncio.run(story())


def test_a_claim_from_before_the_lease_is_not_enough() -> None:
    async def story() -> None:
        lender = Lender(Hand())
        lender.ask()
        lender.rooms.turn()
        asked = lender.lend()
        lender.hand.accept()
        lender.rooms.turn()
        assert not asked.done()
        lender.written()
        assert asked.done()

    asyncio.run(story())


def test_a_log_that_is_away_lends_nothing() -> None:
    async def story() -> None:
        lender = Lender(Hand())
        lender.ask()
        lender.rooms.turn()
        lender.now_ns += PATIENCE_NS + 1
        asked = lender.lend()
        assert asked.done()
        assert asked.result() is None

    asyncio.run(story())


def test_after_a_crash_the_holder_and_the_next_owner_have_no_more_than_the_limit() -> None:
    async def story() -> None:
        hand = Hand()
        first = Lender(hand)
        asked = first.lend()
        first.written()
        lent = part(asked)
        second = Lender(hand)
        second.now_ns = first.now_ns + _SECOND
        passed = second.passing()
        assert lent.burst <= lent.add + passed <= BURST + 1
        assert 0 < passed <= BURST - lent.burst + 1
        second.written()  # nothing is under way for so long
        second.now_ns = first.now_ns + 2 * TERM_NS + BURST * _SECOND
        assert second.passing() == BURST

    asyncio.run(story())


def test_what_was_lent_is_no_room_any_more_when_a_successor_would_have_it_again() -> None:
    async def story() -> None:
        hand = Hand()
        first = Lender(hand)
        first.lend()
        first.written()
        first.now_ns += 2 * TERM_NS + BURST * _SECOND
        asked = [first.ask() for _ in range(BURST)]  # and the log takes no other claim
        passed = sum(
            bool(each.done() and (told := each.result()) and told.admitted) for each in asked
        )
        second = Lender(hand)
        second.now_ns = first.now_ns
        assert passed + second.passing() == BURST

    asyncio.run(story())


def test_a_holder_renews_its_lease_at_a_successor_that_began_before_it_was_lent() -> None:
    async def story() -> None:
        hand = Hand()
        second = Lender(hand)
        first = Lender(hand)
        asked = first.lend()
        first.written()
        lent = part(asked)
        second.now_ns = first.now_ns + _SECOND
        again = second.lend(holding=lent.serial)
        second.written()
        renewed = part(again)
        assert (renewed.rate_micros, renewed.burst) == (lent.rate_micros, lent.burst)
        assert renewed.serial > lent.serial
        assert lent.add + renewed.add + second.passing() >= BURST - BURST // 4

    asyncio.run(story())


def test_what_is_given_back_is_in_the_log_though_nobody_asks_for_room() -> None:
    async def story() -> None:
        hand = Hand()
        first = Lender(hand)
        asked = first.lend()
        first.written()
        lent = part(asked)
        left = {"acme-chat": lent.add}
        first.gate.lending.give_back("edge", "acme", holding=lent.serial, left=left)
        first.written()
        second = Lender(hand)
        second.now_ns = first.now_ns
        assert second.passing() == BURST

    asyncio.run(story())


def test_a_successor_takes_back_a_lease_that_it_was_never_asked_for() -> None:
    async def story() -> None:
        hand = Hand()
        first = Lender(hand)
        asked = first.lend()
        first.written()
        lent = part(asked)
        second = Lender(hand)
        second.now_ns = first.now_ns
        second.gate.lending.give_back(
            "edge", "acme", holding=lent.serial, left={"acme-chat": lent.add}
        )
        assert second.passing() >= BURST - 1

    asyncio.run(story())


def test_what_is_lent_after_a_take_over_nobody_is_told_of() -> None:
    """A zombie: the log takes nothing from it any more."""

    async def story() -> None:
        hand = Hand()
        first = Lender(hand)
        asked = first.lend()
        first.written()
        lent = part(asked)
        second = Lender(hand)
        second.now_ns = first.now_ns
        late = first.lend(holding=lent.serial)
        first.rooms.turn()
        hand.refuse()
        first.rooms.turn()
        assert not late.done()
        again = second.lend(holding=lent.serial)
        second.written()
        assert part(again).rate_micros == lent.rate_micros

    asyncio.run(story())


def part(asked: asyncio.Future[Lent | None]) -> Grant:
    lent = asked.result()
    assert lent is not None
    [(_, grant)] = lent.parts
    return grant
