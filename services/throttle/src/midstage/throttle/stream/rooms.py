"""Rooms of the counters on one event loop: asked for, written, and accepted.

All claims that a turn of the loop asks for go out together, one for each counter. Whoever waits for
one that is accepted goes on in the same turn, and so does everybody when another process has
counted meanwhile.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

from midstage.contracts.spends import Unanswered
from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.kept import Kept
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.opening import Opening, opened
from midstage.throttle.decide.spends import Stood
from midstage.throttle.decide.strict import Strict
from midstage.throttle.decide.unanswered import Awaited
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.holding import NOTHING_IMPLIED, Holding
from midstage.throttle.model.limits import Key
from midstage.throttle.stream.implied import RENEWED_S
from midstage.throttle.stream.own_claims import Written
from midstage.throttle.stream.resting import Beside, Resting
from midstage.throttle.stream.wait_queue import WaitQueue

MOST_LEFT: Final = 20_000
"""Counters whose exact state a process writes when it stops; of more it loses the room."""


class Spends(Protocol):
    """The log of counters."""

    def stood(self, key: Key) -> Stood | None:
        """How a counter stands in it."""
        ...

    def unanswered(
        self, partitions: Collection[int]
    ) -> Sequence[tuple[Key, tuple[Unanswered, ...]]]:
        """The requests that may not have been answered, by counter."""
        ...

    def write(self, claims: Sequence[Written]) -> None:
        """Hand claims over."""
        ...

    def heard(self) -> tuple[Sequence[Written], frozenset[int]]:
        """What became of claims since, and the partitions that were taken."""
        ...

    def partition(self, customer: str) -> int:
        """Where a customer's counters stand."""
        ...

    def holding(self, customer: str) -> Holding:
        """How long what is implied of a customer's counters may be used."""
        ...

    def renew(self) -> None:
        """Have that go on."""
        ...

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """Let go of those that equal new ones."""
        ...

    def on_heard(self, call: Callable[[], None]) -> None:
        """Have ``call`` called, on another thread, when there is something to take."""
        ...


LookBack = Callable[[Collection[str], int], None]
"""With the requests, and since when they may have ended, in nanoseconds since the epoch."""


