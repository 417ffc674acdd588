"""Checks that wait: for room, for a part that is lent, or until the log has what they took.

A check that lacks nothing else waits for the claim under way, until its own time is up; but not for
a log that has not answered for ``PATIENCE_NS``. Each has its answer once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from midstage.throttle.decide.kept import Lacking, Waited
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.strict import Strict
from midstage.throttle.metrics import Metrics

PATIENCE_NS: Final = 1_000_000_000
"""A log that is silent for so long is away: no check waits for it."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiting:
    """A check that lacks something; ``is_over`` when it has its answer."""

    again: Callable[[], Lacking]
    over: Callable[[], None]
    timer: asyncio.TimerHandle | None = None
    is_over: bool = False


class WaitQueue:
    """By what each waits for first; belongs to one event loop."""

    def __init__(self, *, now_ns: Callable[[], int], metrics: Metrics) -> None:
        """Nobody waits yet."""
        self._now_ns = now_ns
        self._metrics = metrics
        self._waiting: dict[Waited, list[_Waiting]] = {}

    def wait(
        self,
        lacking: Lacking,
        *,
        within_s: float,
        again: Callable[[], Lacking],
        over: Callable[[], None],
    ) -> bool:
        """Have ``again`` called when there is more, until it lacks none; or ``over``, once.

        False where waiting is in vain: then nothing is called.
        """
        now_ns = self._now_ns()
        silent_ns = max(waited.asking_for_ns(now_ns) for waited, _ in lacking)
        if within_s <= 0 or silent_ns > PATIENCE_NS:
            return False
        waiting = _Waiting(again=again, over=over)
        loop = asyncio.get_running_loop()
        waiting.timer = loop.call_later(within_s, self._over, waiting)
        self._metrics.waited.inc()
        self._attach(waiting, lacking)
        return True

    def all(self) -> Sequence[Waited]:
        """What is waited for."""
        return list(self._waiting)

    def is_waited_for(self, concerned: Callable[[str], bool]) -> bool:
        """Whether a check waits for a counter of these customers."""
        return any(
            isinstance(waited, Room | Strict) and concerned(waited.key[1])
            for waited, waiting in self._waiting.items()
            if not all(each.is_over for each in waiting)
        )

    def go_on(self, waited: Waited) -> None:
        """Let go on who waited for it, as far as there is enough now."""
        for waiting in self._waiting.pop(waited, ()):
            if waiting.is_over:
                continue
            still = waiting.again()
            if still:
                self._attach(waiting, still)
                continue
            waiting.is_over = True
            if waiting.timer is not None:
                waiting.timer.cancel()

    def _attach(self, waiting: _Waiting, lacking: Lacking) -> None:
        """All that it lacks is asked for now, and the first is waited for."""
        for waited, lacks in lacking:
            waited.wait_for(lacks)
        self._waiting.setdefault(lacking[0][0], []).append(waiting)

    def _over(self, waiting: _Waiting) -> None:
        waiting.is_over = True
        waiting.over()
