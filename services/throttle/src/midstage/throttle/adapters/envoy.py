"""Envoy's side: ``envoy.service.ratelimit.v3.RateLimitService`` over gRPC.

Envoy asks with domain ``midstage`` and one descriptor (``customer``, ``app``, ``request_id``); it
makes the 429 itself from OVER_LIMIT and adds our headers to the answer, passed or not. A question
that is not of this form has no limit: it passes and is counted as foreign. The port opens only
when the limits are known; before that, Envoy's own failure mode speaks.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)
from google.protobuf.message import DecodeError

from midstage.limits.headers import (
    Policy,
    State,
    rate_limit,
    rate_limit_policy,
    retry_after,
)
from midstage.throttle.adapters import health
from midstage.throttle.adapters.http2.blocks import Blocks
from midstage.throttle.adapters.http2.calls import CallError, Calls, Status
from midstage.throttle.adapters.http2.server import Server
from midstage.throttle.model.limits import Check, Judged, Limit, Verdict

DOMAIN: Final = "midstage"
SERVICE: Final = "envoy.service.ratelimit.v3.RateLimitService"
METHOD: Final = "ShouldRateLimit"
GRACE_S: Final = 1.0
_ASK_AGAIN_S: Final = 0.02
_NS_PER_S: Final = 1_000_000_000

_OK: Final = rls_pb2.RateLimitResponse.OK
_OVER_LIMIT: Final = rls_pb2.RateLimitResponse.OVER_LIMIT
_PASS: Final[bytes] = rls_pb2.RateLimitResponse(
    overall_code=_OK, statuses=[rls_pb2.RateLimitResponse.DescriptorStatus(code=_OK)]
).SerializeToString()

Answer = Callable[[Check, float | None], Judged | None]
"""From a check and the seconds left until its deadline to what a limit says of it."""


class RateLimitServer:
    """Serves ``answer`` from the moment that ``closed`` has no more reason to stay closed."""

    name = "grpc"

    def __init__(
        self,
        *,
        host: str,
        port: int,
        answer: Answer,
        foreign: Callable[[], None],
        closed: Callable[[], str | None],
    ) -> None:
        """``port`` 0 takes a free one; ``foreign`` is called for each question not of our form."""
        self._host, self._port = host, port
        self._answer = answer
        self._foreign = foreign
        self._closed = closed
        self._bound: int | None = None
        calls = {f"/{SERVICE}/{METHOD}".encode(): self._judged, **health.calls(SERVICE)}
        self._blocks = Blocks(Calls(answers=calls))

    @property
    def port(self) -> int | None:
        """The port that is open; None while none is."""
        return self._bound

    def serving(self) -> str | None:
        """Readiness: None while the port is open."""
        return None if self._bound is not None else "the gRPC port is not open yet"

    async def run(self, stop: asyncio.Event) -> None:
        """Open when allowed, serve until ``stop``, then let open calls end.

        Raises RuntimeError when the port is taken, and whatever an answer raises.
        """
        if not await self._opened(stop):
            return
        server = Server(self._blocks, monotonic=time.monotonic)
        try:
            self._bound = await server.open(self._host, self._port)
        except OSError as e:
            raise RuntimeError(f"{self._host}:{self._port} can't be had: {e}") from e
        try:
            await server.serve(stop)
        finally:
            self._bound = None
            await server.close(GRACE_S)

    async def _opened(self, stop: asyncio.Event) -> bool:
        while self._closed() is not None and not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _ASK_AGAIN_S)
        return not stop.is_set()

    def _judged(self, request: bytes, remaining_s: float | None) -> bytes:
        try:
            check = decoded(request)
        except DecodeError as e:
            raise CallError(Status.INVALID_ARGUMENT, "not a RateLimitRequest") from e
        if check is None:
            self._foreign()
            return _PASS
        return encoded(self._answer(check, remaining_s))


def decoded(request: bytes) -> Check | None:
    """The check in a ``RateLimitRequest``; None where it is not of our form.

    A descriptor's own ``hits_addend`` goes before the request's; 0 there asks without taking.
    DecodeError where it is no message.
    """
    message = rls_pb2.RateLimitRequest.FromString(request)
    if message.domain != DOMAIN or len(message.descriptors) != 1:
        return None
    descriptor = message.descriptors[0]
    entries = {entry.key: entry.value for entry in descriptor.entries}
    customer, app = entries.get("customer", ""), entries.get("app", "")
    if not (customer and app):
        return None
    own = descriptor.HasField("hits_addend")
    hits = descriptor.hits_addend.value if own else message.hits_addend or 1
    return Check(customer=customer, app=app, hits=hits)


def encoded(judged: Judged | None) -> bytes:
    """The ``RateLimitResponse`` for what a limit says; a pass where none holds."""
    if judged is None:
        return _PASS
    limit, verdict = judged.limit, judged.verdict
    code = _OK if verdict.admitted else _OVER_LIMIT
    response = rls_pb2.RateLimitResponse(overall_code=code)
    response.statuses.add(code=code, limit_remaining=verdict.remaining)
    for name, value in headers(limit, verdict):
        response.response_headers_to_add.add(key=name, value=value)
    return bytes(response.SerializeToString())


def headers(limit: Limit, verdict: Verdict) -> list[tuple[str, str]]:
    """``RateLimit`` and ``RateLimit-Policy`` of the draft, and ``Retry-After`` where refused.

    Quota ``q`` is the burst, window ``w`` the seconds in which as much comes in. State: ``r`` what
    is left, ``t`` the seconds until more is (absent from a full bucket); refused, ``t`` is
    ``Retry-After``, as the draft asks.
    """
    window_s = -(-limit.burst * 1_000_000 // limit.rate_micros)
    policy = Policy(name=limit.name, quota=limit.burst, window_ns=window_s * _NS_PER_S)
    wait_ns = verdict.wait_ns if verdict.admitted else max(_NS_PER_S, verdict.wait_ns)
    state = State(name=limit.name, remaining=verdict.remaining, reset_ns=wait_ns or None)
    told = [("RateLimit", rate_limit([state])), ("RateLimit-Policy", rate_limit_policy([policy]))]
    return told if verdict.admitted else [*told, ("Retry-After", retry_after(wait_ns))]
