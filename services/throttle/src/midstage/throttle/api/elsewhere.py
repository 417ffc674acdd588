"""Questions about customers for whom another process counts: that one answers them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request, Response

from midstage.contracts.errors import UnavailableError
from midstage.contracts.spends import CustomersTaken
from midstage.throttle.model.forwarded import FORWARDED, Asked, Told


class Owning(Protocol):
    """Who counts for whom."""

    def holder(self, customer: str) -> CustomersTaken | None:
        """Who else counts for the customer; None where this process does."""
        ...


class Forwarding(Protocol):
    """How another process is asked."""

    async def ask(self, holder: CustomersTaken, asked: Asked, body: bytes) -> Told:
        """What it says; UnavailableError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Who is to answer; ``serving`` says why this process answers nothing yet, or None."""

    owning: Owning
    forwarding: Forwarding
    serving: Callable[[], str | None]

    def owner(self, customer: str, asked: Asked) -> CustomersTaken | None:
        """Whom to ask; None: this process. UnavailableError, also where it was asked already."""
        closed = self.serving()
        if closed is not None:
            raise UnavailableError(closed)
        holder = self.owning.holder(customer)
        if holder is not None and asked.is_forwarded:
            raise UnavailableError(f"{holder.owner} counts for {customer}: ask that process")
        return holder

    async def answer(self, customer: str, request: Request, body: bytes = b"") -> Response | None:
        """The owner's; None where this process is to answer. UnavailableError."""
        asked = asked_by(request)
        holder = self.owner(customer, asked)
        if holder is None:
            return None
        told = await self.forwarding.ask(holder, asked, body)
        return Response(told.content, status_code=told.status, media_type=told.media_type)


def asked_by(request: Request) -> Asked:
    """The question, without its body."""
    query = f"?{request.url.query}" if request.url.query else ""
    return Asked(
        method=request.method,
        target=f"{request.scope['raw_path'].decode('ascii')}{query}",
        authorization=request.headers.get("authorization"),
        is_forwarded=FORWARDED in request.headers,
    )
