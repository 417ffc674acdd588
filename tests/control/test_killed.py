"""Control as it really runs, over a real Kafka and a real local cluster, killed with -9."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from midstage.cluster.http import HttpCluster
from midstage.cluster.objects import Template, Workload
from midstage.contracts import topics
from midstage.contracts.apps import Probe
from midstage.contracts.cluster import Amount, ObjectGone, PodObserved
from midstage.eventlog.topics import settings_of
from midstage.testkit.kill import ordered
from midstage.testkit.waiting import within
from tests import patient
from tests.control.conftest import TOKEN, Pair, ready
from tests.kafka import kafka_log
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.platform]
APP = "killed"


@pytest.mark.parametrize("place", ["control:observed", "control:written"])
def test_a_kill_at_a_named_place_loses_nothing(kafka: str, tmp_path: Path, place: str) -> None:
    log = kafka_log(kafka)
    pair = Pair(
        log=log,
        stream=topics.CLUSTER,
        inventory=topics.INVENTORY,
        apps=topics.APPS,
        signals=topics.SIGNALS,
    )
    for topic in (pair.stream, pair.inventory, pair.apps, pair.signals):
        log.create(settings_of(topic))
    name = f"killed-{uuid.uuid4().hex[:8]}"
    order = tmp_path / "order"
    with local_cluster(tmp_path, name) as cluster, cluster_client(cluster, name) as client:
        put(client, 1)
        env = environment(kafka, tmp_path, name, cluster)
        with control(env, order, tmp_path) as first:
            within(60, lambda: len(running_in(pair, name)) == 1)
            ordered(order, place)
            put(client, 2)
            assert first.wait(60) == -signal.SIGKILL
        with control(env, order, tmp_path) as second:
            within(60, lambda: len(running_in(pair, name)) == 2)
            for topic in (pair.stream, pair.inventory):
                facts = [fact for fact in pair.written(topic) if fact.cluster == name]
                assert not [fact for fact in facts if isinstance(fact, ObjectGone)]
                assert len({f.uid for f in facts if isinstance(f, PodObserved)}) == 2
            put(client, 0)
            within(60, lambda: not running_in(pair, name))
            second.terminate()
            assert second.wait(60) == 0


def running_in(pair: Pair, cluster: str) -> Sequence[str]:
    facts = [fact for fact in pair.written(pair.inventory) if fact.cluster == cluster]
    return ready(facts, APP)


def put(client: HttpCluster, replicas: int) -> None:
    known = client.list().workloads
    client.put_workload(
        Workload(
            name=f"{APP}-a",
            app=APP,
            revision="a",
            template=Template(
                command=(sys.executable, "-m", "http.server", "$(PORT)", "--bind", "127.0.0.1"),
                requests=Amount(cpu=0.1, memory_mb=64),
                readiness=Probe(path="/", every_s=0.3),
                grace_s=2,
            ),
            replicas=replicas,
        ),
        expected=known[0].resource_version if known else 0,
    )


def cluster_client(url: str, name: str) -> HttpCluster:
    return HttpCluster(name=name, base_url=url, token=TOKEN)


@contextmanager
def local_cluster(directory: Path, name: str) -> Iterator[str]:
    """The URL of a local cluster of its own."""
    port = free_port()
    command = ["-m", "midstage.local.cluster", "--dir", str(directory / name)]
    options = ["--port", str(port), "--token-file", str(token_in(directory))]
    with process([*command, *options], os.environ, directory, name, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def control(
    env: Mapping[str, str], order: Path, directory: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The real service, which may be told to die."""
    command = ["-m", "midstage.testkit.kill", "--order", str(order), "midstage.control.main"]
    port = int(env["MIDSTAGE_CONTROL_PORT"])
    with process(command, env, directory, "control", port) as running:
        yield running


@contextmanager
def process(
    command: list[str], env: Mapping[str, str], directory: Path, name: str, port: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ready, and is gone in the end."""
    file = directory / f"{name}.log"
    with file.open("ab") as log:
        running = subprocess.Popen([sys.executable, *command], env=dict(env), stderr=log)
    try:
        within(60, lambda: running.poll() is not None or is_ready(port))
        assert running.poll() is None, file.read_text()
        yield running
    finally:
        running.terminate()
        try:
            running.wait(60)
        except subprocess.TimeoutExpired:
            running.kill()


def environment(kafka: str, directory: Path, name: str, cluster: str) -> dict[str, str]:
    return {
        **os.environ,
        "MIDSTAGE_CONTROL_KAFKA": kafka,
        "MIDSTAGE_CONTROL_PORT": str(free_port()),
        "MIDSTAGE_CONTROL_TOKEN_FILE": str(token_in(directory)),
        "MIDSTAGE_CONTROL_CLUSTERS": f"{name}={cluster}",
        "MIDSTAGE_CONTROL_LEASE_S": "2",
    }


def token_in(directory: Path) -> Path:
    file = directory / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    return file


def is_ready(port: int) -> bool:
    try:
        return patient.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False
