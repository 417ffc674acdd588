"""A real Kubernetes for tests: a control plane and the process kubelet, with the bench's nodes.

``python -m tests.kubernetes FOLDER`` runs one until Ctrl-C, for MIDSTAGE_TEST_KUBERNETES.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from midstage.chassis.settings import secret
from midstage.cluster.faults import Fault
from midstage.cluster.kubernetes.connection import Connection
from midstage.local.kubernetes import workers
from midstage.local.kubernetes.running import RunningKubernetes, running_kubernetes
from midstage.local.kubernetes.workers import Workers
from midstage.testkit.waiting import within
from tests import patient

from .cluster.bench import NODES


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubernetes:
    """``own`` is there where the test run started it: its programs may be killed."""

    kubeconfig: Path
    kubelet: Workers
    own: RunningKubernetes | None = None

    @property
    def where(self) -> str:
        """As a setting of deploy and control names it."""
        return f"kubeconfig:{self.kubeconfig}"

    def fault(self, fault: Fault) -> None:
        """Tell the kubelet to break something, or to mend it."""
        answer = patient.post(
            f"{self.kubelet.url}/v1/faults",
            content=msgspec.json.encode(fault),
            headers={"authorization": f"Bearer {secret(Path(self.kubelet.token_file))}"},
            trust_env=False,
        )
        assert answer.is_success, answer.text


def given(kubeconfig: Path) -> Kubernetes:
    """One that runs already, with the bench's nodes."""
    kubelet = workers.known(beside=kubeconfig)
    assert kubelet is not None, f"no kubelet.json beside {kubeconfig}: whose nodes are these?"
    return Kubernetes(kubeconfig=kubeconfig, kubelet=kubelet)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Kubernetes]:
    """One of one's own for as long as the block runs."""
    with running_kubernetes(folder, say=_say) as own:
        kubelet = own.employ(nodes=nodes_file(folder), speed=20)
        within(180, lambda: _ready_nodes(own.kubeconfig) == {node.name for node in NODES})
        yield Kubernetes(kubeconfig=own.kubeconfig, kubelet=kubelet, own=own)


def nodes_file(folder: Path) -> Path:
    """The bench's nodes as a file."""
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
    file = folder / "nodes.json"
    file.write_bytes(msgspec.json.encode({"nodes": entries}))
    return file


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Named(msgspec.Struct):
    name: str


class _Status(msgspec.Struct):
    conditions: list[_Condition] = []


class _Node(msgspec.Struct):
    metadata: _Named
    status: _Status


class _Nodes(msgspec.Struct):
    items: list[_Node]


def _ready_nodes(kubeconfig: Path) -> set[str]:
    connection = Connection(name="test", where=f"kubeconfig:{kubeconfig}")
    with contextlib.closing(connection):
        found = msgspec.json.decode(connection.request("GET", "/api/v1/nodes"), type=_Nodes)
    ready = _Condition(type="Ready", status="True")
    return {node.metadata.name for node in found.items if ready in node.status.conditions}


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    with running(Path(sys.argv[1])) as one:
        sys.stdout.write(f"{one.kubeconfig}\n")
        sys.stdout.flush()
        over.wait()
