"""Where a pod of Kubernetes is in its life: each case as real clusters tell it."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.cluster.kubernetes import shapes
from midstage.cluster.kubernetes.nodes import node_of
from midstage.cluster.kubernetes.pods import is_over, pod_of
from midstage.cluster.objects import Node, Pod
from midstage.contracts.apps import Toleration
from midstage.contracts.cluster import Amount, Phase, Taint

from .apiserver import Json

CREATED, STARTED, LATER = (f"2026-11-26T10:00:{s:02}Z" for s in (0, 5, 9))
OURS: dict[str, Json] = {
    "midstage.dev/app": "ocr",
    "midstage.dev/revision": "r1",
    "midstage.dev/workload": "ocr-r1",
}
RUNNING: Json = {"running": {"startedAt": STARTED}}
ENDED: Json = {
    "terminated": {
        "exitCode": 3,
        "reason": "Error",
        "message": "one\ntwo\nthree\nfour\nfive\nsix\nseven\n",
        "startedAt": STARTED,
    }
}


def told(
    *,
    status: dict[str, Json] | None = None,
    container: dict[str, Json] | None = None,
    ready: str | None = None,
    ready_at: str = CREATED,
    why: str = "ContainersNotReady",
    node: str = "n1",
    meta: dict[str, Json] | None = None,
    spec: dict[str, Json] | None = None,
) -> Pod:
    """A pod of ours whose container is so."""
    conditions: list[Json] = []
    if ready is not None:
        reason = {} if ready == "True" else {"reason": why, "message": "it answers 503"}
        at = {"lastTransitionTime": ready_at}
        conditions.append({"type": "Ready", "status": ready, **reason, **at})
    statuses: list[Json] = (
        [{"name": "app", "ready": ready == "True", **container}] if container else []
    )
    return pod_of(
        shape(
            {
                "metadata": {
                    "name": "ocr-r1-x",
                    "namespace": "default",
                    "uid": "u",
                    "resourceVersion": "7",
                    "creationTimestamp": CREATED,
                    "labels": OURS,
                    **(meta or {}),
                },
                "spec": {
                    "nodeName": node,
                    "containers": [
                        {
                            "name": "app",
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "resources": {"requests": {"cpu": "100m", "memory": "16Mi"}},
                        }
                    ],
                    **(spec or {}),
                },
                "status": {
                    "phase": "Pending",
                    "podIP": "10.0.0.7",
                    "conditions": conditions,
                    "containerStatuses": statuses,
                    **(status or {}),
                },
            }
        ),
        "default",
    )


def shape(told: Json) -> shapes.Pod:
    return msgspec.json.decode(msgspec.json.encode(told), type=shapes.Pod)


def test_on_no_node_it_waits_with_the_schedulers_words() -> None:
    words = "0/4 nodes are available: 4 Insufficient cpu."
    pod = told(
        node="",
        status={
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": words,
                }
            ]
        },
    )
    assert (pod.phase, pod.reason, pod.message) == (Phase.PENDING, "Unschedulable", words)
    assert told(node="").phase is Phase.PENDING


def test_its_priority_is_told_with_whether_it_has_others_evicted() -> None:
    spec: dict[str, Json] = {"priority": -5, "priorityClassName": "low"}
    pod = told(spec=spec)
    assert (pod.priority, pod.priority_class, pod.preempts) == (-5, "low", True)
    assert not told(spec={**spec, "preemptionPolicy": "Never"}).preempts
    assert told().priority is None


def test_while_it_waits_it_says_which_nodes_would_take_it() -> None:
    spec: dict[str, Json] = {
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [
            {"key": "dedicated", "operator": "Equal", "value": "batch", "effect": "NoSchedule"},
            {"key": "spot", "operator": "Exists"},
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
            {"operator": "Exists"},
        ],
    }
    waits = told(node="", spec=spec)
    assert waits.node_selector == {"pool": "gpu"}
    assert waits.tolerations == (
        Toleration(key="dedicated", value="batch"),
        Toleration(key="spot"),
    )
    placed = told(spec=spec)
    assert (placed.node_selector, placed.tolerations) == ({}, ())
    assert told(node="", spec={"tolerations": None}).tolerations == ()


def test_before_its_container_is_made_it_starts() -> None:
    pod = told()
    assert (pod.phase, pod.reason, pod.ready_at) == (Phase.STARTING, "ContainerCreating", None)
    creating = told(container={"state": {"waiting": {"reason": "ContainerCreating"}}})
    assert (creating.phase, creating.reason) == (Phase.STARTING, "ContainerCreating")


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "CreateContainerError"])
def test_what_can_not_start_says_why(reason: str) -> None:
    waiting: Json = {"waiting": {"reason": reason, "message": "no such image"}}
    pod = told(container={"state": waiting}, ready="False")
    assert (pod.phase, pod.reason, pod.message) == (Phase.BACKOFF, reason, "no such image")
    assert pod.exit_code is None


def test_it_starts_until_it_is_ready() -> None:
    pod = told(container={"state": RUNNING}, ready="False", ready_at=CREATED)
    assert (pod.phase, pod.ready, pod.ready_at) == (Phase.STARTING, False, None)
    assert pod.started_at == datetime(2026, 11, 26, 10, 0, 5, tzinfo=UTC)


def test_it_runs_once_it_is_ready() -> None:
    pod = told(container={"state": RUNNING}, ready="True", ready_at=LATER)
    assert (pod.phase, pod.ready) == (Phase.RUNNING, True)
    assert pod.ready_at == datetime(2026, 11, 26, 10, 0, 9, tzinfo=UTC)
    assert (pod.app, pod.revision, pod.workload, pod.node) == ("ocr", "r1", "ocr-r1", "n1")
    assert (pod.address, pod.resource_version) == ("10.0.0.7:8080", 7)


def test_it_still_runs_when_it_is_not_ready_any_more() -> None:
    pod = told(container={"state": RUNNING}, ready="False", ready_at=LATER)
    assert (pod.phase, pod.ready, pod.reason) == (Phase.RUNNING, False, "Unready")
    assert pod.message == "it answers 503"
    assert pod.ready_at is not None


@pytest.mark.parametrize(
    "container",
    [
        pytest.param({"state": ENDED}, id="just now"),
        pytest.param(
            {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ENDED}, id="waits"
        ),
    ],
)
def test_a_crash_is_told_with_its_code_and_last_lines(container: dict[str, Json]) -> None:
    pod = told(container={**container, "restartCount": 2}, ready="False")
    assert (pod.phase, pod.reason, pod.exit_code) == (Phase.BACKOFF, "CrashLoopBackOff", 3)
    assert pod.message == "exit code 3:\nthree\nfour\nfive\nsix\nseven"
    assert pod.restarts == 2


def test_what_killed_it_is_named() -> None:
    killed: Json = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": STARTED}}
    pod = told(container={"state": killed}, ready="False")
    assert (pod.reason, pod.message) == ("OOMKilled", "OOMKilled, exit code 137")


def test_after_a_crash_it_starts_again_and_the_crash_is_remembered() -> None:
    again: Json = {"running": {"startedAt": LATER}}
    pod = told(container={"state": again, "lastState": ENDED}, ready="False", ready_at=CREATED)
    assert (pod.phase, pod.reason, pod.exit_code) == (Phase.STARTING, "", 3)
    assert "seven" in pod.message


def test_told_to_end_it_stops_and_is_not_ready() -> None:
    pod = told(container={"state": RUNNING}, ready="True", meta={"deletionTimestamp": LATER})
    assert (pod.phase, pod.ready) == (Phase.STOPPING, False)


@pytest.mark.parametrize("deleted", [{}, {"deletionTimestamp": LATER}], ids=["kept", "taken"])
def test_with_its_node_it_is_lost(deleted: dict[str, Json]) -> None:
    pod = told(
        container={"state": RUNNING, "ready": True},
        ready="False",
        ready_at=LATER,
        why="",
        meta=deleted,
    )
    assert (pod.phase, pod.ready, pod.reason) == (Phase.LOST, False, "NodeLost")


def test_a_gate_that_is_shut_is_no_lost_node() -> None:
    pod = told(
        container={"state": RUNNING, "ready": True},
        ready="False",
        ready_at=LATER,
        why="ReadinessGatesNotReady",
    )
    assert (pod.phase, pod.reason) == (Phase.RUNNING, "Unready")


def test_the_address_of_this_machine_comes_before_its_ip() -> None:
    pod = told(meta={"annotations": {"midstage.dev/address": "127.0.0.1:4000"}})
    assert pod.address == "127.0.0.1:4000"
    assert told(status={"podIP": "fd00::7"}).address == "[fd00::7]:8080"
    assert told(status={"podIP": ""}).address == ""


def test_a_mark_says_that_it_drains() -> None:
    for mark, draining in (("true", True), ("false", False)):
        annotations: Json = {"midstage.dev/draining": mark}
        assert told(meta={"annotations": annotations}).draining is draining


@pytest.mark.parametrize("strange", [{"namespace": "other"}, {"labels": {"app": "x"}}])
def test_pods_of_others_are_told_for_their_room_alone(strange: dict[str, Json]) -> None:
    pod = told(container={"state": RUNNING}, ready="True", meta=strange)
    assert (pod.app, pod.revision, pod.workload) == ("", "", "")
    assert (pod.requests, pod.node) == (Amount(cpu=0.1, memory_mb=16), "n1")


@pytest.mark.parametrize(
    ("phase", "over"), [("Failed", True), ("Succeeded", True), ("Running", False)]
)
def test_who_has_ended_for_good_is_over(phase: str, over: bool) -> None:
    assert is_over(shape({"metadata": {}, "status": {"phase": phase}})) is over


def test_its_room_is_that_of_all_containers_or_of_the_greediest_beginning() -> None:
    def of(**cpu: str) -> Json:
        return {"resources": {"requests": {**cpu}}}

    def asked(first: list[Json]) -> float:
        spec: Json = {"containers": [of(cpu="1"), of(cpu="500m")], "initContainers": first}
        return pod_of(shape({"metadata": {}, "spec": spec}), "default").requests.cpu

    sidecar: Json = {"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}
    assert asked([]) == 1.5
    assert asked([of(cpu="2")]) == 2
    assert asked([sidecar]) == 2.5
    assert asked([sidecar, of(cpu="4")]) == 5


STATES = st.sampled_from([{}, RUNNING, ENDED, {"waiting": {"reason": "CrashLoopBackOff"}}])
TIMES = st.sampled_from([CREATED, STARTED, LATER])


@given(
    ready=st.sampled_from(["True", "False", "Unknown", None]),
    at=TIMES,
    state=STATES,
    last=STATES,
    node=st.sampled_from(["", "n1"]),
    stopping=st.booleans(),
)
def test_whatever_is_told_its_ready_and_its_phase_agree(
    *, ready: str | None, at: str, state: Json, last: Json, node: str, stopping: bool
) -> None:
    meta: dict[str, Json] = {"deletionTimestamp": LATER} if stopping else {}
    container: dict[str, Json] = {"state": state, "lastState": last}
    pod = told(container=container, ready=ready, ready_at=at, node=node, meta=meta)
    if pod.ready:
        assert (pod.phase, pod.reason) == (Phase.RUNNING, "")
        assert pod.ready_at is not None
    if stopping:
        assert pod.phase in (Phase.STOPPING, Phase.LOST)
    if pod.phase is Phase.RUNNING:
        assert pod.ready_at is not None
    if not node and not stopping:
        assert pod.phase is Phase.PENDING or pod.phase is Phase.LOST


def node(**other: Json) -> Node:
    told: Json = {
        "metadata": {"name": "n", "uid": "u", "resourceVersion": "3", "labels": {"zone": "a"}},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "3900m", "memory": "4Gi"},
            "capacity": {"cpu": "4", "memory": "5Gi"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
        **other,
    }
    return node_of(msgspec.json.decode(msgspec.json.encode(told), type=shapes.Node))


def test_a_node_has_what_pods_may_have_of_it() -> None:
    assert node() == Node(
        name="n",
        capacity=Amount(cpu=3.9, memory_mb=4096),
        labels={"zone": "a"},
        uid="u",
        resource_version=3,
    )


def test_a_silent_node_is_not_ready_and_its_own_taints_say_nothing_more() -> None:
    condition: Json = {
        "type": "Ready",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
    }
    taints: list[Json] = [
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
        {"key": "dedicated", "value": "batch", "effect": "NoSchedule"},
        {"key": "rather-not", "effect": "PreferNoSchedule"},
    ]
    found = node(spec={"unschedulable": True, "taints": taints}, status={"conditions": [condition]})
    assert (found.ready, found.schedulable) == (False, False)
    assert found.reason == "NodeStatusUnknown: Kubelet stopped posting node status."
    assert found.taints == (Taint(key="dedicated", value="batch"),)


def test_a_node_that_has_said_nothing_yet_is_not_ready() -> None:
    assert not node(status={}).ready
