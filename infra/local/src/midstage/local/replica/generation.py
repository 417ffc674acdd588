"""One generation, from the slot to the last word: words fall due by the clock, never earlier.

The caller's leaving ends it at once and frees the slot; nothing is generated for nobody.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable
from itertools import cycle, islice

from starlette.types import Message, Receive, Send

from midstage.local.replica.service_time import ServiceTime
from midstage.local.replica.wire import Asked, Stream, answer

_SAYING = (
    "the river carries small stones past a quiet mill while seven birds watch from one old bridge"
)
VOCABULARY = tuple(_SAYING.split(" "))
_JSON = (b"content-type", b"application/json")
_EVENTS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))


class CallerLeftError(Exception):
    """The caller closed the connection before the answer had ended."""


async def generate(ask: Asked, *, service: ServiceTime, send: Send) -> None:
    """Send the whole answer in its time, plain or as a stream; the slot is the caller's affair."""
    started = time.monotonic()
    name, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
    if ask.stream:
        await _stream(ask, Stream(ask, name=name, created=created), service, started, send)
        return
    await _until(started + service.due_s(ask.prompt_tokens, ask.max_tokens))
    body = answer(ask, name=name, created=created, words=_words(1, ask.max_tokens))
    await _start(send, _JSON, (b"content-length", str(len(body)).encode()))
    await _write(send, body, more=False)


async def unless_left(receive: Receive, work: Awaitable[None]) -> None:
    """Do ``work`` while the caller stays; CallerLeftError, and the work cancelled, if it leaves."""
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
            return
        raise CallerLeftError
    finally:
        doing.cancel()
        leaving.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def _stream(
    ask: Asked, events: Stream, service: ServiceTime, started: float, send: Send
) -> None:
    sent = 0
    while sent < ask.max_tokens:
        # the first token leaves alone, the others together with those due at about the same time
        wanted = min(ask.max_tokens, sent + service.tokens_a_write) if sent else 1
        await _until(started + service.due_s(ask.prompt_tokens, wanted))
        due = service.due(ask.prompt_tokens, time.monotonic() - started)
        upto = min(ask.max_tokens, max(wanted, due))
        if not sent:
            await _start(send, *_EVENTS)
        await _write(send, events.tokens(_words(sent + 1, upto), first=sent + 1), more=True)
        sent = upto
    await _write(send, events.end(), more=False)


def _words(first: int, last: int) -> list[str]:
    at = (first - 1) % len(VOCABULARY)
    return list(islice(cycle(VOCABULARY), at, at + last - first + 1))


async def _until(monotonic: float) -> None:
    await asyncio.sleep(max(0.0, monotonic - time.monotonic()))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _start(send: Send, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})


async def _write(send: Send, body: bytes, *, more: bool) -> None:
    message: Message = {"type": "http.response.body", "body": body, "more_body": more}
    await send(message)
