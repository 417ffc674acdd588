"""A steady load on one application while a story happens, and what came of every request."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec

from midstage.local.platform import Platform
from midstage.testkit.waiting import within

BODY = {
    "model": "stand-in",
    "messages": [{"role": "user", "content": "eight words that say nothing of any weight"}],
    "max_tokens": 40,
    "stream": True,
}
CUSTOMER = "kapok-energy"
"""Its limit holds for the replayed application alone."""


@dataclass(slots=True)
class Load:
    """What became of the requests so far."""

    ends: Counter[str] = field(default_factory=Counter)

    @property
    def offered(self) -> int:
        """All requests that have ended."""
        return sum(self.ends.values())

    @property
    def share_ok(self) -> float:
        """The part that was answered to the end."""
        return self.ends["ok"] / self.offered

    @property
    def aborted(self) -> int:
        """Requests that were in flight and broke off, before or in their answer."""
        return sum(count for end, count in self.ends.items() if _is_abort(end))


@contextmanager
def steady(platform: Platform, app: str, *, callers: int, pause_s: float = 0.0) -> Iterator[Load]:
    """``callers`` callers, each with one streamed request after the other, until the block ends.

    Each takes ``pause_s`` of breath before its next request. They begin when the application first
    answers: what control knows to be ready is in the balancer a moment later.

    The last answer of each is awaited, so nothing of what is counted was cut off by the story.
    """
    load, stop = Load(), threading.Event()
    keys = msgspec.json.decode(
        Path(platform.addresses.api_keys_file).read_bytes(), type=dict[str, str]
    )
    key = next(key for key, customer in keys.items() if customer == CUSTOMER)
    url = f"{platform.addresses.listen}/{app}/v1/chat/completions"
    within(60, lambda: asyncio.run(_answers(url, key)), every=0.1)
    running = threading.Thread(
        target=lambda: asyncio.run(_all(url, key, callers, load, stop, pause_s=pause_s)),
        daemon=True,
    )
    running.start()
    try:
        yield load
    finally:
        stop.set()
        running.join()


def _is_abort(end: str) -> bool:
    return end != "ok" and (not end[0].isdigit() or "connection termination" in end)


async def _answers(url: str, key: str) -> bool:
    headers = {"authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        return await _one(session, url) == "ok"


async def _all(
    url: str, key: str, callers: int, load: Load, stop: threading.Event, *, pause_s: float
) -> None:
    connections = aiohttp.TCPConnector(limit=callers)
    headers = {"authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(connector=connections, headers=headers) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for _ in range(callers):
            tasks.create_task(_one_after_the_other(session, url, load, stop, pause_s=pause_s))


async def _one_after_the_other(
    session: aiohttp.ClientSession,
    url: str,
    load: Load,
    stop: threading.Event,
    *,
    pause_s: float,
) -> None:
    while not stop.is_set():
        end = await _one(session, url)
        load.ends[end] += 1
        # a refusal comes at once: don't turn a fault into a storm
        await asyncio.sleep(pause_s if end == "ok" else max(pause_s, 0.05))


async def _one(session: aiohttp.ClientSession, url: str) -> str:
    try:
        async with session.post(url, json=BODY) as answer:
            whole = await answer.read()
    except aiohttp.ClientError as e:
        return type(e).__name__
    if answer.status != 200:
        return f"{answer.status} {whole[:160].decode(errors='replace')}"
    return "ok" if b"[DONE]" in whole else "broke off"
