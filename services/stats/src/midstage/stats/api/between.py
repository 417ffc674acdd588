"""What other shards ask, below ``SHARD``, in threads apart from those of callers.

A caller's thread waits for the other shards. If their questions had to wait for such a thread here,
two shards that are asked much at once would wait for each other.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec
from fastapi import APIRouter, Request, Response

from midstage.contracts.errors import RefusedError
from midstage.stats.api.answered import as_json

SHARD = "/v1/shard"
AT_ONCE = 8
A = TypeVar("A")
R = TypeVar("R")

nothing = msgspec.json.Decoder(type(None)).decode


class Threads:
    """A few threads; more questions wait for one."""

    def __init__(self, most: int = AT_ONCE) -> None:
        """None is started before the first question."""
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="shard")

    async def run(self, answer: Callable[[A], R], asked: A) -> R:
        """What ``answer`` gives, in one of them."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, answer, asked)


def part(
    routes: APIRouter, path: str, decode: Callable[[bytes], A], answer: Callable[[A], object]
) -> None:
    """Add a route by which another shard asks for this one's part."""
    threads = Threads()

    async def post(request: Request) -> Response:
        asked = _read(decode, await request.body())
        return as_json(await threads.run(answer, asked))

    routes.post(path, include_in_schema=False)(post)


def _read(decode: Callable[[bytes], A], body: bytes) -> A:
    """What a shard asks another; RefusedError where the body is something else."""
    try:
        return decode(body)
    except msgspec.DecodeError as error:
        raise RefusedError(f"the body is not what a shard asks: {error}") from error
