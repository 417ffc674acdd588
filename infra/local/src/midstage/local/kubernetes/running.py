"""Clusters of one's own, for tests and tools: several may run side by side, in a folder each."""

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from midstage.chassis.settings import ensure_secret
from midstage.local.jars import nothing_said
from midstage.local.kubernetes import building, programs, workers
from midstage.local.kubernetes.plane import (
    READY_WITHIN_S,
    STOPPED_WITHIN_S,
    ControlPlane,
    prepare,
)
from midstage.local.kubernetes.workers import Workers
from midstage.local.ports import found
from midstage.local.supervisor import Supervisor


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningKubernetes:
    """A control plane that serves. A program that dies is started again by itself."""

    plane: ControlPlane
    supervisor: Supervisor

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.plane.kubeconfig

    @property
    def url(self) -> str:
        """The API server's address."""
        return self.plane.home.url

    def log(self, program: str) -> Path:
        """The log file of one of ``programs.PROGRAMS``."""
        return self.supervisor.log(self.plane.prefix + program)

    def kill(self, program: str, sig: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to one program as if from outside; its pid."""
        return self.supervisor.kill(self.plane.prefix + program, sig)

    def stop(self, program: str, *, within_s: float = STOPPED_WITHIN_S) -> None:
        """Take one program away until ``start``."""
        self.supervisor.stop([self.plane.prefix + program], within_s=within_s)

    def start(self, program: str) -> None:
        """Give it back, and wait until it serves."""
        self.supervisor.start(self.plane.child(program))
        self.await_ready(program)

    def employ(self, *, nodes: Path | None = None, speed: float = 1.0) -> Workers:
        """Give it nodes: the process kubelet runs from now on, and what is bound to its nodes."""
        root, (port,) = self.plane.home.root, found(1)
        token_file = root / "kubelet-token"
        ensure_secret(token_file)
        child = workers.child(
            kubeconfig=self.kubeconfig,
            directory=root / "kubelet",
            port=port,
            token_file=token_file,
            nodes=nodes,
            speed=speed,
            name=self.plane.prefix + workers.NAME,
        )
        self.supervisor.start(child)
        self.await_ready(workers.NAME)
        hired = Workers(url=workers.url(port), token_file=str(token_file))
        workers.told(hired, beside=self.kubeconfig)
        return hired

    def await_ready(self, program: str, *, within_s: float = READY_WITHIN_S) -> None:
        """Return once the program serves; PlatformError with its last words when it does not."""
        self.supervisor.await_ready(self.plane.prefix + program, within_s=within_s)


@contextlib.contextmanager
def running_kubernetes(
    directory: Path,
    *,
    flags: Mapping[str, Mapping[str, str]] | None = None,
    say: Callable[[str], None] = nothing_said,
) -> Iterator[RunningKubernetes]:
    """A cluster without nodes for as long as the block runs; built at the first use.

    ``flags`` by program are added to its own, as in ``{"apiserver": {"v": "4"}}``.
    """
    binary = building.binary(say=say)
    ports = dict(zip(programs.PORTS, found(len(programs.PORTS)), strict=True))
    wanted = prepare(directory, ports=ports, binary=binary, flags=flags)
    supervisor = Supervisor(logs=directory / "logs", say=say)
    try:
        wanted.start(supervisor)
        yield RunningKubernetes(plane=wanted, supervisor=supervisor)
    finally:
        left = supervisor.lives().keys() - {*wanted.names}
        supervisor.stop(sorted(left), within_s=STOPPED_WITHIN_S)
        wanted.stop(supervisor)
        supervisor.close()
