"""Envoy's side: ``envoy.service.ratelimit.v3.RateLimitService`` over gRPC.

Envoy asks with domain ``midstage`` and one descriptor: ``customer``, ``app``, ``request_id``, and
where it knows them ``key`` and estimates as ``units.tokens``. It makes the 429 itself from
OVER_LIMIT and adds our headers to the answer, passed or not. A question that is not of this form
has no limit: it passes and is counted as foreign. The port opens only when the limits are known;
before that, Envoy's own failure mode speaks.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)
from google.protobuf.message import DecodeError

from midstage.limits.headers import retry_after, seconds_up
from midstage.throttle.adapters import health
from midstage.throttle.adapters.http2.blocks import Blocks
from midstage.throttle.adapters.http2.calls import CallError, Calls, Status
from midstage.throttle.adapters.http2.server import Server
from midstage.throttle.model.checks import NOTHING, Check, Judged, Left

DOMAIN: Final = "midstage"
SERVICE: Final = "envoy.service.ratelimit.v3.RateLimitService"
METHOD: Final = "ShouldRateLimit"
GRACE_S: Final = 1.0
_ASK_AGAIN_S: Final = 0.02
_MOST: Final = 10**15
"""Units that one check can ask for; more is taken for so many, which no limit allows either."""
_MOST_TOLD: Final = 2**32 - 1
_DIGITS: Final = 4000  # int() takes no more of them; nobody's number is as long
_UNITS: Final = "units."
_PLAIN: Final = 3
"""Entries of a descriptor without key and estimates."""

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
    return Check(
        customer=customer,
        app=app,
        hits=min(hits, _MOST),
        key=entries.get("key", ""),
        request=entries.get("request_id", ""),
        units=_units(entries) if len(entries) > _PLAIN else NOTHING,
    )


def encoded(judged: Judged | None) -> bytes:
    """The ``RateLimitResponse`` for what limits say; a pass where none holds.

    ``dynamic_metadata`` of a refusal has ``violated``, for the body that Envoy makes of it.
    """
    if judged is None:
        return _PASS
    code = _OK if judged.admitted else _OVER_LIMIT
    response = rls_pb2.RateLimitResponse(overall_code=code)
    response.statuses.add(code=code, limit_remaining=remaining(judged))
    for name, value in headers(judged):
        response.response_headers_to_add.add(key=name, value=value)
    if judged.violated:
        response.dynamic_metadata["violated"] = list(judged.violated)
    return bytes(response.SerializeToString())


def remaining(judged: Judged) -> int:
    """What is left of the limit of which the least is."""
    told = [max(0, left.remaining) for left, state in _told(judged) if state]
    return min(min(told, default=0), _MOST_TOLD)


def headers(judged: Judged) -> list[tuple[str, str]]:
    """``RateLimit`` and ``RateLimit-Policy`` of the draft, and ``Retry-After`` where refused.

    State: ``r`` what is left, ``t`` the seconds until more is (absent where there is all); of a
    limit that refuses, until the same request would pass. ``Retry-After`` is the longest of these,
    and absent where it would never pass.
    """
    if not judged.meeting.policies:
        return []
    states = ", ".join(
        f"{begins}{max(0, left.remaining)}{_after(left.wait_ns)}"
        for left, begins in _told(judged)
        if begins
    )
    told = [("RateLimit", states), ("RateLimit-Policy", judged.meeting.policies)]
    if judged.admitted or judged.wait_ns is None:
        return told
    return [*told, ("Retry-After", retry_after(judged.wait_ns))]


def _told(judged: Judged) -> Iterable[tuple[Left, str]]:
    return zip(judged.left, judged.meeting.states, strict=True)


def _after(wait_ns: int | None) -> str:
    return f";t={seconds_up(wait_ns)}" if wait_ns else ""


def _units(entries: Mapping[str, str]) -> Mapping[str, int]:
    """Estimates by unit; what is no whole number says nothing."""
    return {
        key.removeprefix(_UNITS): min(int(value[:_DIGITS]), _MOST)
        for key, value in entries.items()
        if key.startswith(_UNITS) and value.isascii() and value.isdigit()
    }
