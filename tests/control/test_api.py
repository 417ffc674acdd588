"""The inventory over HTTP: rows, filters, pages, and what is wrong with a question."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest

from midstage.cluster.memory import MemoryCluster
from midstage.contracts.cluster import Amount
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.control.conftest import cluster_of, pair_on, running, workload

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
        within(5, lambda: len(http.get("/v1/pods").json()["pods"]) == 4)
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


def test_nothing_can_be_changed_here(served: Served) -> None:
    assert served.http.put("/v1/nodes/node-1", json={}).status_code == 401
    assert served.http.get("/v1/cows").status_code == 404
