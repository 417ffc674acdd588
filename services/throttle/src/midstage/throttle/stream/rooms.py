"""Rooms of the counters on one event loop: asked for, written, accepted, and waited for.

All claims that a turn of the loop asks for go out together, one for each counter. A check that
lacks nothing but room waits for the claim under way, until its own time is up; but not for a log
that has not answered for ``PATIENCE_NS``.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from midstage.throttle.decide.claims import BUCKET_CLAIMS
from midstage.throttle.decide.limits import Bucket
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.spends import Key, Stood
from midstage.throttle.metrics import Metrics
from midstage.throttle.stream.spending import Written

PATIENCE_NS: Final = 1_000_000_000
"""A log that is silent for so long is away: no check waits for it."""
Waiting = tuple[Callable[[], bool], asyncio.TimerHandle]


class Spends(Protocol):
    """The log of counters."""

    def stood(self, key: Key) -> Stood | None:
        """How a counter stands in it."""
        ...

    def write(self, claims: Sequence[Written]) -> None:
        """Hand claims over."""
        ...

    def accepted(self) -> Sequence[Written]:
        """Those that it has accepted since."""
        ...

    def on_heard(self, call: Callable[[], None]) -> None:
        """Have ``call`` called, on another thread, when there is something to take."""
        ...


class Rooms:
    """A chassis AsyncLoop; belongs to one event loop."""

    name = "rooms"

    def __init__(self, *, spends: Spends, now_ns: Callable[[], int], metrics: Metrics) -> None:
        """``now_ns`` is the time since the epoch, and never goes back."""
        self._spends = spends
        self._now_ns = now_ns
        self._metrics = metrics
        self._asked: list[tuple[Key, Room[TokenBucket]]] = []
        self._under_way: dict[Key, Room[TokenBucket]] = {}
        self._waiting: dict[Room[TokenBucket], list[Waiting]] = {}
        self._woken = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Write what is asked for, and take what is accepted, until ``stop``."""
        loop = asyncio.get_running_loop()

        def heard() -> None:
            loop.call_soon_threadsafe(self._woken.set)

        self._spends.on_heard(heard)
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
        """Take what the log has accepted, let go on who waited for it, and write what is asked."""
        for each in self._spends.accepted():
            room = self._under_way.get(each.key)
            if room is not None and room.accepted(each.claim):
                del self._under_way[each.key]
                self._go_on(room)
        self._write()

    def open(self, bucket: Bucket, key: Key, now_ns: int) -> None:
        """Have a new bucket go on from where the log says that it stood, and count by room."""
        stood = self._spends.stood(key)
        if stood is not None and stood.algorithm == BUCKET_CLAIMS.algorithm:
            BUCKET_CLAIMS.restore(bucket.tokens, stood.claim, now_ns)
        bucket.meter = Room(
            bucket.tokens,
            BUCKET_CLAIMS,
            now_ns=now_ns,
            asked=lambda room: self._want(key, room),
        )

    def lacks(self, bucket: Bucket, units: int, now_ns: int) -> bool:
        """Whether a check that was refused may pass when there is room."""
        meter = bucket.meter
        return isinstance(meter, Room) and meter.lacks(units, now_ns)

    def wait(
        self,
        bucket: Bucket,
        units: int,
        *,
        within_s: float,
        again: Callable[[], bool],
        over: Callable[[], None],
    ) -> bool:
        """Have ``again`` called when there is room, until it says True; or ``over``, once.

        False where waiting is in vain: then nothing is called.
        """
        room = bucket.meter
        assert isinstance(room, Room)
        if within_s <= 0 or room.asking_for_ns(self._now_ns()) > PATIENCE_NS:
            return False
        loop = asyncio.get_running_loop()
        timer = loop.call_later(within_s, self._over, room, again, over)
        self._waiting.setdefault(room, []).append((again, timer))
        self._metrics.waited.inc()
        room.wait_for(units)
        return True

    def _go_on(self, room: Room[TokenBucket]) -> None:
        waiting = self._waiting.pop(room, [])
        still = [each for each in waiting if not each[0]()]
        for each in waiting:
            if each not in still:
                each[1].cancel()
        if still:
            self._waiting[room] = still + self._waiting.get(room, [])

    def _over(
        self, room: Room[TokenBucket], again: Callable[[], bool], over: Callable[[], None]
    ) -> None:
        waiting = [each for each in self._waiting.pop(room, []) if each[0] is not again]
        if waiting:
            self._waiting[room] = waiting
        over()

    def _want(self, key: Key, room: Room[TokenBucket]) -> None:
        self._asked.append((key, room))
        self._woken.set()

    def _write(self) -> None:
        asked, self._asked = self._asked, []
        now_ns = self._now_ns()
        claims: list[Written] = []
        for key, room in asked:
            claim = room.claim(now_ns)
            if claim is None:
                continue
            self._under_way[key] = room
            claims.append(
                Written(key=key, algorithm=room.algorithm, units=claim[0], claim=claim[1])
            )
        if claims:
            self._metrics.claims.inc(len(claims))
            self._spends.write(claims)


class Unkept:
    """Counters that are lost with the process: nothing is written, no room is needed."""

    def open(self, bucket: Bucket, key: Key, now_ns: int) -> None:
        """It begins full."""

    def lacks(self, bucket: Bucket, units: int, now_ns: int) -> bool:
        """Never."""
        del bucket, units, now_ns
        return False

    def wait(self, bucket: Bucket, units: int, **_: object) -> bool:
        """In vain."""
        del bucket, units
        return False


def _nobody() -> None:
    """Hears what the log says while no loop runs."""
