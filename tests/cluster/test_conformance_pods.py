"""Conformance: where pods come to be, how they fare, and leases. The suite knows only a Bench."""

import re
import threading
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from midstage.cluster.objects import Change, Lease, Pod, Template, Workload
from midstage.contracts.apps import Toleration
from midstage.contracts.cluster import Phase

from .bench import Bench, needing, sized
from .watching import Watching

pytestmark = pytest.mark.slow
TAINTED = re.compile(
    r"0/4 nodes are available: .*1 node\(s\) had untolerated taint(\(s\)| {dedicated: batch})"
)


def tolerating(template: Template, key: str, value: str | None = None) -> Template:
    return msgspec.structs.replace(template, tolerations=(Toleration(key=key, value=value),))


def test_without_room_the_scheduler_says_why_until_there_is(bench: Bench) -> None:
    big = bench.workload(needing(bench.serving, cpu=3), replicas=4)
    bench.put(big)
    waiting = waits_beside(bench, big, ready=3)
    assert (waiting.phase, waiting.node, waiting.address) == (Phase.PENDING, "", "")
    assert TAINTED.match(waiting.message)
    assert "3 Insufficient cpu." in waiting.message
    other = bench.workload(needing(bench.serving, cpu=2))
    bench.put(other)
    bench.put(big, replicas=2)
    bench.ready(big, 2)
    bench.ready(other, 1)


def waits_beside(bench: Bench, workload: Workload, *, ready: int) -> Pod:
    """Wait until so many pods are ready, and the scheduler has said of the last that it waits."""

    def found() -> list[Pod]:
        pods = bench.pods(workload)
        waiting = [pod for pod in pods if pod.reason == "Unschedulable"]
        return waiting if sum(pod.ready for pod in pods) == ready == len(pods) - 1 else []

    (waiting,) = bench.until(found)
    return waiting


def test_all_shortages_of_a_node_are_told(bench: Bench) -> None:
    huge = bench.workload(needing(bench.serving, cpu=5, memory_mb=5000, gpus=9))
    bench.put(huge)
    message = bench.unschedulable(huge).message
    assert TAINTED.match(message)
    assert "3 Insufficient cpu, 3 Insufficient memory, 3 Insufficient nvidia.com/gpu." in message


def test_a_tainted_node_takes_only_who_tolerates_it(bench: Bench) -> None:
    wanted = needing(bench.serving, cpu=10)
    workload = bench.workload(tolerating(wanted, "dedicated", "batch"))
    bench.put(workload)
    assert bench.ready(workload, 1)[0].node == "tainted"
    for strange in (wanted, tolerating(wanted, "dedicated", "web"), tolerating(wanted, "other")):
        refused = bench.workload(strange)
        bench.put(refused)
        assert TAINTED.match(bench.unschedulable(refused).message)


def test_a_selector_chooses_the_node(bench: Bench) -> None:
    chosen = msgspec.structs.replace(bench.serving, node_selector={"zone": "b"})
    workload = bench.workload(chosen, replicas=2)
    bench.put(workload)
    assert {pod.node for pod in bench.ready(workload, 2)} == {"other"}
    nowhere = bench.workload(msgspec.structs.replace(bench.serving, node_selector={"zone": "c"}))
    bench.put(nowhere)
    message = bench.unschedulable(nowhere).message
    assert "3 node(s) didn't match Pod's node affinity/selector" in message


def test_gpus_are_whole_and_used_once(bench: Bench) -> None:
    workload = bench.workload(needing(bench.serving, gpus=1), replicas=2)
    bench.put(workload)
    waiting = waits_beside(bench, workload, ready=1)
    (running,) = [pod for pod in bench.pods(workload) if pod.ready]
    assert running.node == "gpu"
    assert "1 Insufficient nvidia.com/gpu" not in waiting.message
    assert "3 Insufficient nvidia.com/gpu" in waiting.message


def test_a_crash_is_told_with_its_last_lines_and_tried_again(bench: Bench) -> None:
    workload = bench.workload(bench.crashing)
    bench.put(workload)
    pod = bench.one(workload, lambda pod: pod.reason == "CrashLoopBackOff")
    assert (pod.phase, pod.ready, pod.exit_code) == (Phase.BACKOFF, False, 3)
    assert pod.message.split("seven")[0].split()[-4:] == ["three", "four", "five", "six"]
    assert "two" not in pod.message
    assert bench.one(workload, lambda pod: pod.restarts >= 2).uid == pod.uid
    known = bench.known(workload.name)
    assert known is not None
    assert known.ready == 0


def test_who_never_answers_well_never_gets_ready(bench: Bench) -> None:
    deaf, good = bench.workload(bench.deaf), bench.workload()
    bench.put(deaf)
    bench.one(deaf, lambda pod: pod.address)
    bench.put(good)
    bench.ready(good, 1)
    pod = bench.only(deaf)
    assert (pod.phase, pod.ready, pod.ready_at) == (Phase.STARTING, False, None)


