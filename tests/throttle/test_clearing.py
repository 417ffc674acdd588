"""Counters that equal new ones, and are let go of in the log."""

import asyncio

import msgspec

from midstage.contracts.spends import Unanswered
from midstage.throttle.decide.spends import Stood
from midstage.throttle.decide.strict import NAMED_NS
from midstage.throttle.views.meters import CLOCKS_NS
from tests.throttle.gated import limit
from tests.throttle.test_rooms import Hand, Told, passed


def test_a_counter_is_cleared_when_it_equals_a_new_one_and_nobody_counts_it() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, limit("acme", "chat", rate_per_s=1, burst=5))
        hand.stand["gone", "acme", ""] = Stood(algorithm="lifetime of requests", claim=(1,))
        asked = told.ask()
        told.rooms.turn()
        hand.accept()
        told.rooms.turn()
        assert passed(asked)
        counted = {key for key in hand.stand if key[0] == "acme-chat"}
        assert counted
        told.now_ns += CLOCKS_NS  # full again, but another clock may be behind, and it lives
        told.gate.follow()
        assert counted < set(hand.stand)
        told.now_ns += CLOCKS_NS
        told.rooms.turn()
        hand.accept()
        told.rooms.turn()
        for _ in range(2):
            told.gate.follow()
        assert set(hand.stand) == {("gone", "acme", "")}  # what a limit counts that is gone, stays

    asyncio.run(story())


def test_a_counter_that_names_requests_is_cleared_when_none_of_them_may_come_back() -> None:
    async def story() -> None:
        hand = Hand()
        fact = msgspec.structs.replace(limit("acme", "chat", rate_per_s=1, burst=5), strict=True)
        told = Told(hand, fact)
        named = Unanswered(request="r", units=1, taken_ns=told.now_ns)
        key = (fact.limit, "acme", "")
        hand.stand[key] = Stood(algorithm="lifetime of requests", claim=(1,), unanswered=(named,))
        told.now_ns += NAMED_NS + CLOCKS_NS - 1
        told.gate.follow()
        assert set(hand.stand) == {key}
        told.now_ns += 1
        told.gate.follow()
        assert not hand.stand

    asyncio.run(story())
