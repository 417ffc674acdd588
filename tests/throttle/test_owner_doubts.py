"""Who does not answer a check: a slow owner keeps its customers, one that is gone loses them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf

from midstage.contracts.spends import CustomersTaken
from midstage.testkit.clock import NOON
from midstage.throttle.adapters.answers import PASS
from midstage.throttle.adapters.envoy import Answer, RateLimitServer
from midstage.throttle.adapters.owners import Owners
from midstage.throttle.model.checks import Judged
from midstage.throttle.model.later import Later
from tests.ports import free_port
from tests.throttle.gated import question
from tests.throttle.owned import Held

WITHIN_S = 60.0
QUESTION = question("acme", "chat").SerializeToString()
OTHERWISE = b"by the failure rules"
HERE = b"here, after all"


class Asking:
    """One that asks an owner, and what it finds out."""

    def __init__(self, port: int, *, gone_s: float, within_s: float = 0.05) -> None:
        self.holder = holder_at(port)
        self.held = Held(self.holder)
        self.gone: list[CustomersTaken] = []
        self.forwarded = 0
        self.owners = Owners(
            owning=self.held,
            within_s=within_s,
            gone=self.gone.append,
            forwarded=self._forwards,
            gone_s=gone_s,
        )

    def _forwards(self) -> None:
        self.forwarded += 1

    async def ask(self) -> bytes:
        told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        later = self.owners.ask("acme", QUESTION, inf, here=lambda: HERE, otherwise=_ruled)
        assert isinstance(later, Later)
        later.then(told.set_result)
        return await told

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                await asyncio.sleep(0.01)


def test_a_slow_one_keeps_its_customers() -> None:
    async def story() -> None:
        async with silent() as port:
            asking = Asking(port, gone_s=WITHIN_S)
            assert await asking.ask() == OTHERWISE
            assert asking.owners.doubts()
            await asking.until(lambda: not asking.owners.doubts())
            assert asking.gone == []
            asking.owners.close()

    asyncio.run(story())


def test_one_that_is_not_there_is_named_once_for_all_that_asked() -> None:
    async def story() -> None:
        asking = Asking(free_port(), gone_s=1.0)
        assert [await asking.ask() for _ in range(3)] == [OTHERWISE] * 3
        await asking.until(lambda: not asking.owners.doubts())
        assert asking.gone == [asking.holder]
        assert asking.forwarded == 3
        asking.owners.close()

    asyncio.run(story())


def test_one_that_does_not_count_says_so_and_whoever_does_by_then_is_asked() -> None:
    """Where a customer moves, its checks are judged by nobody but the one who counts."""

    async def story() -> None:
        elsewhere = Held(holder_at(free_port()))
        async with silent(elsewhere) as port, silent(answer=lambda _, __: None) as other:
            asking = Asking(port, gone_s=WITHIN_S, within_s=WITHIN_S)
            asking.held.then = [holder_at(other)]
            assert await asking.ask() == PASS
            asking.held.then = [None]
            assert await asking.ask() == HERE
            assert asking.gone == []
            assert not asking.owners.doubts()
            asking.owners.close()

    asyncio.run(story())


def test_one_that_never_counts_is_asked_until_the_time_is_over() -> None:
    async def story() -> None:
        async with silent(Held(holder_at(free_port()))) as port:
            asking = Asking(port, gone_s=WITHIN_S)
            assert await asking.ask() == OTHERWISE
            assert asking.gone == []
            asking.owners.close()

    asyncio.run(story())


@asynccontextmanager
async def silent(owning: Held | None = None, *, answer: Answer | None = None) -> AsyncIterator[int]:
    """A throttle that has a check for ever, or its answer, and answers for its health.

    Where it knows who else counts, it counts for nobody itself.
    """
    owners = None
    if owning is not None:
        owners = Owners(owning=owning, within_s=1.0, gone=lambda _: None, forwarded=_nothing)
    server = RateLimitServer(
        host="127.0.0.1",
        port=0,
        answer=answer or _never,
        foreign=_nothing,
        malformed=lambda _: None,
        closed=lambda: None,
        owners=owners,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run(stop))
        async with asyncio.timeout(WITHIN_S):
            while server.port is None:
                await asyncio.sleep(0.01)
        yield server.port
        stop.set()


def holder_at(port: int) -> CustomersTaken:
    return CustomersTaken(
        partition=0, owner=f"at {port}", epoch=1, address=f"127.0.0.1:{port}", at=NOON
    )


def _never(_: object, __: float | None) -> Later[Judged | None]:
    return Later()


def _nothing() -> None:
    """Nobody asks what is foreign."""


def _ruled() -> bytes:
    return OTHERWISE
