"""The replica's HTTP: chat completions, health, readiness after the cold start, its own counts.

Order of a request: read, take a slot or wait for one in turn, generate, free the slot. Refusals
come in OpenAI's error form; a full queue is 503 with Retry-After.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from midstage.local.replica import wire
from midstage.local.replica.generation import CallerLeftError, generate, unless_left
from midstage.local.replica.service_time import ServiceTime
from midstage.local.replica.slots import QueueFullError, Slots


@dataclass(slots=True, kw_only=True)
class Counts:
    """What became of the requests so far; ``tokens`` counts those of whole answers."""

    served: int = 0
    refused: int = 0
    left: int = 0
    tokens: int = 0


@dataclass(slots=True, kw_only=True)
class Replica:
    """One replica: its times, its capacity, and why it is not ready (None: ready)."""

    service: ServiceTime
    slots: Slots
    unready: Callable[[], str | None]
    counts: Counts = field(default_factory=Counts)


def application(replica: Replica) -> Starlette:
    """The ASGI application of one replica."""
    return Starlette(
        routes=[
            Route("/v1/chat/completions", _completions(replica), methods=["POST"]),
            Route("/healthz", _healthz),
            Route("/readyz", _readyz(replica)),
            Route("/stats", _stats(replica)),
        ],
        exception_handlers={404: _not_found, 405: _not_found},
    )


class Answer(Response):
    """An answer that is generated while it is sent; refused where there is no slot."""

    def __init__(self, replica: Replica, ask: wire.Asked) -> None:
        """Generate what ``ask`` says on ``replica``."""
        self._replica = replica
        self._ask = ask
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a slot, generate, and count how it ended."""
        counts = self._replica.counts
        try:
            await unless_left(receive, self._generate(send))
        except QueueFullError:
            counts.refused += 1
            await refusal(_queue_full(self._replica.slots))(scope, receive, send)
        except CallerLeftError:
            counts.left += 1
        else:
            counts.served += 1
            counts.tokens += self._ask.max_tokens

    async def _generate(self, send: Send) -> None:
        async with self._replica.slots.taken():
            await generate(self._ask, service=self._replica.service, send=send)


def refusal(error: wire.WireError) -> Response:
    """``error`` as an HTTP answer."""
    return Response(error.body, error.status, headers=error.headers, media_type="application/json")


def _completions(replica: Replica) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response:
        try:
            if reason := replica.unready():
                raise _unready(reason)
            return Answer(replica, wire.asked(await _body(request)))
        except wire.WireError as e:
            replica.counts.refused += 1
            return refusal(e)
        except ClientDisconnect:
            replica.counts.left += 1
            return Response(status_code=400)

    return endpoint


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > wire.BODY_BYTES:
            raise wire.WireError(
                f"the request is larger than {wire.BODY_BYTES} bytes; send less", status=413
            )
        parts.append(part)
    return b"".join(parts)


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "alive"})


def _readyz(replica: Replica) -> Callable[[Request], object]:
    async def endpoint(_: Request) -> Response:
        reason = replica.unready()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)

    return endpoint


def _stats(replica: Replica) -> Callable[[Request], object]:
    async def endpoint(_: Request) -> Response:
        slots, counts = replica.slots, replica.counts
        return JSONResponse(
            {
                "slots": slots.slots,
                "queue": slots.queue,
                "active": slots.active,
                "waiting": slots.waiting,
                "served": counts.served,
                "refused": counts.refused,
                "left": counts.left,
                "tokens": counts.tokens,
            }
        )

    return endpoint


def _not_found(request: Request, _: Exception) -> Response:
    return refusal(
        wire.WireError(
            f"there is no {request.method} {request.url.path}; use POST /v1/chat/completions",
            status=404,
        )
    )


def _unready(reason: str) -> wire.WireError:
    return wire.WireError(
        f"the replica is not ready: {reason}; try again later",
        status=503,
        kind="server_error",
        headers={"retry-after": "1"},
    )


def _queue_full(slots: Slots) -> wire.WireError:
    return wire.WireError(
        f"{slots.slots} generations run and {slots.queue} wait; try again later",
        status=503,
        kind="server_error",
        code="queue_full",
        headers={"retry-after": "1"},
    )
