"""Connections of callers on one event loop, from the opening of the port to the last goodbye.

How long a call waited to be read is not known to a socket: it is taken for all the time since the
loop last looked whether something had come, which is never less.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from midstage.throttle.adapters.http2.blocks import Blocks
from midstage.throttle.adapters.http2.calls import Call
from midstage.throttle.adapters.http2.connection import Connection
from midstage.throttle.adapters.http2.frames import BrokenError, Code

MOST_CONNECTIONS: Final = 10_000
SWEPT_EACH_S: Final = 10.0
"""A call that is open for one to two of these is ended, and a caller that has not begun."""
_LOOKED_EACH_S: Final = 0.005
_ASK_AGAIN_S: Final = 0.01


class Server:
    """The port of ``blocks``; belongs to the event loop that opened it."""

    def __init__(
        self,
        blocks: Blocks[Call],
        *,
        monotonic: Callable[[], float],
        most_connections: int = MOST_CONNECTIONS,
        swept_each_s: float = SWEPT_EACH_S,
    ) -> None:
        """Closed."""
        self._blocks = blocks
        self._monotonic = monotonic
        self._most_connections = most_connections
        self._swept_each_s = swept_each_s
        self._callers: set[_Caller] = set()
        self._listening: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looked_at = self._looking_at = monotonic()
        self._broken: asyncio.Future[object] | None = None
        self._timers: list[asyncio.Handle] = []

    async def open(self, host: str, port: int) -> int:
        """Listen; the port that was bound. OSError where the address can't be had."""
        self._loop = loop = asyncio.get_running_loop()
        self._broken = loop.create_future()
        self._listening = await loop.create_server(self._caller, host, port, backlog=1024)
        self._looked_at = self._looking_at = self._monotonic()
        self._timers = [
            loop.call_soon(self._look),
            loop.call_later(self._swept_each_s, self._sweep),
        ]
        bound: int = self._listening.sockets[0].getsockname()[1]
        return bound

    async def serve(self, stop: asyncio.Event) -> None:
        """Until ``stop``; raises what an answer raised that is no answer."""
        assert self._broken is not None
        stopped: asyncio.Future[object] = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([stopped, self._broken], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if self._broken.done():
            self._broken.result()

    async def close(self, within_s: float) -> None:
        """Take no more calls, let the open ones end, and hang up."""
        if self._listening is not None:
            self._listening.close()
        for caller in self._callers:
            caller.told_goodbye()
        deadline = self._monotonic() + within_s
        while any(caller.is_busy for caller in self._callers) and self._monotonic() < deadline:
            await asyncio.sleep(_ASK_AGAIN_S)
        for caller in list(self._callers):
            caller.hung_up()
        for timer in self._timers:
            timer.cancel()
        if self._broken is not None:
            self._broken.cancel()

    def waited_s(self) -> float:
        """So long what is read now may have waited."""
        return self._monotonic() - self._looked_at

    def joined(self, caller: "_Caller") -> bool:
        """Whether there is room for one more."""
        if len(self._callers) >= self._most_connections:
            return False
        self._callers.add(caller)
        return True

    def left(self, caller: "_Caller") -> None:
        """It has hung up."""
        self._callers.discard(caller)

    def failed(self, error: Exception) -> None:
        """An answer broke: whoever runs the server hears of it."""
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)

    def _caller(self) -> "_Caller":
        return _Caller(self, self._blocks)

    def _look(self) -> None:
        """The loop looks for what has come between two turns of it, so one turn back counts."""
        now = self._monotonic()
        self._looked_at, self._looking_at = self._looking_at, now
        assert self._loop is not None
        if now - self._looked_at > 2 * _LOOKED_EACH_S:
            # at once again: what comes from now on has not waited for what was late
            self._timers[0] = self._loop.call_soon(self._look)
        else:
            self._timers[0] = self._loop.call_later(_LOOKED_EACH_S, self._look)

    def _sweep(self) -> None:
        for caller in list(self._callers):
            caller.swept()
        self._timers[1] = asyncio.get_running_loop().call_later(self._swept_each_s, self._sweep)


class _Caller(asyncio.Protocol):
    """A socket and its connection."""

    def __init__(self, server: Server, blocks: Blocks[Call]) -> None:
        self._server = server
        self._connection = Connection(blocks, waited_s=server.waited_s, send=self._told)
        self._transport: asyncio.Transport | None = None
        self._is_leaving = False
        self._sweeps = 0

    @property
    def is_busy(self) -> bool:
        return not self._connection.is_idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # what TCP gives, in uvloop as well
        if not self._server.joined(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._server.left(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or (self._is_leaving and self._connection.is_idle):
            return
        try:
            out = self._connection.received(data)
        except BrokenError as e:
            self._transport.write(self._connection.goodbye(e.code, str(e)))
            self._transport.close()
            return
        except Exception as e:  # noqa: BLE001  whatever an answer raises ends the server
            self._transport.abort()
            self._server.failed(e)
            return
        if out:
            self._transport.write(out)

    def _told(self, answer: bytes) -> None:
        """Nothing is told to who has hung up or is being hung up on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)

    def pause_writing(self) -> None:
        """It does not read what it is told: nothing more is heard until it does."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def swept(self) -> None:
        if self._transport is None:
            return
        self._sweeps += 1
        if not self._connection.has_begun and self._sweeps > 1:
            self._transport.abort()
        elif out := self._connection.swept():
            self._transport.write(out)

    def told_goodbye(self) -> None:
        self._is_leaving = True
        if self._transport is not None:
            self._transport.write(self._connection.goodbye(Code.NO_ERROR))

    def hung_up(self) -> None:
        if self._transport is not None:
            self._transport.close()
