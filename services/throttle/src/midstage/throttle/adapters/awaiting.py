"""An answer that comes later, for coroutines of the loop that also tells it."""

import asyncio
from typing import TypeVar

from midstage.throttle.model.later import Later

T = TypeVar("T")


async def awaited(answer: T | Later[T]) -> T:
    """The answer, when it is told; whoever asked may be gone by then."""
    if not isinstance(answer, Later):
        return answer
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    answer.then(lambda told: None if future.done() else future.set_result(told))
    return await future
