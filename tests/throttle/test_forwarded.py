"""How long a forwarded check may take, at the owner and here: its time is divided, not lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from midstage.contracts.spends import CustomersTaken
from midstage.testkit.clock import NOON
from midstage.throttle.adapters.envoy import RateLimitServer
from midstage.throttle.adapters.owners import MOST_ASKED, Owners
from midstage.throttle.model.checks import Check, Judged
from midstage.throttle.model.later import Later
from tests.throttle.gated import question
from tests.throttle.owned import Held

WITHIN_S = 60.0
LATE_BELOW_S = 600.0
"""More than a check may take: with 20 of 50 ms for an answer it is 30."""
QUESTION = question("acme", "chat").SerializeToString()


@dataclass(slots=True, kw_only=True)
class Asked:
    """What was left of each check's time, as a gate is told; nothing limits any."""

    left_s: list[float | None] = field(default_factory=list)
    forwarded: int = 0

    def answer(self, check: Check, remaining_s: float | None) -> Judged | None:
        assert check.customer == "acme"
        self.left_s.append(remaining_s)
        return None

    def forwards(self) -> None:
        self.forwarded += 1


async def told(answer: bytes | Later[bytes]) -> bytes:
    assert isinstance(answer, Later)
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    answer.then(future.set_result)
    return await future


@asynccontextmanager
async def serving(
    answer: Callable[[Check, float | None], Judged | Later[Judged | None] | None],
    *,
    owner_port: int | None = None,
    forwards: Callable[[], None] = lambda: None,
) -> AsyncIterator[RateLimitServer]:
    """A port, and where it has an owner to ask, all customers are that one's."""
    holder = CustomersTaken(
        partition=0, owner="other", epoch=1, address=f"127.0.0.1:{owner_port}", at=NOON
    )
    owners = Owners(owning=Held(holder), within_s=WITHIN_S, gone=lambda _: None, forwarded=forwards)
    server = RateLimitServer(
        host="127.0.0.1",
        port=0,
        answer=answer,
        foreign=lambda: None,
        malformed=lambda _: None,
        closed=lambda: None,
        owners=None if owner_port is None else owners,
        late_below_s=LATE_BELOW_S,
    )
    stop = asyncio.Event()
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run(stop))
        while server.port is None:
            await asyncio.sleep(0.01)
        yield server
        stop.set()


@pytest.mark.parametrize(
    ("remaining_s", "most_s"),
    [
        (None, WITHIN_S * 0.75),
        (LATE_BELOW_S + 10 * WITHIN_S, WITHIN_S * 0.75),
        (LATE_BELOW_S + WITHIN_S / 2, WITHIN_S * 0.375),
    ],
)
def test_the_owner_has_what_is_left_of_the_time_but_for_the_way(
    remaining_s: float | None, most_s: float
) -> None:
    async def story() -> None:
        owner, other = Asked(), Asked()
        async with (
            serving(owner.answer) as at,
            serving(other.answer, owner_port=at.port, forwards=other.forwards) as port,
        ):
            await told(port.judged(QUESTION, remaining_s))
            [left_s] = owner.left_s
            assert left_s is not None
            assert LATE_BELOW_S < left_s <= LATE_BELOW_S + most_s
            assert (other.left_s, other.forwarded) == ([], 1)

    asyncio.run(story())


def test_who_has_no_time_left_is_not_forwarded() -> None:
    async def story() -> None:
        owner, other = Asked(), Asked()
        async with (
            serving(owner.answer) as at,
            serving(other.answer, owner_port=at.port, forwards=other.forwards) as port,
        ):
            assert isinstance(port.judged(QUESTION, LATE_BELOW_S + 0.001), bytes)
            assert (owner.left_s, other.forwarded) == ([], 0)
            [left_s] = other.left_s
            assert left_s is not None
            assert left_s < 0, "the failure rules speak"

    asyncio.run(story())


def test_more_than_can_be_under_way_are_answered_by_the_failure_rules() -> None:
    async def story() -> None:
        other = Asked()
        never = Later[Judged | None]()
        async with (
            serving(lambda _check, _left_s: never) as at,
            serving(other.answer, owner_port=at.port, forwards=other.forwards) as port,
        ):
            asked = [port.judged(QUESTION, None) for _ in range(MOST_ASKED)]
            assert all(isinstance(each, Later) for each in asked)
            assert isinstance(port.judged(QUESTION, None), bytes)
            assert other.forwarded == MOST_ASKED

    asyncio.run(story())
