"""Other throttles' side: a check of a customer for whom another process counts is asked there.

It is asked as it came, on the owner's port, by a method that forwards nothing. What it says of time
is how long the owner has: a quarter of the time that is left is for the way. Who does not count for
the customer, no more or not yet, says so: then whoever is known a moment later is asked, while
there is time. An owner that can't be reached, or is late, is asked whether it is there at all; one
that has not answered that for ``GONE_S``, or where nobody listens, is gone. So a slow one is not
taken for a dead one.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from midstage.contracts.spends import CustomersTaken
from midstage.throttle.adapters.http2.calls import Status
from midstage.throttle.adapters.http2.client import Client
from midstage.throttle.adapters.http2.replies import Failed, Reply
from midstage.throttle.model.later import Later

METHOD: Final = "/midstage.throttle.v1.Owner/ShouldRateLimit"
GONE_S: Final = 1.0
MOST_ASKED: Final = 4096
"""Checks under way to other processes; what is more is answered here, by the failure rules."""
_METHOD: Final = METHOD.encode()
_HEALTH: Final = b"/grpc.health.v1.Health/Check"
_STEPS: Final = 32
"""Times that are left are told in so many steps: each has headers that are written once."""
_FOR_OWNER: Final = 0.75
_ASK_AGAIN_S: Final = 0.002
_REFUSED_AGAIN_S: Final = 0.1


class Owning(Protocol):
    """Who counts for whom."""

    def answering(self, customer: str) -> CustomersTaken | None:
        """Who else is to be asked, as it counts or comes next; None: this process."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asking:
    """A check that other processes are asked until a time of the loop."""

    customer: str
    request: bytes
    until: float
    here: Callable[[], bytes | Later[bytes]]
    otherwise: Callable[[], bytes]
    later: Later[bytes] = field(default_factory=Later)


class Owners:
    """Belongs to one event loop; ``within_s`` is the time that a check has, forwarded or not."""

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
        self._clients: dict[str, Client] = {}
        self._doubted: set[str] = set()
        self._asked = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def ask(
        self,
        customer: str,
        request: bytes,
        left_s: float,
        *,
        here: Callable[[], bytes | Later[bytes]],
        otherwise: Callable[[], bytes],
    ) -> Later[bytes] | bytes | None:
        """The owner's answer, else ``otherwise``; None where it is for us to answer.

        ``left_s``: how long the answer may take; more than ``within_s`` is as much. ``here``
        answers where it has become for us to answer meanwhile.
        """
        holder = self._owning.answering(customer)
        if holder is None or not holder.address:
            return None
        steps = self._steps(left_s)
        if steps < 1 or self._asked >= MOST_ASKED or self._is_closed:
            return otherwise()
        self._forwarded()
        self._asked += 1
        asking = _Asking(
            customer=customer,
            request=request,
            until=asyncio.get_running_loop().time() + min(left_s, self._within_s),
            here=here,
            otherwise=otherwise,
        )
        self._ask(asking, holder, steps)
        return asking.later

    def counts_here(self, customer: str) -> bool:
        """Whether nobody else is to be asked, as far as is known here."""
        return self._owning.answering(customer) is None

    async def answers(self, holder: CustomersTaken) -> bool:
        """Whether it is there: it listens, and answers within ``GONE_S``."""
        if not holder.address or self._is_closed:
            return True
        if not await _listens(holder, self._gone_s):
            return False
        reply = await self._reply(
            holder.address, _HEALTH, b"", within_s=self._gone_s, patiently=True
        )
        return not isinstance(reply, Failed) or not reply.is_silent

    def missed(self, holder: CustomersTaken) -> None:
        """It has not answered something in time: find out whether it is there."""
        if holder.owner in self._doubted or self._is_closed:
            return
        self._doubted.add(holder.owner)
        task = asyncio.ensure_future(self._doubt(holder))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def doubts(self) -> frozenset[str]:
        """Owners of whom is being found out whether they are there."""
        return frozenset(self._doubted)

    async def call(
        self, holder: CustomersTaken, method: str, request: bytes, *, within_s: float
    ) -> bytes | None:
        """What the owner answers to this method; None where it does not."""
        if not holder.address or self._is_closed:
            return None
        reply = await self._reply(holder.address, method.encode(), request, within_s=within_s)
        if isinstance(reply, Failed):
            if reply.is_silent:
                self.missed(holder)
            return None
        return reply

    def close(self) -> None:
        """Let go of all connections; nobody is asked any more."""
        self._is_closed = True
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _steps(self, left_s: float) -> int:
        return int(min(left_s / self._within_s, 1.0) * _STEPS)

    def _ask(self, asking: _Asking, holder: CustomersTaken, steps: int) -> None:
        within_s = self._within_s * steps / _STEPS

        def told(reply: Reply) -> None:
            if isinstance(reply, Failed):
                if reply.status == Status.FAILED_PRECONDITION:
                    asyncio.get_running_loop().call_later(_ASK_AGAIN_S, self._ask_again, asking)
                    return
                if reply.is_silent:
                    self.missed(holder)
                reply = asking.otherwise()
            self._over(asking, reply)

        self._client(holder.address).ask(
            _METHOD, asking.request, told, within_s=within_s, answer_within_s=within_s * _FOR_OWNER
        )

    def _ask_again(self, asking: _Asking) -> None:
        """Whoever counts by now; who comes next has read that it does a moment after us."""
        holder = self._owning.answering(asking.customer)
        steps = self._steps(asking.until - asyncio.get_running_loop().time())
        if holder is None:
            self._over(asking, asking.here())
        elif steps < 1 or self._is_closed or not holder.address:
            self._over(asking, asking.otherwise())
        else:
            self._ask(asking, holder, steps)

    def _over(self, asking: _Asking, answer: bytes | Later[bytes]) -> None:
        self._asked -= 1
        if isinstance(answer, Later):
            answer.then(asking.later.told)
        else:
            asking.later.told(answer)

    async def _reply(
        self,
        address: str,
        path: bytes,
        message: bytes,
        *,
        within_s: float,
        patiently: bool = False,
    ) -> Reply:
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def tell(reply: Reply) -> None:
            if not told.done():
                told.set_result(reply)

        self._client(address).ask(path, message, tell, within_s=within_s, patiently=patiently)
        return await told

    async def _doubt(self, holder: CustomersTaken) -> None:
        try:
            is_there = await self.answers(holder)
        finally:
            self._doubted.discard(holder.owner)
        if not is_there and not self._is_closed:
            self._gone(holder)

    def _client(self, address: str) -> Client:
        client = self._clients.get(address)
        if client is None:
            idle = [each for each, known in self._clients.items() if known.is_idle]
            for each in idle:  # those that are gone for good, among others
                del self._clients[each]
            client = self._clients[address] = Client(address)
        return client


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
        except (OSError, ValueError, OverflowError):
            return True  # it can't be told like that
        else:
            writer.close()
            return True
    return False
