"""Rooms of the counters on one event loop: asked for, written, accepted, and waited for.

All claims that a turn of the loop asks for go out together, one for each counter. A check that
lacks nothing but room waits for the claim under way, until its own time is up; but not for a log
that has not answered for ``PATIENCE_NS``.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.opening import Opening, opened
from midstage.throttle.decide.room import Lacking, Room
from midstage.throttle.decide.spends import Stood
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.limits import Key
from midstage.throttle.stream.spending import Written

PATIENCE_NS: Final = 1_000_000_000
"""A log that is silent for so long is away: no check waits for it."""


class Spends(Protocol):
    """The log of counters."""

    def stood(self, key: Key) -> Stood | None:
        """How a counter stands in it."""
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

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """Let go of those that equal new ones."""
        ...

    def on_heard(self, call: Callable[[], None]) -> None:
        """Have ``call`` called, on another thread, when there is something to take."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiting:
    """A check that lacks room; ``is_over`` when it has its answer."""

    again: Callable[[], Lacking]
    over: Callable[[], None]
    timer: asyncio.TimerHandle | None = None
    is_over: bool = False


class Rooms:
    """A chassis AsyncLoop; belongs to one event loop."""

    name = "rooms"

    def __init__(self, *, spends: Spends, now_ns: Callable[[], int], metrics: Metrics) -> None:
        """``now_ns`` is the time since the epoch, and never goes back."""
        self._spends = spends
        self._now_ns = now_ns
        self._metrics = metrics
        self._asked: list[Room[Meter]] = []
        self._want = self._hear  # one object for all rooms
        self._under_way: dict[Key, Room[Meter]] = {}
        self._waiting: dict[Room[Meter], list[_Waiting]] = {}
        self._woken = asyncio.Event()
        self._forget: Callable[[Callable[[str], bool]], None] = _forget_nothing

    async def run(self, stop: asyncio.Event) -> None:
        """Write what is asked for, and take what is accepted, until ``stop``."""
        loop = asyncio.get_running_loop()

        def heard() -> None:
            loop.call_soon_threadsafe(self._woken.set)

        self._spends.on_heard(heard)
        self._woken.set()  # it may have heard something before
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

    def turn(self) -> None:
        """Take what the log has accepted, let go on who waited for it, and write what is asked.

        Of customers that another process has counted for, nothing that is known here holds.
        """
        claims, gained = self._spends.heard()
        if gained:
            self._forget(lambda customer: self._spends.partition(customer) in gained)
        for each in claims:
            room = self._under_way.get(each.key)
            if room is None:
                continue
            if not each.counts and room.refused(each.claim):
                del self._under_way[each.key]
            elif each.counts and room.accepted(each.claim):
                del self._under_way[each.key]
                self._go_on(room)
        self._write()

    def on_gained(self, forget: Callable[[Callable[[str], bool]], None]) -> None:
        """Have ``forget`` called when customers are counted for here again, with whose they are."""
        self._forget = forget

    def open(self, account: LimitAccount, now_ns: int) -> None:
        """Have a new meter go on from where the log says that it stood, and count by room.

        A limit in shadow mode refuses nobody, and slots are held by requests under way: what they
        count is not kept.
        """
        if account.shadow:
            account.meter = account.counted
            return
        if account.meter is not account.counted:
            return
        key = account.key
        opening = Opening(
            key=key,
            unit=account.limit.unit,
            stood=self._spends.stood(key),
            now_ns=now_ns,
            asked=self._want,
        )
        room = opened(account.counted, opening)
        if room is not None:
            account.counted = room.meter
        account.meter = room or account.counted

    def wait(
        self,
        lacking: Lacking,
        *,
        within_s: float,
        again: Callable[[], Lacking],
        over: Callable[[], None],
    ) -> bool:
        """Have ``again`` called when there is room, until it lacks none; or ``over``, once.

        False where waiting is in vain: then nothing is called.
        """
        now_ns = self._now_ns()
        silent_ns = max(room.asking_for_ns(now_ns) for room, _ in lacking)
        if within_s <= 0 or silent_ns > PATIENCE_NS:
            return False
        waiting = _Waiting(again=again, over=over)
        loop = asyncio.get_running_loop()
        waiting.timer = loop.call_later(within_s, self._over, waiting)
        self._metrics.waited.inc()
        self._attach(waiting, lacking)
        return True

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """Have some counters in the log looked at, so that those that equal new ones are gone."""
        self._spends.clear(is_new)

    def _attach(self, waiting: _Waiting, lacking: Lacking) -> None:
        """All that it lacks is asked for now, and the first is waited for."""
        for room, units in lacking:
            room.wait_for(units)
        self._waiting.setdefault(lacking[0][0], []).append(waiting)

    def _go_on(self, room: Room[Meter]) -> None:
        for waiting in self._waiting.pop(room, ()):
            if waiting.is_over:
                continue
            still = waiting.again()
            if still:
                self._attach(waiting, still)
                continue
            waiting.is_over = True
            if waiting.timer is not None:
                waiting.timer.cancel()

    def _over(self, waiting: _Waiting) -> None:
        waiting.is_over = True
        waiting.over()

    def _hear(self, room: Room[Meter]) -> None:
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
                claims.append(
                    Written(key=room.key, algorithm=room.algorithm, units=units, claim=claim)
                )
        if claims:
            self._metrics.claims.inc(len(claims))
            self._spends.write(claims)


class Unkept:
    """Counters that are lost with the process: nothing is written, no room is needed."""

    def open(self, account: LimitAccount, now_ns: int) -> None:
        """Nothing was used before."""

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """There are none in the log."""

    def wait(self, lacking: Lacking, **_: object) -> bool:
        """In vain."""
        del lacking
        return False


def _nobody() -> None:
    """Hears what the log says while no loop runs."""


def _forget_nothing(_: Callable[[str], bool]) -> None:
    """Nothing is counted yet."""
