"""A check whose time is up as it waits for the log, and whose limits are others meanwhile."""

import asyncio

import msgspec

from midstage.contracts.algorithms import TokenBucket
from midstage.throttle.stream.gate import SWEPT_AT_ONCE
from tests.throttle.test_rooms import WITHIN_S, Hand, Told, passed
from tests.throttle.test_strict import ask, left, strict, takes

DAILY = TokenBucket(period_s=86_400, burst=5)


def test_what_is_late_gives_nothing_back_to_a_limit_that_began_anew() -> None:
    async def story() -> None:
        hand = Hand()
        wanted = msgspec.structs.replace(strict(), customer="*")
        told = Told(hand, wanted, within_s=0.03)
        for number in range(SWEPT_AT_ONCE):
            told.ask(customer=f"customer-{number}")  # a sweep ends before it comes to acme
        slow = [ask(told, f"slow-{number}") for number in range(3)]
        told.rooms.turn()
        hand.written.clear()  # the log is slow with these alone
        told.limits.set(msgspec.structs.replace(wanted, algorithm=DAILY))
        told.gate.follow()
        anew = ask(told, "anew")
        takes(told, hand)
        assert passed(anew)
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*slow)
        assert left(told) == 4

    asyncio.run(story())


def test_what_is_late_takes_no_limit_back_to_what_it_was() -> None:
    async def story() -> None:
        told = Told(Hand(), strict(), within_s=0.03)
        slow = ask(told, "slow")
        shadow = msgspec.structs.replace(strict(), algorithm=DAILY, strict=False, shadow=True)
        told.limits.set(shadow)
        told.gate.follow()
        assert passed(ask(told, "anew"))
        async with asyncio.timeout(WITHIN_S):
            await slow
        assert left(told) == 4, "and no log knows of it"

    asyncio.run(story())


def test_what_meets_no_limit_any_more_when_it_is_late_is_not_limited() -> None:
    async def story() -> None:
        told = Told(Hand(), strict(), within_s=0.03)
        slow = ask(told, "slow")
        told.limits.set()
        told.gate.follow()
        async with asyncio.timeout(WITHIN_S):
            assert await slow is None
        assert told.counted("checks", verdict="unlimited") == 1

    asyncio.run(story())
