"""The inventory over HTTP: rows, filters, pages, and what is wrong with a question."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest

from midstage.cluster.memory import MemoryCluster
from midstage.contracts.cluster import Amount
from midstage.contracts.running import Disruption
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.control.conftest import TOKEN, cluster_of, pair_on, running, workload

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    http: httpx.Client
    cluster: MemoryCluster


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Three pods of chat that are ready, and one of ocr for which there is no room."""
    cluster = cluster_of(3)
    greedy = workload(1, app="ocr")
    template = msgspec.structs.replace(greedy.template, requests=Amount(gpus=99))
    cluster.put_workload(msgspec.structs.replace(greedy, template=template), expected=0)
    directory: Path = tmp_path_factory.mktemp("control")
    with running(pair_on(MemoryLog()), [cluster], directory) as http:
        within(60, lambda: len(http.get("/v1/pods").json()["pods"]) == 4)
        yield Served(http=http, cluster=cluster)


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [pod["name"] for pod in answer.json()["pods"]]


def test_nodes_say_what_they_have_and_what_is_asked_of_them(served: Served) -> None:
    answer = served.http.get("/v1/nodes").json()
    [node] = answer["nodes"]
    assert node["name"] == "node-1"
    assert node["ready"]
    assert node["capacity"] == {"cpu": 64, "memory_mb": 262_144, "gpus": 8}
    assert node["requested"] == {"cpu": 1.5, "memory_mb": 192, "gpus": 0}
    assert node["pods"] == 3
    assert node["used"] is None
    [cluster] = answer["clusters"]
    assert cluster["reachable"]
    assert served.http.get("/v1/clusters").json()["clusters"][0]["cluster"] == "local"


def test_a_node_with_its_pods(served: Served) -> None:
    node = served.http.get("/v1/nodes/node-1").json()
    assert len(node["running"]) == 3
    answer = served.http.get("/v1/nodes/nothing")
    assert answer.status_code == 404
    assert "nothing" in answer.json()["detail"]


def test_pods_by_application_node_readiness_and_name(served: Served) -> None:
    ask = served.http.get
    chat = sorted(pod.name for pod in served.cluster.pods("chat-abc"))
    assert names(ask("/v1/pods", params={"app": "chat"})) == chat
    assert names(ask("/v1/pods", params={"ready": "true"})) == chat
    assert names(ask("/v1/pods", params={"node": "node-1"})) == chat
    assert names(ask("/v1/pods", params={"q": chat[1]})) == [chat[1]]
    [waiting] = ask("/v1/pods", params={"ready": "false"}).json()["pods"]
    assert waiting["app"] == "ocr"
    assert waiting["phase"] == "pending"
    assert "Insufficient nvidia.com/gpu" in waiting["message"]


def test_pages_hold_every_pod_once(served: Served) -> None:
    seen: list[str] = []
    after = None
    while True:
        page = served.http.get("/v1/pods", params={"limit": 1, "after": after or ""})
        seen += names(page)
        after = page.json()["next"]
        if after is None:
            break
    assert seen == names(served.http.get("/v1/pods"))
    assert len(seen) == 4


def test_one_pod(served: Served) -> None:
    pod = served.cluster.pods("chat-abc")[0]
    answer = served.http.get(f"/v1/pods/local/default/{pod.name}").json()
    assert answer["node"] == "node-1"
    assert answer["ready"]
    assert answer["requests"]["cpu"] == 0.5
    assert served.http.get(f"/v1/pods/other/default/{pod.name}").status_code == 404


