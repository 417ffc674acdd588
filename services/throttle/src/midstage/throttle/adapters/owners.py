"""Other throttles' side: a check of a customer for whom another process counts is asked there.

It is asked as it came, once, on the owner's port, by a method that forwards nothing. An owner that
can't be reached for ``GONE_S`` is gone: whoever finds out takes over from it.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import grpc

from midstage.contracts.spends import CustomersTaken
from midstage.throttle.model.later import Later

METHOD: Final = "/midstage.throttle.v1.Owner/ShouldRateLimit"
GONE_S: Final = 1.0
MOST_ASKED: Final = 4096
"""Checks under way to other processes; what is more is answered here, by the failure rules."""


class Owning(Protocol):
    """Who counts for whom."""

    def holder(self, customer: str) -> CustomersTaken | None:
        """Who else counts for the customer; None where this process does."""
        ...

    def take_from(self, holder: CustomersTaken) -> None:
        """Count for the customers of its partition from now on."""
        ...


class Owners:
    """Belongs to one event loop; ``within_s`` is the time that an owner has to answer."""

    def __init__(self, *, owning: Owning, within_s: float, monotonic: Callable[[], float]) -> None:
        """Connects to nobody yet."""
        self._owning = owning
        self._within_s = within_s
        self._monotonic = monotonic
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._silent_since: dict[str, float] = {}
        self._asked: set[asyncio.Task[None]] = set()

    def ask(
        self, customer: str, request: bytes, otherwise: Callable[[], bytes]
    ) -> Later[bytes] | None:
        """The owner's answer, else ``otherwise``; None where it is for us to answer."""
        holder = self._owning.holder(customer)
        if holder is None or not holder.address or len(self._asked) >= MOST_ASKED:
            return None
        later: Later[bytes] = Later()
        task = asyncio.ensure_future(self._told(holder, request, otherwise, later))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        return later

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
            self._missed(holder, e.code())
            return None
        self._silent_since.pop(holder.owner, None)
        return bytes(answer)

    async def close(self) -> None:
        """Let go of all connections."""
        for channel in self._channels.values():
            await channel.close(None)
        self._channels.clear()

    async def _told(
        self,
        holder: CustomersTaken,
        request: bytes,
        otherwise: Callable[[], bytes],
        later: Later[bytes],
    ) -> None:
        try:
            call = self._channel(holder.address).unary_unary(METHOD, bytes, bytes)
            answer = await call(request, timeout=self._within_s)
        except grpc.aio.AioRpcError as e:
            self._missed(holder, e.code())
            answer = otherwise()
        else:
            self._silent_since.pop(holder.owner, None)
        later.told(answer)

    def _missed(self, holder: CustomersTaken, code: grpc.StatusCode) -> None:
        if code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return
        now = self._monotonic()
        if now - self._silent_since.setdefault(holder.owner, now) >= GONE_S:
            self._owning.take_from(holder)

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
