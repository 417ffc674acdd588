"""Requests that are held until their block ends: estimates, slots, keys and labels."""

import asyncio

import pytest

from midstage.limits.client import Limits
from midstage.limits.errors import LimitsUnavailableError, QuotaExceededError
from midstage.limits.owner import Owner
from tests.limits.conftest import TOKEN, Running, limited
from tests.limits.test_client import connected, left
from tests.ports import free_port

LIFETIME = {"kind": "lifetime"}
SLOTS = {"kind": "slots", "ttl_s": 3600}


def test_of_a_leased_estimate_comes_back_what_was_not_used(throttle: Running) -> None:
    limited(throttle, "spare", unit="tokens")

    async def told() -> None:
        async with await connected(throttle, "spare") as limits:
            assert await limits.lease("spare", app="chat", units={"tokens": 8})
            for _ in range(5):
                async with limits.acquire("spare", app="chat", units={"tokens": 8}) as held:
                    held.used(tokens=1)
            with pytest.raises(RuntimeError):
                async with limits.acquire("spare", app="chat", units={"tokens": 8}):
                    raise RuntimeError

    asyncio.run(told())
    assert left(throttle, "spare") == 32 - 5


def test_of_more_than_was_leased_is_taken_what_is_there(throttle: Running) -> None:
    limited(throttle, "greedy", unit="tokens")

    async def told() -> None:
        async with await connected(throttle, "greedy") as limits:
            async with limits.acquire("greedy", app="chat", units={"tokens": 1}) as held:
                held.used(tokens=1000)
            assert limits.told("greedy", app="chat")[1][0].remaining == 0
            assert not limits.try_acquire("greedy", app="chat"), "one has to be left"

    asyncio.run(told())


def test_units_are_leased_once_they_are_asked_for(throttle: Running) -> None:
    limited(throttle, "found", unit="tokens")

    async def told() -> None:
        async with await connected(throttle, "found") as limits:
            assert not await limits.lease("found", app="chat"), "nobody wants tokens yet"
            await limits.admit("found", app="chat", units={"tokens": 1})
            await limits._ask_now("found")
            assert await limits.lease("found", app="chat")

    asyncio.run(told())


def test_what_can_not_be_leased_is_reserved_and_settled_at_throttle(throttle: Running) -> None:
    limited(throttle, "quota", unit="tokens", amount=100, algorithm=LIFETIME, on_failure="open")

    async def told() -> None:
        async with await connected(throttle, "quota") as limits:
            async with limits.acquire("quota", app="chat", units={"tokens": 60}) as held:
                assert left(throttle, "quota") == 40
                held.used(tokens=10)
            assert left(throttle, "quota") == 90
            async with limits.acquire("quota", app="chat", units={"tokens": 20}):
                pass
            assert left(throttle, "quota") == 70
            with pytest.raises(RuntimeError):
                async with limits.acquire("quota", app="chat", units={"tokens": 20}):
                    raise RuntimeError
            assert left(throttle, "quota") == 70

    asyncio.run(told())


def test_debt_is_kept_where_it_is_bounded(throttle: Running) -> None:
    limited(throttle, "owing", unit="tokens", debt=50, on_failure="open")

    async def told() -> None:
        async with await connected(throttle, "owing") as limits:
            assert not await limits.lease("owing", app="chat")
            async with limits.acquire("owing", app="chat", units={"tokens": 30}) as held:
                held.used(tokens=60)
            assert left(throttle, "owing") == 32 - 60

    asyncio.run(told())


def test_a_slot_is_held_until_the_block_ends(throttle: Running) -> None:
    limited(throttle, "slots", unit="concurrency", amount=1, algorithm=SLOTS)

    async def told() -> None:
        async with await connected(throttle, "slots") as limits:
            for _ in range(2):
                async with limits.acquire("slots", app="chat"):
                    with pytest.raises(QuotaExceededError):
                        await limits.admit("slots", app="chat")
            with pytest.raises(RuntimeError):
                async with limits.acquire("slots", app="chat"):
                    raise RuntimeError
            inside = asyncio.Event()

            async def long() -> None:
                async with limits.acquire("slots", app="chat"):
                    inside.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(long())
            await inside.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with limits.acquire("slots", app="chat"):
                pass

    asyncio.run(told())


