"""Other throttles' side: a check of a customer for whom another process counts is asked there.

It is asked as it came, on the owner's port, by a method that forwards nothing. Who does not count
for the customer, no more or not yet, says so: then whoever is known by then is asked, until the
time is over. An owner that can't be reached, or is late, is asked whether it is there at all; one
that has not answered that for ``GONE_S``, or where nobody listens, is gone. So a slow one is not
taken for a dead one.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final, Protocol

import grpc

from midstage.contracts.spends import CustomersTaken
from midstage.throttle.model.later import Later

METHOD: Final = "/midstage.throttle.v1.Owner/ShouldRateLimit"
GONE_S: Final = 1.0
MOST_ASKED: Final = 4096
"""Checks under way to other processes; what is more is answered here, by the failure rules."""
_HEALTH: Final = "/grpc.health.v1.Health/Check"
_ASK_AGAIN_S: Final = 0.002
_REFUSED_AGAIN_S: Final = 0.1
_SILENT: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Owning(Protocol):
    """Who counts for whom."""

    def answering(self, customer: str) -> CustomersTaken | None:
        """Who else is to be asked, as it counts or comes next; None: this process."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """A check that another process is asked."""

    customer: str
    request: bytes
    here: Callable[[], bytes | Later[bytes]]
    otherwise: Callable[[], bytes]
    later: Later[bytes] = field(default_factory=Later)


class Owners:
    """Belongs to one event loop; ``within_s`` is the time that an owner has to answer."""

    def __init__(
        self,
        *,
        owning: Owning,
        within_s: float,
        gone: Callable[[CustomersTaken], None],
        forwarded: Callable[[], None],
        gone_s: float = GONE_S,
    ) -> None:
        """Connects to nobody yet; ``gone`` is told who has not answered for ``gone_s``."""
        self._owning = owning
        self._within_s = within_s
        self._gone_s = gone_s
        self._gone = gone
        self._forwarded = forwarded
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._doubted: set[str] = set()
        self._asked = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(
        self,
        customer: str,
        request: bytes,
        *,
        here: Callable[[], bytes | Later[bytes]],
        otherwise: Callable[[], bytes],
    ) -> Later[bytes] | None:
        """The owner's answer, else ``otherwise``; None where it is for us to answer.

        ``here`` answers where it has become for us in the meantime.
        """
        holder = self._owning.answering(customer)
        if holder is None or not holder.address or self._asked >= MOST_ASKED:
            return None
        self._forwarded()
        self._asked += 1
        asking = _Asking(customer=customer, request=request, here=here, otherwise=otherwise)
        self._start(self._told(asking, holder))
        return asking.later

    async def answers(self, holder: CustomersTaken) -> bool:
        """Whether it is there: it listens, and answers within ``GONE_S``."""
        if not holder.address:
            return True
        if not await _listens(holder, self._gone_s):
            return False
        call = self._channel(holder.address).unary_unary(_HEALTH, bytes, bytes)
        try:
            await call(b"", timeout=self._gone_s, wait_for_ready=True)
        except grpc.aio.AioRpcError as e:
            return e.code() not in _SILENT
        return True

    def counts_here(self, customer: str) -> bool:
        """Whether nobody else is to be asked, as far as is known here."""
        return self._owning.answering(customer) is None

    def missed(self, holder: CustomersTaken) -> None:
        """It has not answered something in time: find out whether it is there."""
        if holder.owner not in self._doubted:
            self._doubted.add(holder.owner)
            self._start(self._doubt(holder))

    def doubts(self) -> frozenset[str]:
        """Owners of whom is being found out whether they are there."""
        return frozenset(self._doubted)

    async def call(
        self, holder: CustomersTaken, method: str, request: bytes, *, within_s: float
    ) -> bytes | None:
        """What the owner answers to this method; None where it does not."""
        if not holder.address:
            return None
        try:
            call = self._channel(holder.address).unary_unary(method, bytes, bytes)
            answer = await call(request, timeout=within_s)
        except grpc.aio.AioRpcError as e:
            if e.code() in _SILENT:
                self.missed(holder)
            return None
        return bytes(answer)

    async def close(self) -> None:
        """Let go of all connections."""
        for channel in self._channels.values():
            await channel.close(None)
        self._channels.clear()

    async def _told(self, asking: _Asking, holder: CustomersTaken | None) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._within_s
        answer: bytes | Later[bytes] | None = None
        try:
            while holder is not None and answer is None:
                answer = await self._answer(asking, holder, until - loop.time())
                if answer is None:
                    await asyncio.sleep(_ASK_AGAIN_S)
                    holder = self._owning.answering(asking.customer)
        finally:
            self._asked -= 1
        answer = asking.here() if answer is None else answer
        if isinstance(answer, Later):
            answer.then(asking.later.told)
        else:
            asking.later.told(answer)

    async def _answer(self, asking: _Asking, holder: CustomersTaken, left_s: float) -> bytes | None:
        """Its own, else ``otherwise``; None where it is to be asked who counts by now."""
        if left_s <= 0 or not holder.address:
            return asking.otherwise()
        try:
            call = self._channel(holder.address).unary_unary(METHOD, bytes, bytes)
            return bytes(await call(asking.request, timeout=left_s))
        except grpc.aio.AioRpcError as e:
            if e.code() is grpc.StatusCode.FAILED_PRECONDITION:
                return None
            if e.code() in _SILENT:
                self.missed(holder)
            return asking.otherwise()

    async def _doubt(self, holder: CustomersTaken) -> None:
        try:
            is_there = await self.answers(holder)
        finally:
            self._doubted.discard(holder.owner)
        if not is_there:
            self._gone(holder)

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _channel(self, address: str) -> grpc.aio.Channel:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = grpc.aio.insecure_channel(
                address,
                options=[
                    ("grpc.initial_reconnect_backoff_ms", 100),
                    ("grpc.min_reconnect_backoff_ms", 100),
                    ("grpc.max_reconnect_backoff_ms", 500),
                ],
            )
        return channel


async def _listens(holder: CustomersTaken, within_s: float) -> bool:
    """False where its machine says, twice, that nobody does: then its process is no more."""
    host, _, port = holder.address.rpartition(":")
    for _ in range(2):
        try:
            async with asyncio.timeout(within_s):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except ConnectionRefusedError:
            await asyncio.sleep(_REFUSED_AGAIN_S)
        except TimeoutError:
            return False
        except (OSError, ValueError):
            return True  # it can't be told like that
        else:
            writer.close()
            return True
    return False