def test_applications_say_what_runs_and_why_not(served: Served) -> None:
    chat, ocr = served.http.get("/v1/apps").json()["apps"]
    assert (chat["app"], chat["desired"], chat["ready"], chat["starting"]) == ("chat", 3, 3, 0)
    assert chat["revisions"] == [{"revision": "abc", "desired": 3, "ready": 3}]
    assert chat["reasons"] == []
    assert (ocr["desired"], ocr["ready"], ocr["starting"]) == (1, 0, 1)
    assert "Insufficient nvidia.com/gpu" in ocr["reasons"][0]
    assert len(served.http.get("/v1/apps/chat").json()["running"]) == 3
    assert served.http.get("/v1/apps/nothing").status_code == 404


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/v1/pods?limit=0", "limit"),
        ("/v1/pods?limit=many", "limit"),
        ("/v1/pods?ready=perhaps", "ready"),
        ("/v1/pods?app=" + "x" * 300, "app"),
        ("/v1/pods?phase=asleep", "phase"),
        ("/v1/pods?labels=a=b=c", "a=b=c"),
        ("/v1/events?kind=cow", "kind"),
        ("/v1/events?tail=-1", "tail"),
        ("/v1/events?after=yesterday", "yesterday"),
        ("/v1/events?after=1.2", "1.2"),
        ("/v1/events?after=9999.9999.9999.9999.9999.9999", "not happened"),
        ("/v1/pods/local/default/x/logs?tail=-5", "tail"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(served: Served, path: str, where: str) -> None:
    answer = served.http.get(path)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert where in answer.json()["detail"]


def test_pods_by_label_phase_and_what_is_said_of_them(served: Served) -> None:
    ask = served.http.get
    chat = sorted(pod.name for pod in served.cluster.pods("chat-abc"))
    [ocr] = [pod.name for pod in served.cluster.pods("ocr-abc")]
    assert names(ask("/v1/pods", params={"labels": "midstage.dev/app=chat"})) == chat
    assert names(ask("/v1/pods", params={"labels": "midstage.dev/app!=chat"})) == [ocr]
    assert names(ask("/v1/pods", params={"phase": "pending"})) == [ocr]
    assert names(ask("/v1/pods", params={"q": "insufficient NVIDIA"})) == [ocr]
    assert names(ask("/v1/pods", params={"namespace": "other"})) == []
    assert names(ask("/v1/pods", params={"cluster": "local", "app": "chat"})) == chat


def test_nodes_and_apps_are_found_and_paged(served: Served) -> None:
    ask = served.http.get
    assert len(ask("/v1/nodes", params={"q": "NODE"}).json()["nodes"]) == 1
    assert ask("/v1/nodes", params={"labels": "zone"}).json()["nodes"] == []
    assert ask("/v1/nodes", params={"ready": "false"}).json()["nodes"] == []
    first = ask("/v1/apps", params={"limit": 1}).json()
    assert ([app["app"] for app in first["apps"]], first["next"]) == (["chat"], "chat")
    rest = ask("/v1/apps", params={"limit": 1, "after": "chat"}).json()
    assert ([app["app"] for app in rest["apps"]], rest["next"]) == (["ocr"], None)
    assert [app["app"] for app in ask("/v1/apps", params={"q": "oc"}).json()["apps"]] == ["ocr"]


def test_workloads_and_endpoints(served: Served) -> None:
    found = served.http.get("/v1/workloads", params={"app": "chat"}).json()
    [chat] = found["workloads"]
    assert (chat["name"], chat["replicas"], chat["ready"]) == ("chat-abc", 3, 3)
    assert (chat["drift"], chat["reason"], found["next"]) == ([], "", None)
    assert served.http.get("/v1/endpoints").json() == {"endpoints": [], "next": None}


def test_the_document_of_the_api_names_the_rows(served: Served) -> None:
    document = served.http.get("/openapi.json").json()
    answer = document["paths"]["/v1/pods"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Pods")
    assert "restarts" in document["components"]["schemas"]["PodRow"]["properties"]


def test_a_node_is_cordoned_and_a_pod_evicted(tmp_path: Path) -> None:
    cluster = cluster_of(1)
    [pod] = cluster.pods()
    with running(pair_on(MemoryLog()), [cluster], tmp_path) as http:
        http.headers["authorization"] = f"Bearer {TOKEN}"
        answer = http.put("/v1/nodes/node-1/cordoned", json={"on": True})
        assert (answer.status_code, answer.json()["schedulable"]) == (200, False)
        within(60, lambda: not http.get("/v1/nodes").json()["nodes"][0]["schedulable"])
        path = f"/v1/pods/local/default/{pod.name}/evicted"
        assert http.put(path, json={"uid": "another"}).status_code == 409
        assert http.put(path, json={"uid": pod.uid}).status_code == 200
        within(60, lambda: names(http.get("/v1/pods", params={"phase": "stopping"})) == [pod.name])
        assert http.put("/v1/nodes/node-1/cordoned", json={"on": False}).json()["schedulable"]
        assert http.put("/v1/nodes/nothing/cordoned", json={"on": True}).status_code == 404
        assert http.put("/v1/nodes/node-1/cordoned", json={}).status_code == 422
        assert http.put("/v1/pods/far/default/x/evicted", json={"uid": "x"}).status_code == 404


def test_what_an_application_cannot_spare_stays(tmp_path: Path) -> None:
    cluster = MemoryCluster(name="local")
    only = msgspec.structs.replace(workload(1), disruption=Disruption(max_unavailable=0))
    cluster.put_workload(only, expected=0)
    cluster.settle()
    [pod] = cluster.pods()
    with running(pair_on(MemoryLog()), [cluster], tmp_path) as http:
        http.headers["authorization"] = f"Bearer {TOKEN}"
        path = f"/v1/pods/local/default/{pod.name}/evicted"
        answer = http.put(path, json={"uid": pod.uid})
        assert answer.status_code == 503
        assert "at most 0 may be away" in answer.json()["detail"]


def test_nothing_is_changed_without_the_token(served: Served) -> None:
    assert served.http.put("/v1/nodes/node-1/cordoned", json={"on": True}).status_code == 401
    path = "/v1/pods/local/default/x/evicted"
    assert served.http.put(path, json={"uid": "x"}).status_code == 401
    assert served.http.get("/v1/cows").status_code == 404
