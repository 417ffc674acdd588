"""Envoy's side: ``envoy.service.ratelimit.v3.RateLimitService`` over gRPC.

Envoy asks with domain ``midstage`` and one descriptor: ``customer``, ``app``, ``request_id``, and
where it knows them ``key`` and estimates as ``units.tokens``. It makes the 429 itself from
OVER_LIMIT and adds our headers to the answer, passed or not. A question that no limit could judge
has an error for an answer, so Envoy's failure mode speaks, as it does before the port opens.
Another domain is for the imported rules; without any it passes and is counted as foreign.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final

from google.protobuf.message import DecodeError

from midstage.contracts.errors import RefusedError
from midstage.throttle.adapters import health
from midstage.throttle.adapters import owners as owners_asked
from midstage.throttle.adapters import parts as parts_asked
from midstage.throttle.adapters.answers import PASS, encoded
from midstage.throttle.adapters.http2.blocks import Blocks
from midstage.throttle.adapters.http2.calls import CallError, Calls, Status
from midstage.throttle.adapters.http2.server import Server
from midstage.throttle.adapters.owners import Owners
from midstage.throttle.adapters.questions import DOMAIN, Questions
from midstage.throttle.model.checks import Check, Judged
from midstage.throttle.model.later import Later

SERVICE: Final = "envoy.service.ratelimit.v3.RateLimitService"
METHOD: Final = "ShouldRateLimit"
GRACE_S: Final = 1.0
_OURS: Final = bytes((0x0A, len(DOMAIN))) + DOMAIN.encode()
"""How a question of our domain begins where its fields are in order, as serializers write them."""
_ASK_AGAIN_S: Final = 0.02
_NO_TIME_S: Final = -0.001

Answer = Callable[[Check, float | None], Judged | Later[Judged | None] | None]
"""From a check and the seconds left until its deadline to what a limit says of it, soon."""


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
        malformed: Callable[[str], None],
        closed: Callable[[], str | None],
        imported: Callable[[bytes], bytes | None] | None = None,
        owners: Owners | None = None,
        late_below_s: float = 0.0,
        lend: Callable[[bytes, float | None], bytes | Later[bytes]] | None = None,
    ) -> None:
        """``port`` 0 takes a free one; ``foreign`` is called for each question of another domain.

        ``malformed`` is told why a question of ours could not be judged.
        ``imported`` answers the questions of other domains, and has none for ours. ``owners`` are
        asked about customers for whom other processes count; None: there are none. ``lend``
        answers other throttles that ask for parts of what is counted here.
        """
        self._host, self._port = host, port
        self._answer = answer
        self._foreign = foreign
        self._malformed = malformed
        self._closed = closed
        self._imported = imported
        self._owners = owners
        self._late_below_s = late_below_s
        self._bound: int | None = None
        self._questions = Questions()
        calls = {
            f"/{SERVICE}/{METHOD}".encode(): self.judged,
            owners_asked.METHOD.encode(): self._judged_here,
            **health.calls(SERVICE),
        }
        if lend is not None:
            calls[parts_asked.METHOD.encode()] = lend
        self._blocks = Blocks(Calls(answers=calls).asked)

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
            if self._owners is not None:
                self._owners.close()

    async def _opened(self, stop: asyncio.Event) -> bool:
        while self._closed() is not None and not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _ASK_AGAIN_S)
        return not stop.is_set()

    def judged(self, request: bytes, remaining_s: float | None) -> bytes | Later[bytes]:
        """The serialized answer to a question; CallError where there is none."""
        if self._imported is not None and not request.startswith(_OURS):
            theirs = self._imported(request)
            if theirs is not None:
                return theirs
        check = self._asked(request)
        if check is None:
            self._foreign()
            return PASS
        if self._owners is not None and not self._owners.counts_here(check.customer):
            left_s = inf if remaining_s is None else remaining_s - self._late_below_s
            asked = self._owners.ask(
                check.customer,
                request,
                left_s,
                here=lambda: self._said(check, remaining_s),
                otherwise=lambda: self._too_late(check),
            )
            if asked is not None:
                return asked
        return self._said(check, remaining_s)

    def _judged_here(self, request: bytes, remaining_s: float | None) -> bytes | Later[bytes]:
        """Another process has forwarded it; CallError where it is not for us to answer.

        Its deadline says how long that may take, and no more: the other one has set aside what it
        needs itself, whatever its caller's deadline is.
        """
        check = self._asked(request)
        if check is None:
            return PASS
        if self._owners is not None and not self._owners.counts_here(check.customer):
            raise CallError(Status.FAILED_PRECONDITION, "another process counts")
        has_s = None if remaining_s is None else remaining_s + self._late_below_s
        return self._said(check, has_s)

    def _asked(self, request: bytes) -> Check | None:
        try:
            return self._questions.check(request)
        except DecodeError as e:
            raise self._failed("not a RateLimitRequest") from e
        except RefusedError as e:
            raise self._failed(str(e)) from e

    def _failed(self, why: str) -> CallError:
        self._malformed(why)
        return CallError(Status.INVALID_ARGUMENT, why)

    def _said(self, check: Check, remaining_s: float | None) -> bytes | Later[bytes]:
        judged = self._answer(check, remaining_s)
        return judged.mapped(encoded) if isinstance(judged, Later) else encoded(judged)

    def _too_late(self, check: Check) -> bytes:
        """What the failure rules say: there is no time left to ask again."""
        judged = self._answer(check, _NO_TIME_S)
        return encoded(None if isinstance(judged, Later) else judged)
