"""A local cluster's daemon as a child process of a test."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import psutil

from midstage.chassis.settings import ensure_secret
from midstage.cluster.faults import NodeReturns
from midstage.cluster.http import HttpCluster
from midstage.cluster.objects import Pod, Template, Workload
from midstage.cluster.protocol import ConflictError
from midstage.contracts.apps import Probe
from midstage.local import ports
from midstage.testkit.waiting import within
from tests import patient

from .bench import NODES, SMALL

PROGRAM = Path(__file__).with_name("program.py")
QUICK = Probe(every_s=0.1, timeout_s=60, failures=1)
"""An answer that a busy machine makes late is one: nobody gets unready who was not told to."""


@dataclass(slots=True)
class Daemon:
    """Started, killed and started again on one folder and port."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, **other: object) -> list[str]:
        options = {
            "dir": self.folder / "cluster",
            "port": self.port,
            "nodes": self.folder / "nodes.json",
            "token-file": self.token_file,
            "speed": 20,
            **other,
        }
        asked = [f"--{name}={value}" for name, value in options.items()]
        return [sys.executable, "-m", "midstage.local.cluster", *asked]

    def start(self) -> None:
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stderr=log)
        within(60, self._ready, every=0.1)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def client(self) -> HttpCluster:
        return HttpCluster(name="local", base_url=self.base, token=ensure_secret(self.token_file))

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "daemon.log").read_text()
        try:
            return patient.get(f"{self.base}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Daemon]:
    """A daemon over the nodes of the bench."""
    daemon = prepared(folder)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.kill()


def prepared(folder: Path) -> Daemon:
    ensure_secret(folder / "token")
    entries = [
        {
            "name": node.name,
            "cpu": node.capacity.cpu,
            "memory_mb": node.capacity.memory_mb,
            "gpus": node.capacity.gpus,
            "labels": node.labels,
            "taints": node.taints,
        }
        for node in NODES
    ]
    (folder / "nodes.json").write_bytes(msgspec.json.encode({"nodes": entries}))
    return Daemon(folder, ports.found(1)[0])


def runs(kind: str, *, liveness: Probe | None = None, grace_s: float = 1.0) -> Template:
    return Template(
        command=(sys.executable, "-S", str(PROGRAM), kind),
        requests=SMALL,
        readiness=QUICK,
        liveness=liveness,
        grace_s=grace_s,
    )


def asked(pod: Pod, path: str) -> None:
    """Ask a pod for ``path``; what it answers does not matter."""
    patient.get(f"http://{pod.address}{path}", trust_env=False)


def workload(template: Template, name: str = "app-1", *, replicas: int = 1) -> Workload:
    return Workload(
        name=name, app=name.rpartition("-")[0], revision="1", template=template, replicas=replicas
    )


def ready(cluster: HttpCluster, count: int = 1) -> list[Pod]:
    def pods() -> list[Pod]:
        found = [pod for pod in cluster.list().pods if pod.ready]
        return found if len(found) == count else []

    return within(60, pods)


def processes(daemon: Daemon) -> list[psutil.Process]:
    assert daemon.process is not None
    return psutil.Process(daemon.process.pid).children()


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return True


def emptied(cluster: HttpCluster) -> bool:
    """Whether all is as it was; delete what is left."""
    for node in NODES:
        cluster.fault(NodeReturns(node=node.name))
    for workload in cluster.list().workloads:
        with contextlib.suppress(ConflictError):
            cluster.delete_workload(workload.name, expected=workload.resource_version)
    return not cluster.list().pods and not cluster.list().workloads
