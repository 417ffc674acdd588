"""The life of one pod of Kubernetes on this machine: make ready, start, probe, restart, end.

    prepare ──▶ run ──its process ended, or a probe failed──▶ back-off ──▶ prepare …
       │can't: back-off     └──told to end──▶ not ready, preStop, SIGTERM, grace, SIGKILL ──▶ gone

What becomes of it is told through ``Telling``; a life that is killed tells nothing more.
"""

import asyncio
import math
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import monotonic

from midstage.contracts.errors import UnavailableError
from midstage.local import ports
from midstage.local.kubelet import programs, volumes
from midstage.local.kubelet.checks import Beside
from midstage.local.kubelet.cluster import Cluster
from midstage.local.kubelet.health import Health
from midstage.local.kubelet.programs import ConfigError, Contents
from midstage.local.kubelet.shapes import Container, Pod
from midstage.local.kubelet.standing import (
    Running,
    Standing,
    Terminated,
    Waiting,
    backing_off,
    unpulled,
)
from midstage.local.kubelet.telling import Telling
from midstage.local.kubelet.tokens import Tokens, renewing
from midstage.local.lifecycle import STABLE_S, wait_s
from midstage.local.pods.faults import InForce
from midstage.local.pods.images import NOT_PULLABLE, Program, UnknownImageError
from midstage.local.pods.podlogs import PodLogs
from midstage.local.pods.process import PodProcess

APP, REVISION = "midstage.dev/app", "midstage.dev/revision"
_NAME = 100
_LEAST_GRACE_S = 2.0
_SAID_BYTES, _SAID_LINES = 2048, 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What every pod's life needs: ``environment`` of a pod with a port, ports that are taken."""

    cluster: Cluster
    logs: PodLogs
    faults: InForce
    folder: Path
    environment: Callable[[Pod, int], dict[str, str]]
    now: Callable[[], datetime]
    taken: set[int]


