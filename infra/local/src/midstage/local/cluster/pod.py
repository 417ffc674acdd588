"""The life of one pod on its node: start, probe, restart with back-off, end.

    begin ──▶ checked, probed ──its process ended, or it is unhealthy──▶ back-off ──▶ begin …
                         └──told to end──▶ SIGTERM, grace, SIGKILL ──▶ gone

What becomes of it is told to the state; a life whose node died, or whose pod is not there any more,
is killed and tells nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

from midstage.cluster.objects import Pod, Template
from midstage.local import ports
from midstage.local.cluster.checking import passing
from midstage.local.cluster.hub import Hub
from midstage.local.lifecycle import STABLE_S, wait_s
from midstage.local.pods.faults import InForce
from midstage.local.pods.images import NOT_PULLABLE, UnknownImageError, program
from midstage.local.pods.podlogs import PodLogs
from midstage.local.pods.probes import asked, probing
from midstage.local.pods.process import PodProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What every pod's life needs: ``environment`` of a pod, the ports that are taken."""

    hub: Hub
    logs: PodLogs
    faults: InForce
    environment: Callable[[Pod, int], dict[str, str]]
    taken: set[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a run ended; ``exit_code`` None: it never began."""

    exit_code: int | None
    reason: str
    said: str


class PodLife:
    """Runs one pod until it is told to ``end`` or is ``kill``ed."""

    def __init__(self, machine: Machine, pod: Pod) -> None:
        """A life that has not begun."""
        self._machine = machine
        self._pod = pod
        self._template: Template = machine.hub.state.template(pod.name)
        self._ending = asyncio.Event()
        self._killed = False
        self._port = 0
        self._in_a_row = 0
        self._unhealthy = ""
        self._turn = asyncio.Event()
        self._env: Mapping[str, str] = {}
        self._log = Path()
        self.process: PodProcess | None = None

    def end(self) -> None:
        """Let it end in order: SIGTERM, its grace, SIGKILL."""
        self._ending.set()
        self._turn.set()

    def kill(self) -> None:
        """End it at once; nothing of it is told."""
        self._killed = True
        self.end()
        if self.process is not None:
            self.process.kill()

    async def run(self) -> None:
        """Return when the pod has ended for good."""
        while not self._ending.is_set():
            began = monotonic()
            how = await self._once()
            if how is not None and not self._ending.is_set():
                await self._back_off(how, ran_s=monotonic() - began)
        self._machine.taken.discard(self._port)
        if not self._killed:
            with self._machine.hub.changing() as state:
                state.stopped(self._pod.name, now=self._machine.hub.now())
        if self._machine.hub.state.pod(self._pod.name) is None:
            self._machine.logs.gone(self._pod.name)

    async def _once(self) -> End | None:
        """One run of the process; None where it was told to end."""
        await self._ends_within(self._machine.faults.delay_s(self._pod.app, self._pod.revision))
        if self._ending.is_set():
            return None
        try:
            self.process = self._started()
        except UnknownImageError as e:
            return End(exit_code=None, reason="ErrImagePull", said=str(e))
        except OSError as e:
            return End(exit_code=None, reason="RunContainerError", said=f"can't start it: {e}")
        with self._machine.hub.changing() as state:
            address = f"{ports.LOOPBACK}:{self._port}"
            state.started(self._pod.name, address=address, now=self._machine.hub.now())
        try:
            return await self._until_its_end(self.process)
        finally:
            self.process.kill()
            self.process = None

    def _started(self) -> PodProcess:
        if not self._port or not ports.free(self._port):
            self._machine.taken.discard(self._port)
            (self._port,) = ports.found(1, taken=self._machine.taken)
            self._machine.taken.add(self._port)
        if not self._machine.faults.pullable(self._pod.app, self._pod.revision):
            raise UnknownImageError(NOT_PULLABLE)
        runs = program(self._template, self._machine.environment(self._pod, self._port))
        crash = self._machine.faults.crash(self._pod.app, self._pod.revision)
        if crash is not None:
            runs = replace(runs, command=crash)
        self._env, self._log = runs.env, self._machine.logs.begin(self._pod.name)
        self._unhealthy, self._turn = "", asyncio.Event()
        return PodProcess(command=runs.command, env=runs.env, log=self._log, told=self._turn.set)

    async def _until_its_end(self, process: PodProcess) -> End | None:
        """Probe it until it ends, is unhealthy or is told to end; it has ended afterwards."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watched())
            await self._turn.wait()
            watching.cancel()
        if not process.ended.is_set():
            await process.end(grace_s=0 if self._killed else self._template.grace_s)
        code = process.exit_code
        if self._ending.is_set() or code is None:
            return None
        reason = "CrashLoopBackOff" if code or self._unhealthy else "Completed"
        return End(exit_code=code, reason=reason, said=self._last_words(code))

    async def _watched(self) -> None:
        """Checked, then probed for as long as it runs."""
        checks, log = self._template.checks, self._log
        if fault := await passing(checks, env=self._env, log=log):
            self._unhealthy = f"{fault}; "
            self._turn.set()
            return
        async with asyncio.TaskGroup() as tasks:
            for probe in self._probes():
                tasks.create_task(probe)

    def _probes(self) -> list[Coroutine[None, None, None]]:
        probes = [
            probing(
                self._template.readiness,
                ask=partial(asked, self._template.readiness, port=self._port),
                good=False,
                said=self._is_ready,
            )
        ]
        if (liveness := self._template.liveness) is not None:
            ask = partial(asked, liveness, port=self._port)
            probes.append(probing(liveness, ask=ask, good=True, said=self._is_alive))
        return probes

    def _is_ready(self, *, good: bool, fault: str) -> None:
        hub = self._machine.hub
        with hub.changing() as state:
            state.answered(self._pod.name, ready=good, message=fault, now=hub.now())

    def _is_alive(self, *, good: bool, fault: str) -> None:
        if not good:
            self._unhealthy = f"the liveness probe failed ({fault}); "
            self._turn.set()

    async def _back_off(self, how: End, *, ran_s: float) -> None:
        self._in_a_row = 1 if ran_s >= STABLE_S else self._in_a_row + 1
        wait = wait_s(self._in_a_row)
        with self._machine.hub.changing() as state:
            state.ended(
                self._pod.name,
                exit_code=how.exit_code,
                reason=how.reason,
                message=f"{how.said}\nthe next start is {wait:g} s later",
                now=self._machine.hub.now(),
            )
        await self._ends_within(wait)

    async def _ends_within(self, seconds: float) -> None:
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), timeout=seconds)

    def _last_words(self, code: int) -> str:
        lines = self._machine.logs.last_lines(self._pod.name)
        return f"{self._unhealthy}its process ended with {code}" + (
            f"; its last lines:{lines}" if lines else ""
        )
