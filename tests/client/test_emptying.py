"""``top``, ``cordon``, ``drain``, ``uncordon`` and lists that are searched, as people use them."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess

import msgspec
import pytest

from midstage.client import api
from midstage.client.inventory import Amount as Asked
from midstage.client.inventory import Pod
from midstage.client.unmoved import strangers, unmoved
from midstage.cluster.memory import MemoryCluster
from midstage.cluster.objects import Node
from midstage.contracts.cluster import Amount
from midstage.contracts.running import Disruption
from midstage.deploy.main import Topics
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.control.conftest import pair_on, running, workload
from tests.deploy.conftest import a_cluster, create
from tests.deploy.conftest import running as deploying

pytestmark = pytest.mark.slow
Midstage = Callable[..., CompletedProcess[str]]
ROOM = Amount(cpu=4, memory_mb=4096, gpus=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    url: str
    token_file: Path
    cluster: MemoryCluster

    @property
    def asked(self) -> tuple[str, ...]:
        return ("--server", self.url)

    @property
    def allowed(self) -> tuple[str, ...]:
        return (*self.asked, "--token-file", str(self.token_file))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Three pods of chat, of which one may be away, on two nodes."""
    nodes = [Node(name="a", capacity=ROOM, labels={"zone": "x"}), Node(name="b", capacity=ROOM)]
    cluster = MemoryCluster(name="local", nodes=nodes)
    cluster.put_workload(
        msgspec.structs.replace(workload(3), disruption=Disruption(max_unavailable=1)), expected=0
    )
    cluster.settle()
    with running(pair_on(MemoryLog()), [cluster], tmp_path) as http:
        within(60, lambda: len(http.get("/v1/pods?ready=true").json()["pods"]) == 3)
        yield Served(url=str(http.base_url), token_file=tmp_path / "token", cluster=cluster)


