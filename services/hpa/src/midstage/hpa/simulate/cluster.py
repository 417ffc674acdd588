"""The cluster of a simulation: replicas start for a while, then serve.

By itself it is that of the comparison's settings: room for any number, each serves after the cold
start. ``Limits`` is the richer model. It assumes that load that finds no capacity waits in one
queue, in order and without giving up, and that new replicas begin one after another at a rate (as
nodes come), while ``room`` of them at most find a place.
"""

from collections import deque
from dataclasses import dataclass
from math import inf
from typing import Final

from midstage.hpa.simulate.series import STEP_S

COLD_START_S: Final = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``room``: so many find a place. ``starts_per_minute`` begin. ``queue``: what comes waits."""

    room: int | None = None
    starts_per_minute: float = inf
    queue: bool = False


class Cluster:
    """Replicas that are ready, start, or wait for a place; steps are counted by the caller."""

    def __init__(self, *, ready: int, cold_start_s: float, limits: Limits | None = None) -> None:
        """Begin with ``ready`` replicas that serve."""
        self.ready = ready
        self.coming = 0
        self.waits_s: list[float] = []
        self._limits = limits or Limits()
        self._cold = round(cold_start_s / STEP_S)
        self._coming: deque[list[int]] = deque()  # [ready at step, how many, ordered at step]
        self._next_start = 0.0

    def at(self, step: int) -> None:
        """Those whose time has come serve from now on."""
        while self._coming and self._coming[0][0] <= step:
            _, count, ordered = self._coming.popleft()
            self.ready += count
            self.coming -= count
            self.waits_s.append(float((step - ordered) * STEP_S))

    def scale(self, count: int, step: int) -> None:
        """Order more, or take away: those that start first, the newest of them before others."""
        there = self.ready + self.coming
        if count > there:
            self._order(count - there, step)
        elif count < there:
            self._take(there - count)

    def _order(self, more: int, step: int) -> None:
        room = self._limits.room
        if room is not None:
            more = min(more, max(0, room - self.ready - self.coming))
        if more <= 0:
            return
        self.coming += more
        if self._limits.starts_per_minute == inf:
            self._coming.append([step + self._cold, more, step])
            return
        each = 60.0 / STEP_S / self._limits.starts_per_minute
        for _ in range(more):
            self._next_start = max(self._next_start + each, float(step))
            self._coming.append([int(self._next_start) + self._cold, 1, step])

    def _take(self, fewer: int) -> None:
        while fewer and self._coming:
            newest = self._coming[-1]
            taken = min(fewer, newest[1])
            newest[1] -= taken
            self.coming -= taken
            fewer -= taken
            if not newest[1]:
                self._coming.pop()
        self.ready -= fewer
