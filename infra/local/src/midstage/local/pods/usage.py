"""What each pod really uses: CPU time over the last seconds and memory, as the kernel counts them.

The pod's own process is measured, not what it may have started.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

import psutil

from midstage.cluster.objects import Pod, PodUse

_EVERY_S = 1.0
_SAMPLES = 3
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at a process: seconds of CPU so far, MiB now."""

    at: float
    cpu_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Cores over the last ``over_s`` seconds, MiB now."""

    cpu: float
    memory_mb: float
    over_s: float


class Meter:
    """An async loop that looks at each pod's process once a second."""

    name = "meter"

    def __init__(self, *, pids: Callable[[], Mapping[str, int]]) -> None:
        """Nothing has been looked at."""
        self._pids = pids
        self._processes: dict[str, psutil.Process] = {}
        self._samples: dict[str, deque[Sample]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Look until ``stop``."""
        while not stop.is_set():
            self.look(monotonic())
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=_EVERY_S)

    def look(self, now: float) -> None:
        """One sample of each process; a new process of a pod begins anew."""
        pids = self._pids()
        for pod in [known for known in self._samples if known not in pids]:
            self._forget(pod)
        for pod, pid in pids.items():
            try:
                self._look_at(pod, pid, now)
            except psutil.Error:
                self._forget(pod)

    def used(self, key: str) -> Used | None:
        """What the pod that ``pids`` calls ``key`` used over about the last 2 s; None: unknown."""
        samples = self._samples.get(key, deque())
        if len(samples) < 2:
            return None
        first, last = samples[0], samples[-1]
        return Used(
            cpu=_cores(first, last), memory_mb=last.memory_mb, over_s=round(last.at - first.at, 3)
        )

    def usage(self, pods: Sequence[Pod]) -> Sequence[PodUse]:
        """What each of ``pods`` used over about the last 2 s; none of whom nothing is known yet."""
        return [
            PodUse(
                name=pod.name,
                namespace=pod.namespace,
                node=pod.node,
                cpu=used.cpu,
                memory_mb=used.memory_mb,
            )
            for pod in pods
            if (used := self.used(pod.name)) is not None
        ]

    def _look_at(self, pod: str, pid: int, now: float) -> None:
        process = self._processes.get(pod)
        if process is None or process.pid != pid:
            process = self._processes[pod] = psutil.Process(pid)
            self._samples[pod] = deque(maxlen=_SAMPLES)
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info()
        self._samples[pod].append(
            Sample(at=now, cpu_s=times.user + times.system, memory_mb=round(memory.rss / _MIB, 1))
        )

    def _forget(self, pod: str) -> None:
        self._processes.pop(pod, None)
        self._samples.pop(pod, None)


def _cores(first: Sample, last: Sample) -> float:
    return round(max(0.0, last.cpu_s - first.cpu_s) / max(1e-6, last.at - first.at), 3)
