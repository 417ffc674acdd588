"""``midstage up --cluster kubernetes``: the loop on a real Kubernetes, nothing left of it."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from midstage.cluster.kubernetes.connection import Connection
from midstage.contracts.errors import RefusedError
from midstage.testkit.waiting import within

from .test_kubernetes import alive

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]

UP = "import typer; from midstage.local import up; app = typer.Typer(); up.register(app); app()"
UP_WITHIN_S = 300.0


@contextmanager
def up(directory: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", UP, "--dir", str(directory), "--cluster", "kubernetes"]
    with (directory.parent / "up.log").open("ab") as log:
        process = subprocess.Popen([*command, *options], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replay on Kubernetes, seen from outside, then Ctrl-C; its folder."""
    directory = tmp_path_factory.mktemp("kubernetes-up") / "platform"
    report = directory.parent / "report.json"
    with up(directory, "--requests", "300", "--speed", "20", "--report", str(report)) as process:

        def reported() -> bool:
            said = (directory.parent / "up.log").read_text()
            assert process.poll() is None, said[-2000:]
            return "Ctrl-C stops all" in said  # from here on its code stands

        within(UP_WITHIN_S, reported, every=0.5)
        children = psutil.Process(process.pid).children(recursive=True)
        rights(directory / "kubernetes")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
        (directory.parent / "code").write_text(str(process.returncode))
        with contextlib.suppress(AssertionError):  # who was killed last may need a moment
            within(60, lambda: not any(map(alive, children)))
        left = [child for child in children if alive(child)]
        (directory.parent / "left").write_text(" ".join(str(child) for child in left))
    return directory


def rights(kubernetes: Path) -> None:
    """Each service may do its own work, and may not read or end what is none of its business."""
    own = "/apis/apps/v1/namespaces/default/deployments"
    for service in ("control", "deploy"):
        where = f"kubeconfig:{kubernetes / service}.kubeconfig"
        with contextlib.closing(Connection(name="test", where=where)) as connection:
            connection.request("GET", own)
            for method, path in (
                ("GET", "/api/v1/namespaces/kube-system/secrets"),
                ("GET", "/api/v1/namespaces/default/secrets"),
                ("DELETE", "/api/v1/nodes/cpu-1"),
                ("DELETE", "/api/v1/namespaces/default"),
            ):
                with pytest.raises(RefusedError, match="forbidden"):
                    connection.request(method, path)


def test_the_replay_agrees_to_the_last_request(ran: Path) -> None:
    report = json.loads((ran.parent / "report.json").read_text())
    assert (report["agrees"], report["offered"], report["ledger"]) == (True, 300, 300)
    assert (report["missing"], report["duplicated"], report["different"]) == (0, 0, 0)
    assert (ran.parent / "code").read_text() == "0"


def test_ctrl_c_stops_all_and_nothing_survives(ran: Path) -> None:
    assert (ran.parent / "left").read_text() == ""


def test_its_secrets_are_its_owners_alone(ran: Path) -> None:
    secret = [*(ran / "kubernetes").glob("*.kubeconfig"), ran / "kubernetes" / "tokens.csv"]
    assert len(secret) >= 5
    for file in (*secret, *(ran / "kubernetes" / "keys").glob("*.key")):
        assert file.stat().st_mode & 0o077 == 0, file
    assert ran.stat().st_mode & 0o077 == 0
