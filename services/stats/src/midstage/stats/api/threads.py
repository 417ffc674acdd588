"""Threads apart from those of callers, for what other shards ask.

A caller's thread waits for the other shards. If their questions had to wait for such a thread here,
two shards that are asked much at once would wait for each other.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")

AT_ONCE = 8


class Threads:
    """A few threads; more questions wait for one."""

    def __init__(self, most: int = AT_ONCE) -> None:
        """None is started before the first question."""
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="shard")

    async def run(self, answer: Callable[[A], R], asked: A) -> R:
        """What ``answer`` gives, in one of them."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, answer, asked)
