"""Pods of a real Kubernetes are processes of this machine: how they start, fare and end."""

import sys
import threading
from pathlib import Path

import msgspec
import pytest

from midstage.cluster.faults import CrashLoop, ImagePull, KillPod, SlowStart
from midstage.contracts.errors import RefusedError
from midstage.testkit.waiting import within
from tests import patient
from tests.kubernetes import Kubernetes

from .world import WITHIN_S, World, get, script, serves

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]

INSIDE = Path(__file__).parent / "inside.py"


def asked(address: str, path: str) -> int:
    return patient.get(f"http://{address}{path}", trust_env=False).status_code


def test_a_pod_is_a_process_that_serves_where_its_annotation_says(world: World) -> None:
    world.pod("a", serves(readinessProbe=get("/readyz")))
    pod = world.ready("a")
    assert asked(pod.address, "/readyz") == 200
    assert (pod.status.phase, pod.restarts) == ("Running", 0)
    assert pod.spec.node_name in {"plain", "other", "gpu"}
    asked(pod.address, "/unready")
    within(WITHIN_S, lambda: "GET /readyz answers 503" in world.seen("a").unready)


def test_its_log_is_there_where_the_api_server_asks(world: World) -> None:
    world.pod("a", serves(readinessProbe=get("/readyz")))
    world.ready("a")
    assert world.log("a") == "hello\nserving\n"
    assert world.log("a", "tailLines=1") == "serving\n"
    assert world.log("a", "limitBytes=3") == "hel"
    with pytest.raises(RefusedError, match="no such run"):
        world.log("a", "previous=true")
    with pytest.raises(RefusedError, match="timestamps"):
        world.log("a", "timestamps=true")
    followed: list[bytes] = []

    def follow() -> None:
        path = f"/api/v1/namespaces/{world.namespace}/pods/a/log"
        with world.connection.stream(path, query={"follow": "true"}, silent_s=WITHIN_S) as stream:
            followed.extend(stream.pieces)

    following = threading.Thread(target=follow)
    following.start()
    within(WITHIN_S, lambda: b"".join(followed) == b"hello\nserving\n")
    world.delete("a")
    following.join(timeout=WITHIN_S)
    assert not following.is_alive()
    assert b"".join(followed) == b"hello\nserving\n"


def test_a_crash_is_told_with_its_code_and_last_words_and_tried_again(world: World) -> None:
    world.pod("a", serves("crash"))
    pod = world.waits("a", "CrashLoopBackOff")
    assert (pod.ended.exit_code, pod.ended.reason) == (3, "Error")
    assert pod.ended.message.endswith("six\nseven\n")
    assert (pod.ready, pod.status.phase) == (False, "Running")
    within(WITHIN_S, lambda: world.seen("a").restarts >= 2)
    within(WITHIN_S, lambda: "seven" in world.log("a", "previous=true&tailLines=1"))


def test_a_secret_is_waited_for_and_given_as_variable_and_file(world: World) -> None:
    ref = {"secretKeyRef": {"name": "s", "key": "key"}}
    check = 'test "$KEY" = open && test "$(cat $MIDSTAGE_MOUNTS/etc/keys/key)" = open'
    container = serves(
        env=[{"name": "KEY", "valueFrom": ref}],
        volumeMounts=[{"name": "keys", "mountPath": "/etc/keys"}],
        startupProbe=script(check),
    )
    world.pod("a", container, volumes=[{"name": "keys", "secret": {"secretName": "s"}}])
    pod = world.waits("a", "CreateContainerConfigError")
    assert pod.waiting.message == 'secret "s" not found'
    secret = {"metadata": {"name": "s"}, "stringData": {"key": "open"}}
    world.ask("POST", f"/api/v1/namespaces/{world.namespace}/secrets", secret)
    assert world.ready("a").restarts == 0


