"""Questions over HTTP that the owner of their customer is to answer, asked there as they came.

With the caller's own authorization, so the owner refuses whom it would refuse anyway. The mark says
that the question was forwarded: who is asked by mistake does not forward it again, and to set it
gains a caller nothing but a 503. Where to ask is read from the log alone, never from a question.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import httpx

from midstage.contracts.errors import UnavailableError
from midstage.contracts.spends import CustomersTaken
from midstage.throttle.model.forwarded import FORWARDED, Asked, Told

WITHIN_S: Final = 2.0
"""An owner has a second to write what it lends into the log."""


class Forwarding:
    """A chassis AsyncLoop."""

    name = "forwarding"

    def __init__(
        self, *, missed: Callable[[CustomersTaken], None], forwarded: Callable[[], None]
    ) -> None:
        """Connects to nobody yet; ``missed`` is told who did not answer."""
        self._missed = missed
        self._forwarded = forwarded
        self._http: httpx.AsyncClient | None = None

    async def ask(self, holder: CustomersTaken, asked: Asked, body: bytes) -> Told:
        """What it says; UnavailableError where it can't be asked."""
        if not holder.http_address:
            raise UnavailableError(f"{holder.owner} counts for the customer, and names no address")
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=WITHIN_S, verify=False)
        self._forwarded()
        headers = {FORWARDED: "1", "content-type": "application/json"}
        if asked.authorization is not None:
            headers["authorization"] = asked.authorization
        try:
            answer = await self._http.request(
                asked.method,
                f"http://{holder.http_address}{asked.target}",
                content=body,
                headers=headers,
            )
        except httpx.HTTPError as e:
            self._missed(holder)
            raise UnavailableError(f"{holder.owner} counts for the customer: {e!r}") from e
        return Told(
            status=answer.status_code,
            content=answer.content,
            media_type=answer.headers.get("content-type", "application/json"),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Let go of all connections at ``stop``."""
        await stop.wait()
        if self._http is not None:
            await self._http.aclose()
