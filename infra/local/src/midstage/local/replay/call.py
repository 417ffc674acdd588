"""One request, sent once, never again, and what its caller saw of it.

The caller stays until the answer's last byte, or leaves by closing the connection: after some
tokens because it was planned so, after ``GIVE_UP_S``, or because the replay is stopped. Leaving
is ``cancelled``; an answer that does not come or breaks off is ``error``.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from midstage.contracts.requests import BILLED, Outcome, outcome_of
from midstage.contracts.units import INPUT_TOKENS, OUTPUT_TOKENS, REQUESTS
from midstage.local.replay.listing import CallerRow
from midstage.local.replay.plan import Planned
from midstage.local.replay.sse import Events, Usage, usage_in

GIVE_UP_S = 600.0
REF_HEADER = "x-midstage-ref"
_GATEWAY_REFUSALS = frozenset({401, 403, 429})
"""Statuses that a replica never sends, so they came from the gateway or throttle."""


@dataclass(slots=True, kw_only=True)
class Seen:
    """What came of one request so far; filled while it runs, read at whatever its end is."""

    status: int = 0
    first_byte: float | None = None
    tokens: int = 0
    usage: Usage | None = None
    broke_off: bool = False
    left: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Sends requests of one run to one address."""

    session: aiohttp.ClientSession
    url: str
    app: str
    keys: Callable[[str], str]

    async def call(self, planned: Planned, body: bytes, *, late_s: float) -> CallerRow:
        """Send ``planned`` and stay to its end; returns a row also when this task is cancelled."""
        seen = Seen()
        started = time.monotonic()
        try:
            async with asyncio.timeout(GIVE_UP_S):
                await self._send(planned, body, seen)
        except (TimeoutError, asyncio.CancelledError) as e:  # swallowed: the row is the answer
            seen.left = True
            seen.reason = f"the caller left: {type(e).__name__}"
        except (aiohttp.ClientError, OSError) as e:
            seen.broke_off = True
            seen.reason = f"{type(e).__name__}: {e}"
        return self._row(planned, seen, started, late_s)

    async def _send(self, planned: Planned, body: bytes, seen: Seen) -> None:
        headers = {
            "authorization": f"Bearer {self.keys(planned.customer)}",
            "content-type": "application/json",
            REF_HEADER: planned.ref,
        }
        async with self.session.post(self.url, data=body, headers=headers) as answer:
            seen.status = answer.status
            if answer.status == 200 and planned.streamed:
                await _read_stream(answer, planned, seen)
                return
            whole = await answer.read()
            if answer.status == 200:
                seen.usage = usage_in(whole)
            else:
                seen.reason = whole[:200].decode(errors="replace")

    def _row(self, planned: Planned, seen: Seen, started: float, late_s: float) -> CallerRow:
        outcome = outcome_of(
            status=seen.status,
            by_gateway=seen.status in _GATEWAY_REFUSALS,
            broke_off=seen.broke_off,
            caller_left=seen.left,
        )
        ttft = None if seen.first_byte is None else (seen.first_byte - started) * 1000
        return CallerRow(
            ref=planned.ref,
            customer=planned.customer,
            app=self.app,
            status=seen.status,
            outcome=outcome,
            usage=_units(planned, seen, outcome),
            estimated=seen.tokens > 0 and seen.usage is None,
            streamed=planned.streamed,
            duration_ms=round((time.monotonic() - started) * 1000, 3),
            ttft_ms=None if ttft is None else round(ttft, 3),
            late_ms=round(late_s * 1000, 3),
            ended_at=datetime.now(UTC),
            reason=seen.reason,
        )


async def _read_stream(answer: aiohttp.ClientResponse, planned: Planned, seen: Seen) -> None:
    events = Events()
    try:
        async for chunk in answer.content.iter_any():
            if seen.first_byte is None:
                seen.first_byte = time.monotonic()
            events.feed(chunk)
            if 0 < planned.leaves_after <= events.events and not events.ended():
                seen.left = True
                answer.close()
                return
        seen.broke_off = not events.ended()
        seen.reason = "the stream ended without [DONE]" if seen.broke_off else ""
    finally:
        seen.tokens, seen.usage = events.tokens(), events.usage()


def _units(planned: Planned, seen: Seen, outcome: Outcome) -> dict[str, int]:
    if seen.usage is not None:
        return {
            **({REQUESTS: 1} if outcome in BILLED else {}),
            INPUT_TOKENS: seen.usage.prompt_tokens,
            OUTPUT_TOKENS: seen.usage.completion_tokens,
        }
    if seen.tokens == 0:
        return {}
    return {
        **({REQUESTS: 1} if outcome in BILLED else {}),
        INPUT_TOKENS: planned.prompt_tokens,
        OUTPUT_TOKENS: seen.tokens,
    }