def test_an_end_that_throttle_did_not_hear_of_is_told_later(throttle: Running) -> None:
    limited(throttle, "deaf", unit="tokens", amount=100, algorithm=LIFETIME, on_failure="open")

    async def told() -> None:
        async with await connected(throttle, "deaf") as limits:
            asking = limits._per_check
            heard, away = asking.owner, nowhere()
            async with limits.acquire("deaf", app="chat", units={"tokens": 60}) as held:
                held.used(tokens=10)
                asking.owner = away
            assert left(throttle, "deaf") == 40
            asking.owner = heard
            await away.close()
        assert left(throttle, "deaf") == 90

    asyncio.run(told())


def test_what_throttle_can_not_take_stands_in_nobodys_way(throttle: Running) -> None:
    limited(throttle, "odd", unit="tokens", amount=100, algorithm=LIFETIME, on_failure="open")

    async def told() -> None:
        async with await connected(throttle, "odd") as limits:
            with pytest.raises(LimitsUnavailableError, match="labels"):
                await limits.admit("odd", app="chat", labels={"model": "x" * 300})
            async with limits.acquire("odd", app="chat", units={"tokens": 60}) as held:
                held.used(**{"no unit": 5})
            with pytest.raises(ValueError, match="nobody uses -1"):
                held.used(tokens=-1)
            async with limits.acquire("odd", app="chat", units={"tokens": 30}) as held:
                held.used(tokens=10)
            assert left(throttle, "odd") == 100 - 60 - 10
            assert not limits._per_check._untold

    asyncio.run(told())


def test_limits_of_keys_and_labels_hold_for_requests_that_have_them(throttle: Running) -> None:
    limited(
        throttle, "keyed", amount=1, algorithm=LIFETIME, match={"model": "large"}, on_failure="open"
    )
    body = {"customer": "keyed", "key": "ci", "amount": 1, "algorithm": LIFETIME}
    throttle.http.put("/v1/limits/keyed-ci", json=body).raise_for_status()

    async def refused(limits: Limits, **of: object) -> tuple[str, ...]:
        try:
            async with limits.acquire("keyed", app="chat", **of):  # type: ignore[arg-type]  # as it takes them
                return ()
        except QuotaExceededError as e:
            return e.violated

    async def told() -> None:
        async with await connected(throttle, "keyed") as limits:
            async with asyncio.timeout(60):
                while await refused(limits, key="ci") != ("keyed-ci",):
                    pass
            assert await refused(limits, key="web") == ()
            assert await refused(limits, labels={"model": "large"}) == ()
            assert await refused(limits, labels={"model": "large"}) == ("keyed",)
            assert await refused(limits, labels={"model": "small"}) == ()
            assert await refused(limits) == ()

    asyncio.run(told())


def test_of_a_key_hold_the_rules_that_throttle_told_last(throttle: Running) -> None:
    limited(throttle, "gone", on_failure="open")

    async def told() -> None:
        async with await connected(throttle, "gone") as limits:
            await limits.admit("gone", app="chat", key="known")
            heard, limits._per_check.owner = limits._per_check.owner, nowhere()
            async with limits.acquire("gone", app="chat", key="known"):
                pass
            with pytest.raises(LimitsUnavailableError):
                await limits.admit("gone", app="chat", key="never-seen")
            await limits._per_check.owner.close()
            limits._per_check.owner = heard

    asyncio.run(told())


def nowhere() -> Owner:
    return Owner(f"http://127.0.0.1:{free_port()}", holder="away", token=TOKEN)
