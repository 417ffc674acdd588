"""Pods as processes: each pod on a living node has one life here, and no other has any.

Woken by every change of the state, it asks no one in between. On SIGTERM of the daemon its pods end
in order; when the daemon is killed the kernel ends them.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from midstage.cluster.objects import Pod
from midstage.contracts.cluster import Phase
from midstage.contracts.errors import RefusedError
from midstage.local.cluster.hub import Hub
from midstage.local.cluster.pod import PodLife
from midstage.local.pods.podlogs import PodLogs

_LONGEST_S = 5.0
_STOP_WITHIN_S = 4.0


class Kubelet:
    """An async loop that makes the processes what the pods say; ``live`` makes a pod's life."""

    name = "kubelet"

    def __init__(self, *, hub: Hub, logs: PodLogs, live: Callable[[Pod], PodLife]) -> None:
        """No pod lives yet."""
        self._logs = logs
        self._hub = hub
        self._live = live
        self._lives: dict[str, PodLife] = {}
        self._running = False

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the pods running until ``stop``, then end them all."""
        async with asyncio.TaskGroup() as tasks:
            waking = tasks.create_task(self._wake_at(stop))
            self._running = True
            while not stop.is_set():
                self._match(tasks)
                await self._hub.heard(within_s=self._next_s())
                self._settle()
            waking.cancel()
            await self._end_all()

    def pids(self) -> Mapping[str, int]:
        """The process of each pod that has one now."""
        return dict(self._pids())

    def signal(self, pod: str, name: str) -> int:
        """Send the pod's process a signal by name; its pid. RefusedError where that can't be."""
        life = self._lives.get(pod)
        if life is None or life.process is None:
            raise RefusedError(f"pod {pod} has no process now", status=404)
        if name not in signal.Signals.__members__:
            raise RefusedError(f"there is no signal {name}")
        life.process.signal(signal.Signals[name])
        return life.process.pid

    def unready(self) -> str | None:
        """Why no pods are started; None when they are."""
        return None if self._running else "it has not begun"

    def _match(self, tasks: asyncio.TaskGroup) -> None:
        for pod in self._hub.state.pods():
            if pod.phase is Phase.STARTING and pod.name not in self._lives:
                self._begin(pod, tasks)
        for name, life in self._lives.items():
            now = self._hub.state.pod(name)
            if now is None or now.phase is Phase.LOST:
                life.kill()
            elif now.phase is Phase.STOPPING:
                life.end()

    def _begin(self, pod: Pod, tasks: asyncio.TaskGroup) -> None:
        life = self._lives[pod.name] = self._live(pod)

        async def lived() -> None:
            try:
                await life.run()
            finally:
                del self._lives[pod.name]

        tasks.create_task(lived(), name=f"pod {pod.name}")

    def _pids(self) -> Iterator[tuple[str, int]]:
        for name, life in self._lives.items():
            if life.process is not None:
                yield name, life.process.pid

    def _next_s(self) -> float:
        due = self._hub.state.due()
        if due is None:
            return _LONGEST_S
        return min(_LONGEST_S, max(0.0, (due - self._hub.now()).total_seconds()))

    def _settle(self) -> None:
        self._hub.try_again()
        for name in self._lives:
            self._logs.trim(name)
        due = self._hub.state.due()
        if due is not None and due <= self._hub.now():
            with self._hub.changing() as state:
                state.settle(self._hub.now())

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._hub.ring()

    async def _end_all(self) -> None:
        for life in self._lives.values():
            life.end()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_WITHIN_S):
                while self._lives:
                    await self._hub.heard(within_s=0.1)
        for life in self._lives.values():
            life.kill()
