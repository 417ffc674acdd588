"""The commands about clusters, as people use them: a real process against a real control."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from midstage.cluster.memory import MemoryCluster
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.control.conftest import cluster_of, pair_on, running, scaled, settings_in

pytestmark = pytest.mark.slow
Midstage = Callable[..., CompletedProcess[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    url: str
    cluster: MemoryCluster


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A control over a cluster with two pods of chat."""
    cluster = cluster_of(2)
    first = cluster.pods()[0].name
    cluster.use(first, cpu=0.254, memory_mb=33.4)
    cluster.say(first, b"hello\nworld\n")
    directory: Path = tmp_path_factory.mktemp("control")
    settings = settings_in(directory, lease_s=60.0)  # a lease lost by a pause would be told, too
    with running(pair_on(MemoryLog()), [cluster], directory, settings=settings) as http:
        within(60, lambda: any(node["used"] for node in http.get("/v1/nodes").json()["nodes"]))
        yield Served(url=str(http.base_url), cluster=cluster)


def test_nodes_and_pods_as_tables(midstage: Midstage, served: Served) -> None:
    done = midstage("get", "nodes", "--server", served.url)
    assert done.returncode == 0, done.stderr
    title, row = done.stdout.splitlines()
    assert title.split() == ["NAME", "CLUSTER", "STATUS", "PODS", "CPU", "MEMORY", "GPUS"]
    assert row.split() == [
        *("node-1", "local", "Ready", "2", "0.25/1/64", "33/128/262144", "MiB", "0/8"),
    ]
    done = midstage("get", "pods", "--app", "chat", "--server", served.url)
    title, *rows = done.stdout.splitlines()
    assert title.split()[:5] == ["NAME", "APP", "REVISION", "READY", "STATUS"]
    assert [row.split()[0] for row in rows] == sorted(p.name for p in served.cluster.pods())
    assert rows[0].split()[1:6] == ["chat", "abc", "yes", "Running", "0"]
    done = midstage("get", "pods", "--not-ready", "--server", served.url)
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing found" in done.stderr


def test_programs_get_all_that_was_said(midstage: Midstage, served: Served) -> None:
    done = midstage("get", "pods", "-o", "json", "--server", served.url)
    pods = json.loads(done.stdout)["pods"]
    assert len(pods) == 2
    assert pods[0]["requests"] == {"cpu": 0.5, "memory_mb": 64, "gpus": 0}
    done = midstage("get", "nodes", "-o", "yaml", "--server", served.url)
    assert yaml.safe_load(done.stdout)["nodes"][0]["capacity"]["gpus"] == 8
    done = midstage("describe", "app", "chat", "-o", "json", "--server", served.url)
    assert json.loads(done.stdout)["ready"] == 2


def test_one_thing_at_length(midstage: Midstage, served: Served) -> None:
    name = served.cluster.pods()[0].name
    done = midstage("describe", "pod", name, "--server", served.url)
    assert done.returncode == 0, done.stderr
    assert "Node:" in done.stdout
    assert "node-1" in done.stdout
    assert f"pod       {name}  ready on node-1" in done.stdout  # what happened to it
    done = midstage("describe", "node", "node-1", "--server", served.url)
    assert name in done.stdout
    done = midstage("describe", "app", "chat", "--server", served.url)
    assert "2 of 2 ready" in done.stdout
    done = midstage("describe", "app", "nothing", "--server", served.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing" in done.stderr


def test_output_of_a_pod_by_a_part_of_its_name(midstage: Midstage, served: Served) -> None:
    first, second = served.cluster.pods()
    prefix = "chat-abc-"
    only = next(
        first.name[:end]
        for end in range(len(prefix), len(first.name) + 1)
        if not second.name.startswith(first.name[:end])
    )
    done = midstage("logs", only, "--server", served.url)
    assert (done.returncode, done.stdout) == (0, "hello\nworld\n")
    done = midstage("logs", "--tail", "1", only, "--server", served.url)
    assert done.stdout == "world\n"
    done = midstage("logs", prefix, "--server", served.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert first.name in done.stderr
    assert second.name in done.stderr
    done = midstage("logs", "nobody", "--server", served.url)
    assert done.returncode == 1
    assert "midstage get pods" in done.stderr
    done = midstage("logs", "--previous", only, "--server", served.url)
    assert done.returncode == 1


def test_output_as_it_is_written(served: Served) -> None:
    pod = served.cluster.pods()[1].name
    served.cluster.say(pod, b"begun\n")
    following = started("logs", "-f", pod, "--server", served.url)
    assert following.stdout is not None
    assert following.stdout.readline() == "begun\n"
    served.cluster.say(pod, b"gone on\n")
    assert following.stdout.readline() == "gone on\n"
    following.send_signal(signal.SIGINT)
    assert following.wait(60) == 0


def test_changes_and_where_to_go_on(midstage: Midstage, served: Served) -> None:
    done = midstage("events", "--tail", "3", "--server", served.url)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    place = done.stderr.split("--after ")[1].strip()
    again = midstage("events", "--after", place, "--server", served.url)
    assert (again.returncode, again.stdout) == (0, "")
    done = midstage("events", "-o", "json", "--kind", "node", "--server", served.url)
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [fact["data"]["name"] for fact in facts] == ["node-1"]
    done = midstage("events", "--kind", "cow", "--server", served.url)
    assert done.returncode == 1
    assert "kind" in done.stderr
    done = midstage("events", "--tail", "many", "--server", served.url)
    assert done.returncode == 2


def test_a_watch_goes_on_over_a_restart_of_control(tmp_path: Path) -> None:
    """Everything that happened is told, and once, though control was away in between."""
    cluster, pair, settings = cluster_of(1), pair_on(MemoryLog()), settings_in(tmp_path)
    told: list[str] = []
    with running(pair, [cluster], tmp_path, settings=settings) as http:
        url = str(http.base_url)
        watching = started("events", "-w", "--kind", "workload", "-o", "json", "--server", url)
        assert watching.stdout is not None
        reading = threading.Thread(target=lambda: told.extend(watching.stdout or ()))
        reading.start()
        within(60, lambda: replicas(told) == 1)
        scaled(cluster, 2)
        within(60, lambda: replicas(told) == 2)
    scaled(cluster, 3)
    with running(pair, [cluster], tmp_path, settings=settings):
        within(60, lambda: replicas(told) == 3)
        watching.send_signal(signal.SIGINT)
        reading.join(60)
    assert watching.wait(60) == 0
    ids = [json.loads(line)["id"] for line in told]
    assert len(set(ids)) == len(ids)


def started(*arguments: str) -> subprocess.Popen[str]:
    """A command that goes on until it is interrupted."""
    return subprocess.Popen(
        [sys.executable, "-m", "midstage.client.main", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )


def replicas(told: list[str]) -> int:
    """What the last change said."""
    return int(json.loads(told[-1])["data"]["replicas"]) if told else 0


def test_nothing_answers(midstage: Midstage, tmp_path: Path) -> None:
    for command in (["get", "nodes"], ["logs", "x"], ["events"], ["describe", "pod", "x"]):
        done = midstage(*command, "--dir", str(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert "make up" in done.stderr
        done = midstage(*command, "--server", "http://127.0.0.1:9")
        assert done.returncode == 1
        assert "127.0.0.1:9" in done.stderr