class PodLife:
    """Runs one pod until it is told to ``end`` or is ``kill``ed."""

    def __init__(self, machine: Machine, pod: Pod, *, pod_ip: str) -> None:
        """A life that has not begun; what was told of the pod before goes on."""
        self.pod = pod
        self._machine = machine
        self._pod_ip = pod_ip
        self._telling = Telling(
            cluster=machine.cluster, pod=pod, pod_ip=pod_ip, now=machine.now, gone=self.kill
        )
        self._folder = machine.folder / pod.metadata.uid
        self._ending = asyncio.Event()
        self._turn = asyncio.Event()
        self._killed = False
        self._grace_s = float(pod.spec.termination_grace_period_seconds)
        self._in_a_row = 0
        self._pulls = 0
        self._ran = False
        self._unhealthy = ""
        self._port = 0
        self._contents: Contents | None = None
        self.process: PodProcess | None = None

    @property
    def log(self) -> str:
        """How ``PodLogs`` calls the pod."""
        return log_name(self.pod)

    @property
    def killed(self) -> bool:
        """Whether it was ended at once, and nobody told."""
        return self._killed

    @property
    def over(self) -> bool:
        """Whether it was told to end, or will not run again."""
        return self._ending.is_set() or isinstance(self._standing.state, Terminated)

    @property
    def app(self) -> str:
        """The application that it says it is of."""
        return self.pod.metadata.labels.get(APP, "")

    @property
    def revision(self) -> str:
        """The revision that it says it is of."""
        return self.pod.metadata.labels.get(REVISION, "")

    def seen(self, pod: Pod) -> None:
        """The pod as the API has it now."""
        self.pod = pod
        self._telling.compare(pod)
        if pod.metadata.deletion_timestamp is not None:
            self.end(grace_s=float(pod.metadata.deletion_grace_period_seconds or 0))

    def end(self, *, grace_s: float) -> None:
        """Let it end in order within ``grace_s``; a second call may only shorten it."""
        self._grace_s = min(self._grace_s, grace_s) if self._ending.is_set() else grace_s
        self._ending.set()
        self._turn.set()

    def kill(self) -> None:
        """End it at once; nothing more of it is told."""
        self._killed = True
        self.end(grace_s=0)
        if self.process is not None:
            self.process.kill()

    async def run(self, *, leaves: asyncio.Event) -> None:
        """Return when the pod has ended for good, and the API knows.

        Where the kubelet ``leaves``, the pod stays in the API, for who comes after.
        """
        telling = asyncio.create_task(self._telling.run(), name=f"telling {self.pod.metadata.name}")
        try:
            self._become(replace(self._standing, ready=False, started=False))
            ended = await self._lived()
            if not self._killed:
                await self._over(ended, leaves)
        finally:
            telling.cancel()
            self._machine.taken.discard(self._port)
            if not leaves.is_set():  # else its scratch is there for its next run
                shutil.rmtree(self._folder, ignore_errors=True)
            self._machine.logs.gone(self.log)

    async def _lived(self) -> Terminated | None:
        """How its last run ended, when it was told to end; None where none ran then."""
        while not self._ending.is_set():
            began = monotonic()
            ended = await self._once()
            if self._ending.is_set():
                return ended
            if ended is not None and not self._again(ended):
                self._become(replace(self._standing, state=ended, ready=False, started=False))
                await self._ending.wait()
                return ended
            await self._back_off(ended, ran_s=monotonic() - began)
        return None

    async def _once(self) -> Terminated | None:
        """One run of the process; None where none was started, or it was told to end."""
        delay_s = self._machine.faults.delay_s(self.app, self.revision)
        if delay_s:
            self._waits(Waiting(message=f"a fault on demand: {delay_s:g} s later"))
            await self._ends_within(delay_s)
        if self._ending.is_set():
            return None
        try:
            container = programs.container_of(self.pod)
            runs = await self._prepared()
            if self._ending.is_set():
                return None
            self.process = self._start(runs)
        except UnknownImageError as e:
            self._pulls += 1
            self._waits(unpulled(self.pod, str(e), times=self._pulls))
        except UnavailableError as e:
            self._waits(Waiting(message=str(e)))
        except (ConfigError, OSError) as e:
            self._waits(Waiting(reason="CreateContainerConfigError", message=str(e)))
        else:
            return await self._followed(self.process, container, runs)
        return None

    async def _prepared(self) -> Program:
        contents = self._contents = await self._read()
        if not self._machine.faults.pullable(self.app, self.revision):
            raise UnknownImageError(NOT_PULLABLE)
        mounts = volumes.laid_out(self._folder, self.pod, contents, pod_ip=self._pod_ip)
        self._have_port()
        own = self._machine.environment(self.pod, self._port)
        own["MIDSTAGE_MOUNTS"] = str(mounts)
        if (account := volumes.account(mounts)) is not None:
            own["MIDSTAGE_SERVICE_ACCOUNT_DIR"] = str(account)
        grace_s = self.pod.spec.termination_grace_period_seconds
        own["MIDSTAGE_REPLICA_GRACE_S"] = str(max(1, math.floor(grace_s - 0.5)))
        runs = programs.program(self.pod, contents, own, pod_ip=self._pod_ip)
        crash = self._machine.faults.crash(self.app, self.revision)
        return runs if crash is None else replace(runs, command=crash)

    async def _read(self) -> Contents:
        """What the pod is given; as at its last run where the API server does not answer now."""
        cluster, (secrets, configs) = self._machine.cluster, programs.named(self.pod)
        try:
            found = await cluster.contents(self.pod.metadata.namespace, secrets, configs)
            return replace(found, tokens=await self._tokens())
        except UnavailableError:
            if self._contents is None:
                raise
            return self._contents

    async def _tokens(self) -> Tokens:
        return await self._machine.cluster.tokens(self.pod, now=self._machine.now())

    def _renewed(self, tokens: Tokens) -> None:
        """They are the pod's from now on, at its next run too."""
        volumes.renewed(self._folder, self.pod, tokens)
        if self._contents is not None:
            self._contents = replace(self._contents, tokens=tokens)

    def _have_port(self) -> None:
        if not self._port or not ports.free(self._port):
            self._machine.taken.discard(self._port)
            (self._port,) = ports.found(1, taken=self._machine.taken)
            self._machine.taken.add(self._port)

    def _start(self, runs: Program) -> PodProcess:
        restarts = self._standing.restarts + self._ran
        log = self._machine.logs.begin(self.log, run=restarts + 1)
        self._unhealthy, self._turn = "", asyncio.Event()
        process = PodProcess(command=runs.command, env=runs.env, log=log, told=self._turn.set)
        self._pulls, self._ran = 0, True
        self._become(
            replace(
                self._standing,
                state=Running(since=self._machine.now()),
                begun=True,
                restarts=restarts,
                port=self._port,
                fault="",
            )
        )
        return process

    async def _followed(
        self, process: PodProcess, container: Container, runs: Program
    ) -> Terminated | None:
        """Keep its tokens fresh until it has ended."""
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(
                renewing(
                    self._contents.tokens if self._contents is not None else {},
                    asked=self._tokens,
                    changed=self._renewed,
                    now=self._machine.now,
                    what=self.pod.metadata.name,
                )
            )
            try:
                return await self._watched(process, container, runs)
            finally:
                keeping.cancel()

    async def _watched(
        self, process: PodProcess, container: Container, runs: Program
    ) -> Terminated | None:
        """Probe it until it ends, is unhealthy or is told to end; it has ended afterwards."""
        beside = Beside(env=runs.env, port=self._port, folder=self._folder)
        health = Health(
            container,
            beside,
            started=self._is_started,
            ready=self._is_ready,
            unhealthy=self._is_unhealthy,
        )
        since = self._machine.now()
        if self._ending.is_set():
            self._turn.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                probes = tasks.create_task(health.run())
                await self._turn.wait()
                probes.cancel()
            self._become(replace(self._standing, ready=False, ending=self._ending.is_set()))
            if not process.ended.is_set():
                await self._stopped(process, container, beside)
        finally:
            process.kill()
            self.process = None
        return self._terminated(process.exit_code or 0, container, since)

    async def _stopped(self, process: PodProcess, container: Container, beside: Beside) -> None:
        deadline = monotonic() + self._grace_s
        handler = container.lifecycle.pre_stop if container.lifecycle else None
        if handler is not None and self._grace_s > 0:
            doing = asyncio.ensure_future(beside.before_stop(handler, within_s=self._grace_s))
            over = asyncio.ensure_future(process.ended.wait())
            await asyncio.wait({doing, over}, return_when=asyncio.FIRST_COMPLETED)
            doing.cancel()
            over.cancel()
        left_s = deadline - monotonic()
        least_s = min(_LEAST_GRACE_S, self._grace_s)
        await process.end(grace_s=0 if self._killed else max(least_s, left_s))

    def _is_started(self, *, ready: bool) -> None:
        self._become(replace(self._standing, started=True, ready=ready))

    def _is_ready(self, *, good: bool, fault: str) -> None:
        self._become(replace(self._standing, ready=good, fault=fault))

    def _is_unhealthy(self, why: str) -> None:
        self._unhealthy = why
        self._turn.set()

    def _again(self, ended: Terminated) -> bool:
        policy = self.pod.spec.restart_policy
        return policy == "Always" or (policy == "OnFailure" and ended.exit_code != 0)

    async def _back_off(self, ended: Terminated | None, *, ran_s: float) -> None:
        self._in_a_row = 1 if ran_s >= STABLE_S else self._in_a_row + 1
        wait = wait_s(self._in_a_row)
        if ended is not None:
            state = backing_off(self.pod, wait_s=wait, why=self._unhealthy)
            after = replace(self._standing, state=state, last=ended, ready=False, started=False)
            self._become(after)
        await self._ends_within(wait)

    def _terminated(self, code: int, container: Container, since: datetime) -> Terminated:
        message = ""
        if code and container.termination_message_policy == "FallbackToLogsOnError":
            message = self._machine.logs.tail(self.log, most=_SAID_BYTES, lines=_SAID_LINES)
        return Terminated(
            exit_code=code,
            reason="Error" if code else "Completed",
            message=message,
            since=since,
            until=self._machine.now(),
        )

    async def _over(self, ended: Terminated | None, leaves: asyncio.Event) -> None:
        """Tell that it ended; where it was to, it is no more."""
        if leaves.is_set() and self.pod.metadata.deletion_timestamp is None:
            stopped = "the kubelet was stopped"
            self._become(replace(self._standing, ready=False, started=False, fault=stopped))
            await self._telling.told()
            return
        never = Terminated(
            exit_code=0, reason="Completed", message="", since=None, until=self._machine.now()
        )
        state = ended or self._standing.last or never
        self._become(replace(self._standing, state=state, ready=False, started=False, ending=True))
        await self._telling.told()
        await self._telling.end()

    @property
    def _standing(self) -> Standing:
        return self._telling.standing

    def _waits(self, state: Waiting) -> None:
        self._become(replace(self._standing, state=state))

    def _become(self, after: Standing) -> None:
        if not self._killed:
            self._telling.become(after)

    async def _ends_within(self, seconds: float) -> None:
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), timeout=seconds)


def log_name(pod: Pod) -> str:
    """How ``PodLogs`` calls a pod."""
    meta = pod.metadata
    return f"{meta.namespace}_{meta.name[:_NAME]}_{meta.uid}"
