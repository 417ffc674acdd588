"""One address that is asked over one connection, which is made when it is needed, and made anew.

Each call is a stream of its own: those of one turn of the loop go out together, and a slow one
holds up nobody. Whoever asks is told once, in time, whatever the other side does. A connection
that has said nothing at all for as long as a call waited is taken for dead, and left for a new one.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from midstage.throttle.adapters.http2 import blocks
from midstage.throttle.adapters.http2.blocks import Blocks
from midstage.throttle.adapters.http2.caller import Caller
from midstage.throttle.adapters.http2.frames import BrokenError, Code
from midstage.throttle.adapters.http2.replies import Failed, Head, Reply, said

CONNECTS_WITHIN_S: Final = 1.0
AGAIN_AFTER_S: Final = 0.1
"""After a connection could not be had, nobody tries for so long."""
_MOST_KNOWN: Final = 256
_TRIES: Final = 2
"""A call that the other side has not looked at is asked once more."""
_UNREACHED: Final = Failed(words="it can't be reached", is_silent=True)
_LATE: Final = Failed(words="it has not answered in time", is_silent=True)
_CLOSED: Final = Failed(words="this process is stopping", is_silent=True)


@dataclass(slots=True, kw_only=True, eq=False)
class _Call:
    """A call and where it is: waiting, or on a stream of a connection."""

    block: bytes
    message: bytes
    tell: Callable[[Reply], None]
    asked_at: float
    is_patient: bool
    client: "Client"
    timer: asyncio.TimerHandle | None = None
    link: "_Link | None" = None
    stream: int = 0
    tries: int = 0
    is_over: bool = False

    def told(self, reply: Reply | None) -> None:
        """By its connection."""
        self.link = None
        if reply is None:
            self.client.unlooked(self)
        else:
            self.over(reply)

    def over(self, reply: Reply) -> None:
        """This is what came of it."""
        self.is_over = True
        if self.timer is not None:
            self.timer.cancel()
        self.tell(reply)


class Client:
    """Belongs to one event loop, in which it is made; connects to nobody before it is asked."""

    def __init__(self, address: str) -> None:
        """``address`` is ``host:port``."""
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._known: dict[tuple[bytes, int], bytes] = {}
        self._blocks: Blocks[Head] = Blocks(said)
        self._waiting: deque[_Call] = deque()
        self._links: set[_Link] = set()
        self._link: _Link | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._again: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Nothing is asked, and nobody listens."""
        return not (self._links or self._waiting or self._connecting)

    def ask(
        self,
        path: bytes,
        message: bytes,
        tell: Callable[[Reply], None],
        *,
        within_s: float,
        answer_within_s: float | None = None,
        patiently: bool = False,
    ) -> None:
        """``tell`` is told within ``within_s``, and never in the step that asks.

        The other side is told ``answer_within_s`` where it has less time. Who asks ``patiently``
        waits for one that can't be reached yet.
        """
        within_us = int((within_s if answer_within_s is None else answer_within_s) * 1e6)
        call = _Call(
            block=self._known.get((path, within_us)) or self._block(path, within_us),
            message=message,
            tell=tell,
            asked_at=self._loop.time(),
            is_patient=patiently,
            client=self,
        )
        call.timer = self._loop.call_later(within_s, self._late, call)
        link = self._link
        if link is not None and not self._waiting and link.takes(call):
            return
        self._waiting.append(call)
        self._go_on()

    def close(self) -> None:
        """Hang up; whoever waits is told so."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._again is not None:
            self._again.cancel()
        for call in self._queued():
            call.over(_CLOSED)
        for link in list(self._links):
            link.hang_up("this process is stopping")

    def unlooked(self, call: _Call) -> None:
        """The other side has not looked at it: it may be asked again, where there is time."""
        call.tries += 1
        if call.tries >= _TRIES:
            call.over(_UNREACHED)
            return
        self._waiting.append(call)
        self._loop.call_soon(self._go_on)

    def linked(self, link: "_Link") -> None:
        """A new connection is there."""
        self._links.add(link)
        self._link = link
        self._go_on()

    def unlinked(self, link: "_Link") -> None:
        """It is gone."""
        self._links.discard(link)
        if self._link is link:
            self._link = None
            if self._waiting:
                self._go_on()

    def go_on(self, link: "_Link") -> None:
        """There may be room again."""
        if self._waiting and link is self._link:
            self._go_on()

    def _go_on(self) -> None:
        """Send what waits, as far as there is a connection with room."""
        link = self._link
        if link is not None and link.is_left:
            self._leave(link)
            link = None
        if link is None:
            self._connect()
            return
        while self._waiting:
            call = self._waiting[0]
            if not call.is_over and not link.takes(call):
                return
            self._waiting.popleft()

    def _connect(self) -> None:
        if self._connecting is not None or not self._waiting:
            return
        if self._loop.time() < self._not_before:
            self._loop.call_soon(self._unreached)
            return
        self._connecting = self._loop.create_task(self._connected())

    async def _connected(self) -> None:
        try:
            host, _, port = self._address.rpartition(":")
            async with asyncio.timeout(CONNECTS_WITHIN_S):
                await self._loop.create_connection(
                    lambda: _Link(self, self._blocks), host.strip("[]"), int(port)
                )
        except (OSError, ValueError, OverflowError):
            self._not_before = self._loop.time() + AGAIN_AFTER_S
            self._unreached()
            return
        finally:
            self._connecting = None
        if self._link is None and self._waiting:  # it was lost as soon as it was made
            self._go_on()

    def _unreached(self) -> None:
        """Only who is patient waits on."""
        calls = self._queued()
        self._waiting.extend(call for call in calls if call.is_patient)
        for call in calls:
            if not call.is_patient:
                call.over(_UNREACHED)
        if self._waiting and self._again is None:
            self._again = self._loop.call_later(AGAIN_AFTER_S, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        self._go_on()

    def _queued(self) -> list[_Call]:
        calls = [call for call in self._waiting if not call.is_over]
        self._waiting.clear()
        return calls

    def _late(self, call: _Call) -> None:
        link, call.link = call.link, None
        if link is not None:
            link.dropped(call.stream)
        suspect = link or self._link
        if suspect is not None and suspect is self._link and suspect.heard_at < call.asked_at:
            self._leave(suspect)
        call.over(_LATE)
        while self._waiting and self._waiting[0].is_over:
            self._waiting.popleft()

    def _leave(self, link: "_Link") -> None:
        """Nothing more is asked there; it is closed as soon as nobody waits for it."""
        self._link = None
        link.leave()
        if self._waiting:
            self._go_on()

    def _block(self, path: bytes, within_us: int) -> bytes:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        block = blocks.asking(path, self._address.encode(errors="replace"), within_us=within_us)
        self._known[path, within_us] = block
        return block


class _Link(asyncio.Protocol):
    """A socket and its connection."""

    def __init__(self, client: Client, known: Blocks[Head]) -> None:
        self._client = client
        self._caller = Caller(known)
        self._transport: asyncio.Transport | None = None
        self._is_paused = False
        self._is_leaving = False
        self._loop = asyncio.get_running_loop()
        self.heard_at = 0.0

    @property
    def is_left(self) -> bool:
        return self._is_leaving or self._caller.is_left

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # what TCP gives, in uvloop as well
        self._transport.write(self._caller.begin())
        self._client.linked(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._caller.lost(f"the connection is lost: {exc or 'hung up'}")
        self._client.unlinked(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        self.heard_at = self._loop.time()
        try:
            out = self._caller.received(data)
        except BrokenError as e:
            self.hang_up(f"it broke the rules: {e}", e.code)
            return
        if out and self._transport is not None:
            self._transport.write(out)
        self._client.go_on(self)
        self._close_if_left()

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._client.go_on(self)

    def takes(self, call: _Call) -> bool:
        """Whether it has gone out."""
        if self._is_paused or self._is_leaving or self._transport is None:
            return False
        if not self._caller.has_room(call.message):
            return False
        call.link = self
        call.stream, out = self._caller.asked(call.block, call.message, call.told)
        self._transport.write(out)
        return True

    def dropped(self, stream: int) -> None:
        out = self._caller.dropped(stream)
        if out and self._transport is not None and not self._is_paused:
            self._transport.write(out)
        self._close_if_left()

    def leave(self) -> None:
        self._is_leaving = True
        self._close_if_left()

    def hang_up(self, words: str, code: Code = Code.NO_ERROR) -> None:
        """Whoever waits for it is told."""
        self._is_leaving = True
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.write(self._caller.goodbye(code, words))
            _closed(transport)
        self._caller.lost(words)
        self._client.unlinked(self)

    def _close_if_left(self) -> None:
        if self.is_left and self._caller.is_idle and self._transport is not None:
            _closed(self._transport)


def _closed(transport: asyncio.Transport) -> None:
    """At once where it takes nothing any more: it might never."""
    if transport.get_write_buffer_size():
        transport.abort()
    else:
        transport.close()
