"""A real control plane on this machine: it starts, dies, comes back, and leaves nothing behind."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from midstage.cluster.kubernetes.connection import Connection
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.local.kubernetes import building, programs
from midstage.local.kubernetes.running import RunningKubernetes, running_kubernetes
from midstage.testkit.waiting import within

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    """Building is not what these tests measure."""
    building.binary()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKubernetes]:
    with running_kubernetes(tmp_path_factory.mktemp("plane")) as running:
        yield running


def test_it_serves_only_whom_it_knows(cluster: RunningKubernetes, tmp_path: Path) -> None:
    config = json.loads(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "guessed"}
    stranger = tmp_path / "stranger.kubeconfig"
    stranger.write_text(json.dumps(config))
    with pytest.raises((RefusedError, UnavailableError), match="Unauthorized"):
        asked(stranger, "/api/v1/namespaces")
    assert cluster.kubeconfig.stat().st_mode & 0o077 == 0
    assert names(cluster.kubeconfig, "/api/v1/namespaces") >= {"default", "kube-system"}


def test_every_listener_is_on_loopback(cluster: RunningKubernetes) -> None:
    for program in programs.PROGRAMS:
        pid = cluster.supervisor.pid(program)
        assert pid is not None
        listening = psutil.Process(pid).net_connections(kind="inet")
        at = {each.laddr.ip for each in listening if each.status == psutil.CONN_LISTEN}
        assert at == {"127.0.0.1"}, program


def test_what_was_written_outlives_the_death_of_every_program(cluster: RunningKubernetes) -> None:
    write(cluster.kubeconfig, "kept")
    for program in programs.PROGRAMS:
        cluster.kill(program, signal.SIGKILL)
    for program in programs.PROGRAMS:
        within(60, partial(restarts, cluster, program))
        cluster.await_ready(program)
    assert "kept" in names(cluster.kubeconfig, "/api/v1/namespaces/default/configmaps")


def test_two_live_side_by_side_and_a_folder_goes_on_where_it_ended(
    cluster: RunningKubernetes, tmp_path: Path
) -> None:
    """The other one is a process: nothing is left of it, whether it is told to end or killed."""
    other, children = started(tmp_path)
    try:
        kubeconfig = tmp_path / "admin.kubeconfig"
        write(kubeconfig, "other")
        assert "other" not in names(cluster.kubeconfig, "/api/v1/namespaces/default/configmaps")
        other.terminate()
        other.communicate(timeout=120)
        assert other.returncode == 0
        within(60, lambda: not any(alive(child) for child in children))

        other, children = started(tmp_path)
        assert "other" in names(kubeconfig, "/api/v1/namespaces/default/configmaps")
    finally:
        other.kill()
        other.communicate()
    within(60, lambda: not any(alive(child) for child in children))


def started(folder: Path) -> tuple["subprocess.Popen[bytes]", list[psutil.Process]]:
    """A process that runs one, and the programs that it has started."""
    command = [sys.executable, "-m", "midstage.local.kubernetes", "--run", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == bytes(folder / "admin.kubeconfig")
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == len(programs.PROGRAMS)
    return process, children


def asked(kubeconfig: Path, path: str, *, method: str = "GET", body: bytes | None = None) -> bytes:
    connection = Connection(name="test", where=f"kubeconfig:{kubeconfig}")
    try:
        return connection.request(method, path, body=body)
    finally:
        connection.close()


def names(kubeconfig: Path, path: str) -> set[str]:
    return {item["metadata"]["name"] for item in json.loads(asked(kubeconfig, path))["items"]}


def write(kubeconfig: Path, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    path = "/api/v1/namespaces/default/configmaps"
    asked(kubeconfig, path, method="POST", body=json.dumps(body).encode())


def restarts(cluster: RunningKubernetes, program: str) -> int:
    return cluster.supervisor.life(program).restarts


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False