def test_in_a_pod_the_api_is_asked_with_the_rights_of_its_account(world: World) -> None:
    at = f"/api/v1/namespaces/{world.namespace}"
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{world.namespace}"
    world.ask("POST", f"{at}/serviceaccounts", {"metadata": {"name": "looker"}})
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    world.ask("POST", f"{rbac}/roles", {"metadata": {"name": "looks"}, "rules": [rule]})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "looks"}
    who = {"kind": "ServiceAccount", "name": "looker", "namespace": world.namespace}
    binding = {"metadata": {"name": "looks"}, "roleRef": role, "subjects": [who]}
    world.ask("POST", f"{rbac}/rolebindings", binding)
    world.pod("inside", {"command": [sys.executable, str(INSIDE)]}, serviceAccountName="looker")
    log = within(WITHIN_S, lambda: said if "refused" in (said := logged(world)) else "", every=0.5)
    assert log is not None
    sees, refused = log.splitlines()
    assert sees == "sees inside"
    assert refused.startswith("refused 403 ")
    assert f'"system:serviceaccount:{world.namespace}:looker"' in refused


def logged(world: World) -> str:
    """What it has said so far; nothing before it was begun."""
    try:
        return world.log("inside")
    except RefusedError:
        return ""


def test_a_check_that_fails_too_often_restarts_and_says_why(world: World) -> None:
    world.pod("a", serves(startupProbe=script("echo no model; exit 4", failureThreshold=2)))
    pod = world.waits("a", "CrashLoopBackOff")
    said = "the startup probe failed (command ended with 4: no model)"
    assert pod.waiting.message.startswith(said)
    within(WITHIN_S, lambda: world.seen("a").restarts >= 1)


def test_a_check_is_tried_until_it_is_well(world: World, tmp_path: Path) -> None:
    model = tmp_path / "model"
    world.pod("a", serves(startupProbe=script(f"test -f {model}", failureThreshold=600)))
    within(WITHIN_S, lambda: "ended with 1" in str(world.seen("a").status.conditions))
    assert not world.seen("a").ready
    model.touch()
    assert world.ready("a").restarts == 0


def test_who_is_not_alive_is_restarted(world: World) -> None:
    probe = get("/healthz", failureThreshold=3)
    world.pod("a", serves(livenessProbe=probe, readinessProbe=get("/readyz")))
    pod = world.ready("a")
    asked(pod.address, "/unhealthy")
    after = world.ready("a", restarts=pod.restarts + 1)
    assert (after.metadata.uid, after.ended.exit_code) == (pod.metadata.uid, 143)


def test_the_end_is_unready_then_pre_stop_then_sigterm(world: World, tmp_path: Path) -> None:
    story = tmp_path / "story"
    program = (
        f"trap 'echo term >> {story}; exit 0' TERM; echo began >> {story};"
        " while true; do sleep 0.05; done"
    )
    gate = tmp_path / "gate"
    stop = f"echo stopping >> {story}; while [ ! -f {gate} ]; do sleep 0.05; done"
    container = {
        "command": ["/bin/sh", "-c", program],
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", stop]}}},
    }
    world.pod("a", container, grace_s=60)
    within(WITHIN_S, lambda: story.exists() and world.seen("a").ready)
    world.delete("a")
    within(WITHIN_S, lambda: not world.seen("a").ready)
    within(WITHIN_S, lambda: story.read_text() == "began\nstopping\n")
    gate.touch()
    within(WITHIN_S, lambda: world.gone("a"))
    assert story.read_text() == "began\nstopping\nterm\n"


def test_who_hears_no_sigterm_ends_with_its_grace(world: World) -> None:
    world.pod("a", serves("deaf"), grace_s=1)
    world.ready("a")
    world.delete("a")
    within(WITHIN_S, lambda: world.gone("a"))


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
def test_a_pod_that_runs_once_is_over_with_its_process(world: World, code: int, phase: str) -> None:
    world.pod("a", {"command": ["/bin/sh", "-c", f"exit {code}"]}, restartPolicy="Never")
    within(WITHIN_S, lambda: world.seen("a").status.phase == phase)
    state = world.seen("a").container.state.terminated
    assert state is not None
    assert state.exit_code == code
    world.delete("a")
    within(WITHIN_S, lambda: world.gone("a"))


def test_an_image_nobody_knows_is_not_pulled(world: World) -> None:
    world.pod("a", {"image": "nobody/knows:1"})
    pod = world.waits("a", "ImagePullBackOff")
    assert "image nobody/knows:1 is not known" in pod.waiting.message
    assert (pod.status.phase, pod.restarts) == ("Pending", 0)


