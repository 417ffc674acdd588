"""Tokens are renewed while a pod runs, against an API server that gives short-lived ones."""

import asyncio
import contextlib
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from midstage.cluster.kubernetes.connection import Connection
from midstage.local.kubelet.cluster import Cluster
from midstage.local.kubelet.life import Machine, PodLife
from midstage.local.kubelet.shapes import Pod
from midstage.local.kubelet.tokens import Token
from midstage.local.kubelet.volumes import ACCOUNT
from midstage.local.pods.faults import InForce
from midstage.local.pods.podlogs import PodLogs
from midstage.testkit.waiting import within
from tests.cluster.apiserver import ApiServer, Asked, Json, Said, api_server, said, status

from .test_programs import pod

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
LIFE = timedelta(seconds=0.5)
SHELL = {"name": "main", "command": ["/bin/sh", "-c", "echo run; exec sleep 60"]}


class Tokens:
    """Gives ``token-1``, ``token-2``, … that live for LIFE; none while it ``refuses``."""

    given = 0
    refused = 0
    refuses = False

    def __call__(self, asked: Asked) -> Said | None:
        if asked.path.endswith("/status"):
            return said({"metadata": {"name": "p", "uid": "u", "resourceVersion": "1"}})
        if not asked.path.endswith("/token"):
            return None
        if self.refuses:
            self.refused += 1
            return said(status(503, "etcd is away"), status=503)
        self.given += 1
        expires = (datetime.now(UTC) + LIFE).isoformat()
        token: Json = {"token": f"token-{self.given}", "expirationTimestamp": expires}
        return said({"status": token})


def with_account() -> Pod:
    sources = [{"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}]
    mounts = [{"name": "v", "mountPath": ACCOUNT}]
    volumes = [{"name": "v", "projected": {"sources": sources}}]
    return pod({**SHELL, "volumeMounts": mounts}, volumes=volumes)


def machine(api: ApiServer, folder: Path, connection: Connection) -> Machine:
    return Machine(
        cluster=Cluster(connection, threads=2),
        logs=PodLogs(folder / "logs"),
        faults=InForce(),
        folder=folder / "pods",
        environment=lambda _pod, port: {"PORT": str(port)},
        now=lambda: datetime.now(UTC),
        taken={api.port},
    )


@contextlib.contextmanager
def living(api: ApiServer, folder: Path) -> Iterator[PodLife]:
    """A pod on this machine for as long as the block runs."""
    lives: list[PodLife] = []

    async def run(connection: Connection) -> None:
        life = PodLife(machine(api, folder, connection), with_account(), pod_ip="127.0.0.9")
        lives.append(life)
        await life.run(leaves=asyncio.Event())

    connection = Connection(name="test", where=f"kubeconfig:{api.kubeconfig}")
    with contextlib.closing(connection):
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_until_complete, args=(run(connection),))
        thread.start()
        try:
            life = within(60, lambda: lives[0] if lives and lives[0].process else None)
            assert life is not None
            yield life
        finally:
            loop.call_soon_threadsafe(lives[0].kill)
            thread.join(60)
            loop.close()


@pytest.mark.slow
def test_a_pod_that_runs_on_has_new_tokens_in_the_old_ones_place(tmp_path: Path) -> None:
    gives = Tokens()
    with api_server(tmp_path, gives) as api, living(api, tmp_path) as life:
        process = life.process
        file = tmp_path / "pods/u/mounts" / ACCOUNT[1:] / "token"
        within(60, lambda: file.read_text() not in {"token-1", "token-2"})
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        gives.refuses = True
        within(60, lambda: gives.refused)
        kept = file.read_text()
        assert kept == f"token-{gives.given}"
        assert [each.name for each in file.parent.iterdir()] == ["token"]

        assert process is not None
        process.kill()  # and its next run has the newest token that there was
        within(60, lambda: life.process not in (None, process))
        assert file.read_text() == kept
        gives.refuses = False
        within(60, lambda: file.read_text() not in (kept, ""))


@pytest.mark.parametrize(
    ("lives_s", "renewed_s"), [(600, 480), (3600, 2880), (7 * 86400, 86400), (-1, -0.8)]
)
def test_a_token_is_renewed_at_80_percent_of_its_life_or_after_a_day(
    lives_s: float, renewed_s: float
) -> None:
    token = Token(text=b"t", asked_at=NOON, expires_at=NOON + timedelta(seconds=lives_s))
    assert token.renewed_at == NOON + timedelta(seconds=renewed_s)
