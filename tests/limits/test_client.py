"""Limits in a Python service: leases of a real throttle, checked in process."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from midstage.limits.client import Limits
from midstage.limits.errors import (
    LimitsUnavailableError,
    NotLeasedError,
    QuotaExceededError,
)
from midstage.limits.owner import Owner
from midstage.testkit.waiting import within
from tests.limits.conftest import TOKEN, Running, limited
from tests.ports import free_port

WITHIN_S = 60.0


async def connected(throttle: Running, holder: str) -> Limits:
    url = str(throttle.http.base_url)
    return await Limits.connect(url, holder=holder, token=TOKEN, within_s=WITHIN_S)


async def passed(limits: Limits, customer: str, *, most: int, app: str = "chat") -> int:
    """How many pass until one does not."""
    for number in range(most):
        try:
            async with limits.acquire(customer, app=app):
                pass
        except QuotaExceededError:
            return number
    return most


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not holds():
            await asyncio.sleep(0.01)


def rows(throttle: Running, customer: str) -> Mapping[str, int]:
    """What is left of each limit."""
    told = throttle.http.get(f"/v1/customers/{customer}/limits").json()["limits"]
    return {row["limit"]: int(row["remaining"]) for row in told}


def left(throttle: Running, customer: str) -> int:
    (remaining,) = rows(throttle, customer).values()
    return remaining


def test_no_holder_admits_more_than_there_is(throttle: Running) -> None:
    limited(throttle, "shared")

    async def told() -> list[int]:
        async with await connected(throttle, "a") as a, await connected(throttle, "b") as b:
            counts = [await passed(each, "shared", most=100) for each in (a, b)]
            with pytest.raises(QuotaExceededError) as refused:
                await a.admit("shared", app="chat")
            assert refused.value.violated == ("shared",)
            assert refused.value.retry_after_s is not None
            assert refused.value.retry_after_s > 0
            return counts

    counts = asyncio.run(told())
    assert counts[0] >= 8
    assert counts[1] >= 1
    assert sum(counts) <= 32
    while throttle.passes("shared", "chat"):
        counts.append(1)
    assert sum(counts) <= 33  # and one more where ten minutes are over meanwhile


def test_what_was_not_used_goes_back_when_it_is_closed(throttle: Running) -> None:
    limited(throttle, "closing")

    async def told() -> None:
        async with await connected(throttle, "closing") as limits:
            await limits.admit("closing", app="chat")
            assert left(throttle, "closing") < 31
        assert left(throttle, "closing") == 31

    asyncio.run(told())


def test_what_is_being_lent_while_it_closes_goes_back_too(throttle: Running) -> None:
    limited(throttle, "leaving")

    async def told() -> None:
        limits = await connected(throttle, "leaving")
        await limits.admit("leaving", app="chat")
        again = asyncio.create_task(limits._ask_now("leaving"))
        await asyncio.sleep(0)  # it is on its way now
        await limits.close()
        await again
        assert left(throttle, "leaving") == 31

    asyncio.run(told())


def test_in_process_nothing_is_asked(throttle: Running) -> None:
    limited(throttle, "quick")

    async def told() -> None:
        limits = await connected(throttle, "quick")
        with pytest.raises(NotLeasedError):
            limits.try_acquire("quick", app="chat")
        assert await limits.lease("quick", app="chat")
        passed = 0
        while limits.try_acquire("quick", app="chat"):
            passed += 1
        assert 8 <= passed <= 32
        policies, states = limits.told("quick", app="chat")
        assert [policy.name for policy in policies] == ["quick"]
        assert [state.remaining for state in states] == [0]
        await limits.close()

    asyncio.run(told())


def test_units_are_charged_to_their_own_limits(throttle: Running) -> None:
    limited(throttle, "units", unit="tokens")

    async def told() -> None:
        async with await connected(throttle, "units") as limits:
            await limits.admit("units", app="chat", units={"tokens": 8})
            assert await passed(limits, "units", most=50) == 50
            with pytest.raises(QuotaExceededError) as refused:
                await limits.admit("units", app="chat", units={"tokens": 33})
            assert refused.value.violated == ("units",)

    asyncio.run(told())


def test_where_no_limit_holds_everything_passes(throttle: Running) -> None:
    async def told() -> None:
        async with await connected(throttle, "free") as limits:
            assert await passed(limits, "nobody", most=200) == 200
            assert limits.told("nobody", app="chat") == ([], [])

    asyncio.run(told())


def test_a_limit_that_cant_be_lent_is_asked_check_by_check(throttle: Running) -> None:
    limited(throttle, "window", amount=5, algorithm={"kind": "moving_window", "period_s": 3600})

    async def told() -> None:
        async with await connected(throttle, "window") as limits:
            assert not await limits.lease("window", app="chat")
            assert await passed(limits, "window", most=10) == 5
            with pytest.raises(NotLeasedError):
                limits.try_acquire("window", app="chat")

    asyncio.run(told())


def test_a_limit_that_is_set_later_holds_soon(throttle: Running) -> None:
    async def told() -> None:
        async with await connected(throttle, "later") as limits:
            assert await passed(limits, "later", most=100) == 100
            await asyncio.to_thread(limited, throttle, "later")
            async with asyncio.timeout(WITHIN_S):
                while await passed(limits, "later", most=1000) == 1000:
                    await asyncio.sleep(0.05)

    asyncio.run(told())


def test_a_demand_that_grows_gets_more(throttle: Running) -> None:
    limited(throttle, "growing", amount=500, period_s=1)

    async def told() -> None:
        async with await connected(throttle, "growing") as limits:
            await limits.lease("growing", app="chat")
            before = rate(limits)

            def more() -> bool:
                for _ in range(10_000):
                    if not limits.try_acquire("growing", app="chat"):
                        break
                return rate(limits) > 10 * before

            await until(more)

    def rate(limits: Limits) -> int:
        (lease,) = limits._plans["growing", "chat"].leases
        return lease.terms.rate_micros

    asyncio.run(told())


@pytest.mark.parametrize("customer", ["", "x" * 257])
def test_a_name_that_is_none_is_the_callers_mistake(throttle: Running, customer: str) -> None:
    async def told() -> None:
        async with await connected(throttle, "names") as limits:
            with pytest.raises(ValueError, match="256"):
                await limits.admit(customer, app="chat")

    asyncio.run(told())


def test_without_throttle_nothing_is_known() -> None:
    async def told() -> None:
        url = f"http://127.0.0.1:{free_port()}"
        async with await Limits.connect(url, holder="alone") as limits:
            with pytest.raises(LimitsUnavailableError):
                await limits.admit("acme", app="chat")

    asyncio.run(told())


def test_when_throttle_is_away_leases_hold_to_their_term_and_then_the_rules_do(
    throttle: Running,
) -> None:
    limited(throttle, "away-open", on_failure="open")
    limited(throttle, "away-closed", on_failure="closed")
    now_ns = [10**12]

    async def told() -> None:
        url = str(throttle.http.base_url)
        limits = Limits(
            url, holder="away", token=TOKEN, within_s=WITHIN_S, monotonic_ns=lambda: now_ns[0]
        )
        for customer in ("away-open", "away-closed"):
            assert await limits.lease(customer, app="chat")
        await limits._owner.close()
        limits._owner = Owner(f"http://127.0.0.1:{free_port()}", holder="away", token="")
        now_ns[0] += 10**10 - 1
        assert limits.try_acquire("away-open", app="chat")
        assert limits.try_acquire("away-closed", app="chat")
        now_ns[0] += 1
        assert await passed(limits, "away-open", most=100) == 100
        with pytest.raises(LimitsUnavailableError, match="away-closed is not open"):
            await limits.admit("away-closed", app="chat")
        await limits.close()

    asyncio.run(told())


def test_who_gets_no_answer_asks_again_long_before_it_is_due(throttle: Running) -> None:
    limited(throttle, "again")
    now_ns, asked = [10**12], [0]

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked[0] += 1
        writer.close()

    async def told() -> None:
        url = str(throttle.http.base_url)
        limits = Limits(url, holder="again", token=TOKEN, monotonic_ns=lambda: now_ns[0])
        assert await limits.lease("again", app="chat")
        await limits._owner.close()
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        limits._owner = Owner(f"http://127.0.0.1:{port}", holder="again", token="")
        await limits.start()
        await until(lambda: asked[0] == 1)
        since_ns = now_ns[0]

        def passes(holds: Callable[[], bool]) -> Callable[[], bool]:
            """10 ms before each look."""

            def look() -> bool:
                now_ns[0] += 10_000_000
                return holds()

            return look

        await until(passes(lambda: asked[0] == 3))
        assert now_ns[0] - since_ns < 3_000_000_000, "a third of the term has not passed"
        server.close()
        await limits._owner.close()
        limits._owner = Owner(url, holder="again", token=TOKEN)
        book = limits._customers["again"].book
        before = book.serial
        await until(passes(lambda: book.serial > before))
        await limits.close()

    asyncio.run(told())


def test_a_limit_in_shadow_mode_is_told_what_passed_by_leases(throttle: Running) -> None:
    limited(throttle, "told")
    throttle.put(
        "tried",
        customer="told",
        amount=10,
        algorithm={"kind": "lifetime"},
        on_failure="open",
        shadow=True,
    ).raise_for_status()
    within(WITHIN_S, lambda: len(rows(throttle, "told")) == 2)

    async def asked() -> int:
        async with await connected(throttle, "told") as limits:
            return await passed(limits, "told", most=7)

    before = counter(throttle, "shadowed")
    assert asyncio.run(asked()) == 7
    assert rows(throttle, "told")["tried"] == 3
    assert asyncio.run(asked()) == 7
    assert rows(throttle, "told")["tried"] == 0
    assert counter(throttle, "shadowed") - before == 4


def test_many_who_come_at_once_ask_once(throttle: Running) -> None:
    limited(throttle, "crowd")

    async def told() -> int:
        async with await connected(throttle, "crowd") as limits:
            counts = await asyncio.gather(*(passed(limits, "crowd", most=1) for _ in range(100)))
            return sum(counts)

    before = leases(throttle)
    assert 8 <= asyncio.run(told()) <= 32
    assert leases(throttle) - before < 20


def leases(throttle: Running) -> float:
    return counter(throttle, "leases")


def counter(throttle: Running, name: str) -> float:
    begins = f"midstage_throttle_{name}_total "
    text = throttle.http.get("/metrics").text
    (line,) = [each for each in text.splitlines() if each.startswith(begins)]
    return float(line.split()[1])
