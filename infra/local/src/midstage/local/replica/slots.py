"""Slots: so many generations at once, a bounded first-in-first-out queue before them.

A slot is free as soon as its block is left, however it is left; the one who waited longest has it
next. Whoever would wait behind a full queue is refused at once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class QueueFullError(Exception):
    """Every slot is taken, and every place in the queue too."""


class Slots:
    """The capacity of one replica; for one event loop."""

    def __init__(self, *, slots: int, queue: int) -> None:
        """``slots`` generations run at once, ``queue`` more may wait."""
        self.slots = slots
        self.queue = queue
        self.active = 0
        self.waiting = 0
        self._free = asyncio.Semaphore(slots)  # fair: its waiters are served in order

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a slot inside the block; QueueFullError where there is no place to wait."""
        if self._free.locked() and self.waiting >= self.queue:
            raise QueueFullError
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1
            self._free.release()