def test_a_drained_node_is_empty_and_the_application_never_lost_two(
    served: Served, midstage: Midstage
) -> None:
    draining = subprocess.Popen(
        [sys.executable, "-m", "midstage.client.main", "drain", "a", "--evict", *served.allowed],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    fewest = 3

    def ended() -> bool:
        nonlocal fewest
        ready = sum(pod.ready for pod in served.cluster.pods())
        fewest = min(fewest, ready)
        if ready < 3:  # an eviction that was not seen yet is not made good before it is
            served.cluster.settle()
        return draining.poll() is not None

    within(120, ended, every=0.05)
    said, told = draining.communicate()
    assert draining.returncode == 0, told
    assert "a is empty" in said
    assert "chat is gone from a" in told
    assert {pod.node for pod in served.cluster.pods()} == {"b"}
    assert fewest == 2
    done = midstage("get", "nodes", *served.asked)
    assert "Ready,SchedulingDisabled" in done.stdout
    done = midstage("uncordon", "a", *served.allowed)
    assert (done.returncode, done.stdout) == (0, "a takes pods again\n")
    assert all(node.schedulable for node in served.cluster.list().nodes)


def test_what_cannot_be_spared_is_named_when_the_time_is_up(
    served: Served, midstage: Midstage
) -> None:
    known = served.cluster.list().workloads[0]
    none = msgspec.structs.replace(known, disruption=Disruption(max_unavailable=0))
    served.cluster.put_workload(none, expected=known.resource_version)
    done = midstage("drain", "a", "--evict", "--timeout", "1", *served.allowed)
    assert done.returncode == 1
    assert "at most 0 may be away" in done.stderr
    assert "midstage uncordon a" in done.stderr
    assert len(served.cluster.pods()) == 3


def test_without_a_deploy_nothing_ends_and_the_time_out_says_so(
    served: Served, midstage: Midstage
) -> None:
    done = midstage("drain", "a", "--timeout", "1", *served.allowed)
    assert done.returncode == 1
    assert "of chat on a" in done.stderr
    assert "chat: nothing is known to hold it" in done.stderr
    assert len(served.cluster.pods()) == 3
    (a,) = [node for node in served.cluster.list().nodes if node.name == "a"]
    assert (a.schedulable, a.emptied) == (False, True)
    midstage("uncordon", "a", *served.allowed)
    assert not any(node.emptied for node in served.cluster.list().nodes)


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[str]:
    """The address of a deploy whose log is empty."""
    log, read = MemoryLog(), Topics()
    create(log, read)
    (tmp_path / "deploy").mkdir()
    with deploying(log, a_cluster(), tmp_path / "deploy", wait=False) as served:
        within(60, lambda: served.http.get("/v1/apps").is_success)
        yield str(served.http.base_url)


def test_what_nobody_moves_is_named_at_once_with_what_becomes_of_it(
    served: Served, midstage: Midstage, deploy: str
) -> None:
    to_deploy = ("--deploy-server", deploy)
    done = midstage("drain", "a", *to_deploy, *served.allowed)
    assert done.returncode == 1
    assert "nothing on a moves any more" in done.stderr
    assert "chat: deploy has no spec of it, so nobody moves it" in done.stderr
    assert len(served.cluster.pods()) == 3


def test_what_was_adopted_and_what_is_not_midstages_is_told(deploy: str, tmp_path: Path) -> None:
    at = api.service("deploy", directory=tmp_path, server=deploy)
    web = told(app="web", revision="adopted")
    assert "adopted and has no spec" in unmoved(at, "web", [web])
    assert unmoved(None, "web", [web]) == ""
    theirs = told(app="", revision="")
    assert strangers([web, theirs], "a").startswith("1 on a are not midstage's and stay there: n/p")
    assert strangers([web], "a") == ""


def told(*, app: str, revision: str) -> Pod:
    return Pod(
        cluster="local",
        namespace="n",
        name="p",
        workload="w",
        node="a",
        phase="running",
        address="",
        reason="",
        message="",
        app=app,
        revision=revision,
        ready=True,
        draining=False,
        restarts=0,
        requests=Asked(cpu=1, memory_mb=1, gpus=0),
        created_at=datetime(2026, 11, 26, tzinfo=UTC),
    )


def test_nothing_is_emptied_without_the_token_or_a_node(served: Served, midstage: Midstage) -> None:
    done = midstage("drain", "a", *served.asked)
    assert done.returncode == 1
    assert "--token-file" in done.stderr
    done = midstage("cordon", "nothing", *served.allowed)
    assert done.returncode == 1
    assert "there is no node 'nothing'" in done.stderr
    done = midstage("cordon", "a", "--cluster", "local", *served.allowed)
    assert (done.returncode, done.stdout) == (0, "a takes no new pods\n")


def test_the_most_used_come_first_and_the_unknown_last(served: Served, midstage: Midstage) -> None:
    first, second, third = sorted(served.cluster.pods(), key=lambda pod: pod.name)
    served.cluster.use(second.name, cpu=0.25, memory_mb=32)
    served.cluster.use(third.name, cpu=0.125, memory_mb=64, gpu=0.5)

    def measured() -> list[str]:
        """The table once two of its rows have a CPU."""
        told = midstage("top", "pods", *served.asked).stdout.splitlines()
        return told if sum(row.split()[3] != "-" for row in told[1:]) == 2 else []

    title, *rows = within(120, measured)
    assert title.split() == [
        *("NAME", "APP", "NODE", "CPU", "CPU", "ASKED", "CPU", "%", "MEMORY", "MIB"),
        *("MEMORY", "ASKED", "MEMORY", "%", "GPU", "%", "GPUS", "ASKED"),
    ]
    assert [row.split()[0] for row in rows] == [second.name, third.name, first.name]
    assert rows[0].split()[3:] == ["0.25", "0.5", "50", "32", "64", "50", "-", "0"]
    assert rows[2].split()[3:] == ["-", "0.5", "-", "-", "64", "-", "-", "0"]
    done = midstage("top", "pods", "--sort", "memory", "--limit", "1", *served.asked)
    assert done.stdout.splitlines()[1].split()[0] == third.name
    done = midstage("top", "nodes", "-l", "zone=x", *served.asked)
    title, row = done.stdout.splitlines()
    assert row.split()[:2] == ["a", "local"]
    assert "CPU THERE" in title


def test_lists_are_searched_and_cut(served: Served, midstage: Midstage) -> None:
    done = midstage("get", "nodes", "-l", "zone", "-o", "json", *served.asked)
    document = json.loads(done.stdout)
    assert [node["name"] for node in document["nodes"]] == ["a"]
    assert document["clusters"][0]["reachable"]
    done = midstage("get", "pods", "-q", "CHAT-ABC", "--limit", "2", *served.asked)
    assert len(done.stdout.splitlines()) == 3
    done = midstage("get", "pods", "--phase", "pending", *served.asked)
    assert (done.stdout, done.returncode) == ("", 0)
    done = midstage("get", "pods", "-l", "a=b=c", *served.asked)
    assert done.returncode == 1
    assert "no demand on labels" in done.stderr
    done = midstage("get", "workloads", *served.asked)
    title, row = done.stdout.splitlines()
    assert title.split() == ["NAME", "CLUSTER", "APP", "REVISION", "REPLICAS", "READY"]
    assert row.split() == ["chat-abc", "local", "chat", "abc", "3", "3"]
    done = midstage("get", "endpoints", *served.asked)
    assert "nothing found" in done.stderr