def test_who_was_ready_can_be_unready(bench: Bench) -> None:
    workload = bench.workload()
    bench.put(workload)
    (pod,) = bench.ready(workload, 1)
    bench.unready(pod)
    after = bench.one(workload, lambda pod: not pod.ready)
    assert (after.phase, after.uid, after.reason) == (Phase.RUNNING, pod.uid, "Unready")
    assert "503" in after.message
    bench.until(lambda: (known := bench.known(workload.name)) and known.ready == 0)


def test_pods_of_a_dead_node_are_lost_and_replaced_elsewhere(bench: Bench) -> None:
    workload = bench.workload(needing(bench.serving, cpu=3), replicas=2)
    bench.put(workload)
    lost, kept = bench.ready(workload, 2)
    watching = Watching(bench.cluster.watch(bench.cluster.list().resource_version))
    bench.node_dies(lost.node)

    def is_lost(seen: Sequence[Change]) -> bool:
        nodes = [each.node.ready for each in seen if each.node and each.node.name == lost.node]
        pods = [each.pod for each in seen if each.pod and each.pod.uid == lost.uid]
        told = [(pod.phase, pod.ready, pod.reason) for pod in pods]
        return False in nodes and (Phase.LOST, False, "NodeLost") in told

    watching.until(is_lost)  # a local cluster keeps it for 2 s only
    bench.until(
        lambda: (
            {pod.node for pod in bench.pods(workload) if pod.ready}
            == {"plain", "other", "gpu"} - {lost.node}
        )
    )
    pods = [pod for pod in bench.pods(workload) if pod.ready]
    assert kept.uid in {pod.uid for pod in pods}
    assert lost.uid not in {pod.uid for pod in pods}  # where it is still told, it is lost
    bench.put(workload, replicas=3)
    words = ("1 node(s) were not ready", "untolerated taint(s)")  # Kubernetes taints such a node
    bench.until(
        lambda: [
            pod
            for pod in bench.pods(workload)
            if pod.reason == "Unschedulable" and any(each in pod.message for each in words)
        ]
    )
    bench.node_returns(lost.node)
    bench.ready(workload, 3)


def test_a_lease_has_one_holder_until_it_runs_out(bench: Bench) -> None:
    name, long = bench.workload().app, timedelta(seconds=600)
    first = bench.cluster.take_lease(name, holder="a", within=long)
    assert (first.holder, first.epoch) == ("a", 1)
    told = bench.cluster.take_lease(name, holder="b", within=long)
    assert (told.holder, told.epoch) == ("a", 1)
    assert told.expires_at == first.expires_at
    renewed = bench.cluster.take_lease(name, holder="a", within=long + timedelta(seconds=60))
    assert renewed.epoch == 1
    assert renewed.expires_at > first.expires_at
    bench.cluster.take_lease(name, holder="a", within=timedelta(seconds=1))
    bench.until(lambda: bench.cluster.take_lease(name, holder="b", within=long).holder == "b")
    taken = bench.cluster.take_lease(name, holder="a", within=long)
    assert (taken.holder, taken.epoch) == ("b", 2)


def test_a_lease_that_only_its_holder_wants_keeps_its_epoch(bench: Bench) -> None:
    name = bench.workload().app
    first = bench.cluster.take_lease(name, holder="a", within=timedelta(milliseconds=1))
    later = bench.cluster.take_lease(name, holder="a", within=timedelta(seconds=1))
    assert later.epoch == first.epoch


def test_leases_of_other_names_do_not_matter(bench: Bench) -> None:
    one, two = bench.workload().app, bench.workload().app
    within = timedelta(seconds=60)
    assert bench.cluster.take_lease(one, holder="a", within=within).holder == "a"
    assert bench.cluster.take_lease(two, holder="b", within=within).holder == "b"


def test_of_contenders_one_holds_the_lease(bench: Bench) -> None:
    name, answers = bench.workload().app, list[Lease]()

    def take(holder: str) -> None:
        answers.append(bench.cluster.take_lease(name, holder=holder, within=timedelta(seconds=60)))

    threads = [threading.Thread(target=take, args=(f"holder-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len({(lease.holder, lease.epoch) for lease in answers}) == 1


def test_more_replicas_than_one_step(bench: Bench) -> None:
    workload = bench.workload(replicas=1)
    bench.put(workload)
    (first,) = bench.ready(workload, 1)
    bench.cluster.put_workload(
        sized(workload, 4),
        expected=next(
            each.resource_version
            for each in bench.cluster.list().workloads
            if each.name == workload.name
        ),
    )
    assert first.uid in {pod.uid for pod in bench.ready(workload, 4)}