class Rooms:
    """A chassis AsyncLoop; belongs to one event loop."""

    name = "rooms"

    def __init__(
        self,
        *,
        spends: Spends,
        now_ns: Callable[[], int],
        metrics: Metrics,
        beside: Beside | None = None,
    ) -> None:
        """``now_ns`` is the time since the epoch, and never goes back.

        ``beside`` keeps counters at rest; None: none rests.
        """
        self._spends = spends
        self._now_ns = now_ns
        self._metrics = metrics
        self._asked: list[Kept] = []
        self._resting = Resting(beside, spends.partition)
        self._want = self._hear  # one object for all rooms
        self._under_way: dict[Key, Kept] = {}
        self._queue = WaitQueue(now_ns=now_ns, metrics=metrics)
        self.wait, self.go_on = self._queue.wait, self._queue.go_on
        self.is_waited_for = self._queue.is_waited_for
        self._awaited = Awaited()
        self._woken = asyncio.Event()
        self._is_due = False
        self._forget: Callable[[Callable[[str], bool]], None] = _forget_nothing
        self._look_back: LookBack | None = None
        self._taken_over: Callable[[frozenset[int]], None] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Write what is asked for, and take what is accepted, until ``stop``."""
        loop = asyncio.get_running_loop()

        def heard() -> None:
            loop.call_soon_threadsafe(self._woken.set)

        self._spends.on_heard(heard)
        self._woken.set()  # it may have heard something before
        self._renew_later(loop)
        stopped = asyncio.ensure_future(stop.wait())
        stopped.add_done_callback(lambda _: self._woken.set())
        try:
            while not stop.is_set():
                await self._woken.wait()
                self._woken.clear()
                self.turn()
        finally:
            self._spends.on_heard(_nobody)
            stopped.cancel()
            self._timer.cancel()

    def turn(self) -> None:
        """Take what the log has accepted, let go on who waited for it, and write what is asked.

        Of customers that another process has counted for, nothing that is known here holds.
        """
        claims, gained = self._spends.heard()
        if gained:
            self._resting.taken(gained)
            self._forget(lambda customer: self._spends.partition(customer) in gained)
            self._await(self._spends.unanswered(gained))
            if self._taken_over is not None:
                self._taken_over(gained)
        accepted = self._became(claims)
        for room in self._queue.all() if gained else accepted:
            self.go_on(room)
        self._write()
        if self._is_due:
            self._is_due = False
            self._spends.renew()

    def _became(self, claims: Iterable[Written]) -> Sequence[Kept]:
        """Those whose claim is accepted: when all are, as many a check waits for several."""
        accepted: list[Kept] = []
        for each in claims:
            room = self._under_way.get(each.key)
            if room is None:
                continue
            if not each.counts and room.refused(each.claim):
                del self._under_way[each.key]
            elif each.counts and room.accepted(each.claim):
                del self._under_way[each.key]
                accepted.append(room)
        return accepted

    def leave(self, rooms: Iterable[Kept]) -> bool:
        """Write how these counters stand, and use no more of them; False where they are too many.

        Then what the others have claimed is lost to their customers, as in a crash.
        """
        now_ns = self._now_ns()
        claims: list[Written] = []
        for room in rooms:
            if len(claims) >= MOST_LEFT:
                break
            last = room.last(now_ns)
            if last is not None:
                self._under_way[room.key] = room
                claims.append(_written(room, last))
        self._spends.write(claims)
        return len(claims) < MOST_LEFT

    def on_gained(
        self,
        forget: Callable[[Callable[[str], bool]], None],
        *,
        look_back: LookBack | None = None,
        taken_over: Callable[[frozenset[int]], None] | None = None,
    ) -> None:
        """Have these called, in this order, when customers are counted for here again.

        ``forget`` with whose they are; ``look_back`` with requests that a lost owner may not have
        answered, if there are any; ``taken_over`` with the partitions.
        """
        self._forget, self._look_back, self._taken_over = forget, look_back, taken_over

    def unanswered(self, request: str) -> Sequence[tuple[Key, Unanswered]]:
        """What was taken for a request that a lost owner may not have answered, by counter."""
        return self._awaited.of(request)

    def ended(self, request: str) -> None:
        """What was taken for it is settled."""
        self._awaited.ended(request)

    def open(self, account: LimitAccount, now_ns: int) -> None:
        """Have a new meter go on from where the log says that it stood, and count by room.

        A limit in shadow mode refuses nobody: what it counts is not kept.
        """
        if account.shadow:
            account.meter = account.counted
            return
        strict = account.limit.strict
        is_kept = account.meter is not account.counted
        if is_kept and isinstance(account.meter, Strict) == strict:
            return
        key = account.key
        stood = None if is_kept else self._spends.stood(key)  # what lives goes on as it is
        stood, has_room = self._resting.still(stood, account.limit, key)
        opening = Opening(
            key=key,
            unit=account.limit.unit,
            stood=stood,
            now_ns=now_ns,
            asked=self._want,
            holding=NOTHING_IMPLIED if strict else self._spends.holding(key[1]),
            strict=strict,
            unanswered=self._awaited.among(key, stood.unanswered) if stood else (),
            has_room=has_room,
        )
        room = opened(account.counted, opening)
        if room is not None:
            account.counted = room.meter
        account.meter = room or account.counted

    def rest(self, accounts: Sequence[LimitAccount], now_ns: int) -> Sequence[bool]:
        """Which of them may be forgotten: the log keeps them as they are."""
        return self._resting.rest(accounts, now_ns)

    def resting(self) -> Sequence[Key]:
        """Those that were, and were not asked for since."""
        return self._resting.keys()

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """Have some counters in the log looked at, so that those that equal new ones are gone."""
        self._spends.clear(is_new)

    def _await(self, named: Sequence[tuple[Key, Sequence[Unanswered]]]) -> None:
        now_ns = self._now_ns()
        self._awaited.expire(now_ns)
        added = self._awaited.add(named, now_ns)
        if added and self._look_back is not None:
            since_ns = min(each.taken_ns for each in added)
            self._look_back({each.request for each in added}, since_ns)

    def _renew_later(self, loop: asyncio.AbstractEventLoop) -> None:
        def due() -> None:
            self._is_due = True
            self._woken.set()
            self._renew_later(loop)

        self._timer = loop.call_later(RENEWED_S, due)

    def _hear(self, room: Kept) -> None:
        self._asked.append(room)
        self._woken.set()

    def _write(self) -> None:
        asked, self._asked = self._asked, []
        now_ns = self._now_ns()
        claims: list[Written] = []
        for room in asked:
            claimed = room.claim(now_ns)
            if claimed is not None:
                self._under_way[room.key] = room
                units, claim = claimed
                claims.append(_written(room, claim, units))
        if claims:
            self._metrics.claims.inc(len(claims))
            self._spends.write(claims)


def _written(room: Kept, claim: Standing, units: int = 0) -> Written:
    return Written(
        key=room.key,
        algorithm=room.algorithm,
        units=units,
        claim=claim,
        unanswered=room.unanswered if isinstance(room, Strict) else (),
    )


def _nobody() -> None:
    """Hears what the log says while no loop runs."""


def _forget_nothing(_: Callable[[str], bool]) -> None:
    """Nothing is counted yet."""
