"""Whether a running container is well: startup first, then readiness and liveness side by side.

Until a pod is ready for the first time it is asked more often than its spec says, as a kubelet may.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from midstage.local.kubelet.checks import Beside, timing
from midstage.local.kubelet.shapes import Container, Probe
from midstage.local.pods.probes import Says, Verdict, probing

_EAGER_S = 0.2


class Started(Protocol):
    """Hears that a container has started."""

    def __call__(self, *, ready: bool) -> None:
        """``ready`` where nothing else has to be asked."""
        ...


class Health:
    """Asks one run of a container; ``unhealthy`` hears why it has to be restarted."""

    def __init__(
        self,
        container: Container,
        beside: Beside,
        *,
        started: Started,
        ready: Says,
        unhealthy: Callable[[str], None],
    ) -> None:
        """Nothing is asked yet."""
        self._container = container
        self._beside = beside
        self._started = started
        self._ready = ready
        self._unhealthy = unhealthy

    async def run(self) -> None:
        """Ask until cancelled, or as long as there is something to ask."""
        if (startup := self._container.startup_probe) is not None:
            await self._has_started(startup)
        readiness, liveness = self._container.readiness_probe, self._container.liveness_probe
        self._started(ready=readiness is None)
        async with asyncio.TaskGroup() as tasks:
            if readiness is not None:
                tasks.create_task(self._is_ready(readiness))
            if liveness is not None:
                tasks.create_task(self._is_alive(liveness))

    async def _has_started(self, startup: Probe) -> None:
        """Return when the probe says so; never, where it failed too often."""
        timed, ask = timing(startup), self._beside.ask(startup, kind="startup")
        verdict = Verdict(good=True)
        await asyncio.sleep(timed.initial_delay_s)
        while True:
            began = monotonic()
            if (fault := await ask()) is None:
                return
            self._ready(good=False, fault=f"startup probe: {fault}")
            verdict = verdict.after(fault, timed)
            if not verdict.good:
                self._unhealthy(f"the startup probe failed ({fault})")
            await asyncio.sleep(max(0.0, began + timed.every_s - monotonic()))

    async def _is_ready(self, probe: Probe) -> None:
        ask = self._beside.ask(probe, kind="readiness")
        await probing(timing(probe), ask=ask, good=False, said=self._ready, eager_s=_EAGER_S)

    async def _is_alive(self, probe: Probe) -> None:
        def said(*, good: bool, fault: str) -> None:
            if not good:
                self._unhealthy(f"the liveness probe failed ({fault})")

        ask = self._beside.ask(probe, kind="liveness")
        await probing(timing(probe), ask=ask, good=True, said=said)
