"""The holder's side of limits over all customers: this process's parts of what others count.

Between the gate and the rooms: an account of an aggregate limit counts by a room where this process
counts for the limit, else by a part that its owner lends. A check that lacks only its part waits as
it does for room. Who counts is looked at again each ``FOLLOW_S``; what was lent to a process that
counts for the limit itself from now on is its own: the gate forgets then what it has counted.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from midstage.contracts.spends import CustomersTaken, Unanswered
from midstage.throttle.decide.kept import Lacking, Waited
from midstage.throttle.decide.lending import LentBucket
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.parts import Part
from midstage.throttle.decide.portions import window_of
from midstage.throttle.decide.spends import Stood
from midstage.throttle.model.account import Settlement
from midstage.throttle.model.limits import Key
from midstage.throttle.model.parts import PartAsked, PartLent
from midstage.throttle.stream.keeping import Keeping, Owning

FOLLOW_S: Final = 0.05
LEAVES_WITHIN_S: Final = 0.5
NEWEST: Final = 1 << 64
"""Of an answer that is still to come nobody takes notice."""


class Rooms(Keeping, Protocol):
    """What keeps all other counters, and who waits for it."""

    def go_on(self, waited: Waited) -> None:
        """Let go on who waited for it."""
        ...


class Asks(Protocol):
    """The way to other throttles."""

    async def __call__(self, holder: CustomersTaken, asked: PartAsked) -> PartLent:
        """What it lends; ``UNSAID`` where it does not answer."""
        ...


class Parts:
    """A chassis AsyncLoop, and the gate's Keeping; belongs to the loop of the checks."""

    name = "parts"

    def __init__(
        self, *, keeping: Rooms, owning: Owning, ask: Asks, now_ns: Callable[[], int]
    ) -> None:
        """Nothing is lent yet."""
        self._keeping = keeping
        self._owning = owning
        self._ask = ask
        self._now_ns = now_ns
        self._number = now_ns()
        self._parts: dict[str, Part] = {}
        self._accounts: dict[str, LimitAccount] = {}
        self._due: list[Part] = []
        self._woken = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()

    def open(self, account: LimitAccount, now_ns: int) -> None:
        """Count by a part what another process counts, and all else by room."""
        limit = account.limit
        if not limit.aggregate or account.whose != limit.limit:
            self._keeping.open(account, now_ns)
            return
        self._accounts[limit.limit] = account
        if self._owning.holder(limit.limit) is not None:
            account.meter = account.counted = self._part(account, now_ns)
            return
        self._keeping.open(account, now_ns)
        part = self._parts.pop(limit.limit, None)
        if part is not None:
            _regain(account, part, self._owning.owner, now_ns)

    def wait(
        self,
        lacking: Lacking,
        *,
        within_s: float,
        again: Callable[[], Lacking],
        over: Callable[[], None],
    ) -> bool:
        """As for room."""
        return self._keeping.wait(lacking, within_s=within_s, again=again, over=over)

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """What others lend is in no log."""
        self._keeping.clear(is_new)

    def unanswered(self, request: str) -> Sequence[tuple[Key, Unanswered]]:
        """Of strict limits, which have no parts."""
        return self._keeping.unanswered(request)

    def ended(self, request: str) -> None:
        """What was taken for it is settled."""
        self._keeping.ended(request)

    async def run(self, stop: asyncio.Event) -> None:
        """Ask for what is due until ``stop``."""
        stopped = asyncio.ensure_future(stop.wait())
        stopped.add_done_callback(lambda _: self._woken.set())
        try:
            while not stop.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), FOLLOW_S)
                self._woken.clear()
                self.turn()
        finally:
            stopped.cancel()
            await self._leave()

    def turn(self) -> None:
        """Follow who counts, and ask for the parts that are due."""
        now_ns = self._now_ns()
        for name, account in list(self._accounts.items()):
            is_lost = (
                not isinstance(account.counted, Part) and self._owning.holder(name) is not None
            )
            if is_lost:
                self.open(account, now_ns)
        for part in self._parts.values():
            part.tend(now_ns)
        due, self._due = self._due, []
        for part in due:
            self._start(part, now_ns)

    async def _leave(self) -> None:
        """Give back what is not used any more, as far as its owners answer soon."""
        now_ns = self._now_ns()
        for part in self._parts.values():
            if part.rest(now_ns):
                self._start(part, now_ns)
        if self._asking:
            await asyncio.wait(self._asking, timeout=LEAVES_WITHIN_S)
        for task in self._asking:
            task.cancel()

    def _start(self, part: Part, now_ns: int) -> None:
        holder = self._owning.holder(part.limit.limit)
        if holder is None:
            return
        self._number += 1
        number, ours = self._number, self._owning.owner
        asked = part.ask(number=number, holder=ours, owner=holder.owner, now_ns=now_ns)
        if asked is None:
            return
        task = asyncio.ensure_future(self._told(part, holder, asked))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _told(self, part: Part, holder: CustomersTaken, asked: PartAsked) -> None:
        lent = await self._ask(holder, asked)
        if part.answered(asked.number, lent, self._now_ns()):
            self._keeping.go_on(part)

    def _part(self, account: LimitAccount, now_ns: int) -> Part:
        limit = account.limit
        part = self._parts.get(limit.limit)
        if part is None or not part.follow(limit):
            part = self._parts[limit.limit] = Part(limit, now_ns=now_ns, asked=self._hear)
        return part

    def _hear(self, part: Part) -> None:
        self._due.append(part)
        self._woken.set()


def _regain(account: LimitAccount, part: Part, ours: str, now_ns: int) -> None:
    """What another owner has lent to this process, ``ours``, is used by it as an owner."""
    left, window = part.end(now_ns)
    if left < 0:
        owed = Settlement(
            reserved=0, actual=-left, taken_ns=now_ns, now_ns=now_ns, debt=account.debt
        )
        account.meter.settle(owed)
        left = 0
    if isinstance(account.counted, LentBucket):
        account.counted.give_back(ours, holding=NEWEST, left=left, now_ns=now_ns)
    elif window and left and window == window_of(account.counted, now_ns)[0]:
        back = Settlement(reserved=left, actual=0, taken_ns=now_ns, now_ns=now_ns)
        account.meter.settle(back)