def test_faults_of_an_application_hold_until_they_are_taken_back(
    world: World, kubernetes: Kubernetes
) -> None:
    app = world.namespace
    labels = {"metadata": {"labels": {"midstage.dev/app": app, "midstage.dev/revision": "1"}}}

    def made(name: str) -> None:
        world.pod(name, serves(readinessProbe=get("/readyz")), schedulingGates=[{"name": "x/y"}])
        path = f"/api/v1/namespaces/{world.namespace}/pods/{name}"
        open_gate = {**labels, "spec": {"schedulingGates": []}}
        world.ask("PATCH", path, open_gate, kind="application/merge-patch+json")

    made("crashes")
    world.ready("crashes")
    kubernetes.fault(CrashLoop(app=app, exit_code=42))
    assert world.waits("crashes", "CrashLoopBackOff").restarts >= 0
    within(WITHIN_S, lambda: world.seen("crashes").ended.exit_code == 42)
    kubernetes.fault(CrashLoop(app=app, off=True))
    within(WITHIN_S, lambda: world.seen("crashes").ready)
    kubernetes.fault(ImagePull(app=app, revision="1"))
    made("unpulled")
    assert "a fault on demand" in world.waits("unpulled", "ImagePullBackOff").waiting.message
    kubernetes.fault(ImagePull(app=app, revision="1", off=True))
    world.ready("unpulled")
    kubernetes.fault(SlowStart(app=app, seconds=3600))
    made("slow")
    assert "3600 s later" in within(WITHIN_S, lambda: world.seen("slow").waiting.message)
    kubernetes.fault(SlowStart(app=app, seconds=0))


def test_a_killed_process_is_restarted(world: World, kubernetes: Kubernetes) -> None:
    name = f"pod-{world.namespace}"
    world.pod(name, serves(readinessProbe=get("/readyz")))
    world.ready(name)
    kubernetes.fault(KillPod(pod=name))
    assert world.ready(name, restarts=1).ended.exit_code == 137


class Usage(msgspec.Struct):
    cpu: str
    memory: str


class ContainerUse(msgspec.Struct):
    usage: Usage


class Named(msgspec.Struct):
    name: str


class Use(msgspec.Struct):
    metadata: Named
    containers: list[ContainerUse] = []


class Uses(msgspec.Struct):
    items: list[Use]


def test_what_pods_use_is_told_by_the_metrics_api(world: World) -> None:
    world.pod("busy", {"command": ["/bin/sh", "-c", "while true; do :; done"]})
    base = f"/apis/metrics.k8s.io/v1beta1/namespaces/{world.namespace}/pods"

    def used() -> Use | None:
        found = msgspec.json.decode(world.ask("GET", base), type=Uses).items
        return next((each for each in found if each.containers[0].usage.cpu != "0n"), None)

    use = within(WITHIN_S, used, every=0.2)
    assert use is not None
    assert use.metadata.name == "busy"
    assert use.containers[0].usage.memory.endswith("Ki")
    one = msgspec.json.decode(world.ask("GET", f"{base}/busy"), type=Use)
    assert one.metadata.name == "busy"
    root = "/apis/metrics.k8s.io/v1beta1"
    everywhere = msgspec.json.decode(world.ask("GET", f"{root}/pods"), type=Uses)
    assert "busy" in {each.metadata.name for each in everywhere.items}
    nodes = msgspec.json.decode(world.ask("GET", f"{root}/nodes"), type=Uses)
    assert {"plain", "other", "gpu"} <= {each.metadata.name for each in nodes.items}
    with pytest.raises(RefusedError):
        world.ask("GET", f"{base}/nobody")


class Endpoint(msgspec.Struct):
    addresses: list[str]


class Slice(msgspec.Struct):
    endpoints: list[Endpoint] | None = None


class Slices(msgspec.Struct):
    items: list[Slice]


def test_a_ready_pod_is_an_endpoint_of_its_service(world: World) -> None:
    service = {
        "metadata": {"name": "a"},
        "spec": {"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    world.ask("POST", f"/api/v1/namespaces/{world.namespace}/services", service)
    world.pod("a", serves(readinessProbe=get("/readyz")))
    pod = world.ready("a")
    path = f"/apis/discovery.k8s.io/v1/namespaces/{world.namespace}/endpointslices"

    def addresses() -> list[str]:
        slices = msgspec.json.decode(world.ask("GET", path), type=Slices).items
        return [a for each in slices for one in each.endpoints or [] for a in one.addresses]

    within(WITHIN_S, lambda: addresses() == [pod.status.pod_ip], every=0.1)
