"""Pods of the local cluster are real processes: how they start, are asked, end, and fail."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from midstage.cluster.faults import (
    Cordon,
    CrashLoop,
    FillNode,
    KillPod,
    NodeDies,
    NodeReturns,
    SlowStart,
)
from midstage.cluster.http import HttpCluster
from midstage.cluster.objects import Template
from midstage.contracts.apps import Probe
from midstage.contracts.cluster import Phase
from midstage.contracts.errors import RefusedError
from midstage.contracts.running import Check, Source, Volume
from midstage.local.pods.images import STAND_IN
from midstage.testkit.waiting import within
from tests import patient

from .bench import SMALL
from .daemon import QUICK, Daemon, asked, emptied, gone, processes, ready, runs, workload

pytestmark = [pytest.mark.slow, pytest.mark.platform]
LONG = timedelta(seconds=600)


@pytest.fixture
def daemon(suite_daemon: Daemon) -> Daemon:
    return suite_daemon


@pytest.fixture
def cluster(suite_daemon: Daemon) -> Iterator[HttpCluster]:
    with suite_daemon.client() as client:
        yield client
        within(60, lambda: emptied(client))


def test_an_open_request_ends_before_its_pod_does(cluster: HttpCluster) -> None:
    template = Template(
        image=STAND_IN,
        env={"MIDSTAGE_REPLICA_COLD_START_S": "0"},
        requests=SMALL,
        readiness=QUICK,
        grace_s=60,
    )
    cluster.put_workload(workload(template), expected=0)
    (pod,) = ready(cluster)
    answers: list[httpx.Response] = []

    def chat() -> None:
        # generated in 5 s: open for long enough to look at it on a machine that is busy
        body = {"model": "m", "max_tokens": 3600, "messages": [{"role": "user", "content": "hi"}]}
        url = f"http://{pod.address}/v1/chat/completions"
        answers.append(patient.post(url, json=body, trust_env=False))

    asking = threading.Thread(target=chat)
    asking.start()
    stats = f"http://{pod.address}/stats"
    within(60, lambda: patient.get(stats, trust_env=False).json()["active"] == 1)
    (known,) = cluster.list().workloads
    none = msgspec.structs.replace(known, replicas=0)
    cluster.put_workload(none, expected=known.resource_version)
    (stopping,) = cluster.list().pods
    assert (stopping.phase, stopping.ready) == (Phase.STOPPING, False)
    assert not answers
    asking.join()
    assert answers[0].status_code == 200
    within(60, lambda: not cluster.list().pods)


def test_who_does_not_hear_sigterm_is_killed_after_its_grace(
    daemon: Daemon, cluster: HttpCluster
) -> None:
    put = cluster.put_workload(workload(runs("deaf", grace_s=1)), expected=0)
    (pod,) = within(60, lambda: [pod for pod in cluster.list().pods if pod.address])
    within(60, lambda: b"".join(cluster.logs(pod.name)) == b"hello\nserving\n")
    (child,) = processes(daemon)
    asked_at = time.monotonic()
    cluster.delete_workload("app-1", expected=put.resource_version)
    within(60, lambda: gone(child))
    assert time.monotonic() - asked_at >= 1
    within(60, lambda: not cluster.list().pods)


def test_who_fails_its_liveness_probe_is_restarted(cluster: HttpCluster) -> None:
    alive = Probe(path="/healthz", every_s=0.1, timeout_s=60, failures=20, initial_delay_s=2)
    template = runs("serve", liveness=alive)
    cluster.put_workload(workload(template), expected=0)
    (pod,) = ready(cluster)
    changes = cluster.watch(cluster.list().resource_version)
    asked(pod, "/unhealthy")
    pods = (change.pod for change in changes if change.pod)
    ended = next(pod for pod in pods if pod.phase is Phase.BACKOFF)  # for 0.2 s only
    assert "the liveness probe failed (GET /healthz answers 503)" in ended.message
    assert ended.reason == "CrashLoopBackOff"
    (again,) = ready(cluster)
    assert again.uid == pod.uid
    assert again.restarts > pod.restarts


def test_a_pod_is_ready_when_its_checks_have_passed(cluster: HttpCluster, tmp_path: Path) -> None:
    may = tmp_path / "may"
    checks = (
        Check(name="first", script='test "$PORT" -gt 0'),
        Check(name="second", script=f"echo looking; test -e {may}"),
    )
    checked = msgspec.structs.replace(runs("serve"), checks=checks)
    cluster.put_workload(workload(checked), expected=0)
    (pod,) = within(60, lambda: [p for p in cluster.list().pods if p.started_at])
    within(60, lambda: b"looking" in b"".join(cluster.logs(pod.name)))
    assert not cluster.list().pods[0].ready
    may.touch()
    ready(cluster)


def test_a_check_that_never_passes_is_told_and_the_pod_restarted(cluster: HttpCluster) -> None:
    checks = (Check(name="warm", script="exit 4", within_s=1),)
    failing = msgspec.structs.replace(runs("serve"), checks=checks)
    cluster.put_workload(workload(failing), expected=0)
    (pod,) = within(60, lambda: [p for p in cluster.list().pods if p.restarts])
    assert "check warm ended with 4, 1 s after the start" in pod.message


def test_what_only_kubernetes_has_is_refused_and_not_ignored(cluster: HttpCluster) -> None:
    for field, value in (
        ("env_from", {"A": Source(secret="s", key="k")}),
        ("volumes", (Volume(path="/a", claim="c"),)),
        ("priority", "urgent"),
    ):
        wanted = workload(msgspec.structs.replace(runs("serve"), **{field: value}))
        with pytest.raises(RefusedError, match=f"template.{field}"):
            cluster.put_workload(wanted, expected=0)
        (refusal,) = cluster.preview(wanted, expected=0).refusals
        assert field in refusal


def test_restarts_wait_longer_each_time(cluster: HttpCluster) -> None:
    version = cluster.list().resource_version
    cluster.put_workload(workload(runs("crash")), expected=0)
    watch = cluster.watch(version)
    waits = []
    for change in watch:
        if change.pod and change.pod.phase is Phase.BACKOFF:
            waits.append(change.pod.message.rpartition("the next start is ")[2])
        if len(waits) == 3:
            break
    assert waits == ["0.2 s later", "0.4 s later", "0.8 s later"]


def test_an_image_that_is_not_known_is_told_and_tried_again(cluster: HttpCluster) -> None:
    cluster.put_workload(workload(Template(image="acme/ocr:3", requests=SMALL)), expected=0)
    (pod,) = within(60, lambda: [pod for pod in cluster.list().pods if pod.message])
    assert (pod.phase, pod.reason, pod.exit_code) == (Phase.BACKOFF, "ErrImagePull", None)
    assert "image acme/ocr:3 is not known" in pod.message
    assert STAND_IN in pod.message
    version = pod.resource_version
    (again,) = within(
        60, lambda: [pod for pod in cluster.list().pods if pod.resource_version > version]
    )
    assert again.restarts == 0


def test_a_command_that_is_not_there_is_told(cluster: HttpCluster) -> None:
    cluster.put_workload(workload(Template(command=("/no/such",), requests=SMALL)), expected=0)
    (pod,) = within(60, lambda: [pod for pod in cluster.list().pods if pod.message])
    assert pod.exit_code == 127
    assert "can't run /no/such: No such file or directory" in pod.message


def test_what_a_pod_started_does_not_outlive_it(cluster: HttpCluster) -> None:
    shell = "sleep 600 & echo $!; wait"
    cluster.put_workload(workload(Template(command=("/bin/sh", "-c", shell))), expected=0)
    (pod,) = within(60, lambda: [pod for pod in cluster.list().pods if pod.address])
    said = within(60, lambda: b"".join(cluster.logs(pod.name)))
    sleeper = psutil.Process(int(said))
    (known,) = cluster.list().workloads
    cluster.delete_workload(known.name, expected=known.resource_version)
    within(60, lambda: gone(sleeper))


def test_without_the_token_nothing_is_changed(daemon: Daemon, cluster: HttpCluster) -> None:
    with HttpCluster(name="c", base_url=daemon.base, token="wrong") as stranger:
        assert stranger.list().nodes
        with pytest.raises(RefusedError) as refused:
            stranger.put_workload(workload(runs("serve")), expected=0)
        assert refused.value.status == 401
    assert not cluster.list().workloads


def test_bad_bodies_are_refused_with_their_place(daemon: Daemon, cluster: HttpCluster) -> None:
    headers = {"authorization": f"Bearer {daemon.token_file.read_text().strip()}"}

    def told(path: str, body: bytes) -> tuple[int, str]:
        url = f"{daemon.base}{path}"
        answer = patient.request("PUT", url, content=body, headers=headers, trust_env=False)
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, answer.json()["detail"]

    assert told("/v1/workloads/a", b"{")[0] == 400
    assert told("/v1/workloads/a", b"{}") == (
        422,
        "body: Object missing required field `workload`",
    )
    other = msgspec.json.encode({"workload": workload(runs("serve")), "expected": 0})
    assert told("/v1/workloads/a", other)[0] == 422
    assert told("/v1/leases/a", b'{"holder":"a","within_s":1e9}')[0] == 422
    assert told("/v1/leases/a", b'{"holder":"","within_s":1}')[0] == 422
    assert cluster.list().workloads == ()


def test_a_second_daemon_on_the_folder_is_refused(daemon: Daemon, cluster: HttpCluster) -> None:
    second = subprocess.run(daemon.command(port=1), capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert (
        f"is held by the process with pid {daemon.process and daemon.process.pid}" in second.stderr
    )
    assert cluster.list().nodes


def test_a_pod_knows_its_name_its_port_and_the_speed(daemon: Daemon, cluster: HttpCluster) -> None:
    words = "$(POD_NAME) $(PORT) $(MIDSTAGE_SPEED) $(GREETING) $(NOBODY) $$(PORT)"
    template = Template(
        command=("/bin/sh", "-c", f"echo '{words}'; sleep 60"),
        env={"GREETING": "hello $(POD_NAME)", "PORT": "1"},
    )
    cluster.put_workload(workload(template), expected=0)
    (pod,) = within(60, lambda: [pod for pod in cluster.list().pods if pod.address])
    said = within(60, lambda: b"".join(cluster.logs(pod.name))).decode()
    port = pod.address.rpartition(":")[2]
    assert said == f"{pod.name} {port} 20 hello {pod.name} $(NOBODY) $(PORT)\n"


def test_faults_on_pods_are_as_asked(cluster: HttpCluster) -> None:
    cluster.put_workload(workload(runs("serve")), expected=0)
    (pod,) = ready(cluster)
    cluster.fault(KillPod(pod=pod.name, signal="SIGKILL"))
    (after,) = within(60, lambda: [pod for pod in cluster.list().pods if pod.restarts])
    assert (after.exit_code, after.uid) == (128 + signal.SIGKILL, pod.uid)
    ready(cluster)

    cluster.fault(CrashLoop(app="app", exit_code=7))
    (crashed,) = within(60, lambda: [p for p in cluster.list().pods if p.exit_code == 7])
    assert "crash loop" in crashed.message
    cluster.fault(CrashLoop(app="app", off=True))
    ready(cluster)

    cluster.fault(SlowStart(app="app", revision="1", seconds=600))
    (known,) = cluster.list().workloads
    two = msgspec.structs.replace(known, replicas=2)
    cluster.put_workload(two, expected=known.resource_version)
    (slow,) = [each for each in cluster.list().pods if each.uid != pod.uid]
    assert (slow.phase, slow.reason, slow.address) == (
        *(Phase.STARTING, "ContainerCreating"),
        "",
    )
    cluster.fault(SlowStart(app="app", revision="1", seconds=0))

    with pytest.raises(RefusedError, match="no process") as refused:
        cluster.fault(KillPod(pod="nobody"))
    assert refused.value.status == 404


def test_no_room_on_demand(cluster: HttpCluster) -> None:
    cluster.put_workload(workload(runs("serve")), expected=0)
    (pod,) = ready(cluster)
    for node in ("plain", "other", "gpu"):
        cluster.fault(FillNode(node=node))
    capacity = {node.name: node.capacity for node in cluster.list().nodes}
    assert capacity[pod.node] == SMALL
    cluster.put_workload(workload(runs("serve"), "full-1"), expected=0)
    (waiting,) = [each for each in cluster.list().pods if each.app == "full"]
    assert "3 Insufficient cpu, 3 Insufficient memory" in waiting.message
    cluster.fault(Cordon())
    (waiting,) = [each for each in cluster.list().pods if each.app == "full"]
    assert waiting.message == "0/4 nodes are available: 4 node(s) were unschedulable."
    cluster.fault(NodeReturns(node="plain"))
    ready(cluster, 2)
    with pytest.raises(RefusedError, match="there is no node moon"):
        cluster.fault(NodeDies(node="moon"))
    with pytest.raises(RefusedError, match="there is no node moon"):
        cluster.fault(NodeReturns(node="moon"))
