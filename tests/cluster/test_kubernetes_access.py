"""Stories of reaching an API server: refusals, versions, credentials, contexts."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from midstage.cluster.kubernetes.cluster import KubernetesCluster
from midstage.cluster.protocol import ConflictError, ExpiredError
from midstage.contracts.errors import RefusedError, UnavailableError

from .apiserver import (
    VERSION,
    ApiServer,
    Asked,
    Json,
    Said,
    api_server,
    kubeconfig,
    said,
    status,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (401, RefusedError, "Unauthorized"),
        (403, RefusedError, 'nodes is forbidden: User "x" cannot list resource "nodes"'),
        (404, RefusedError, "the server could not find it"),
        (409, ConflictError, "the object has been modified"),
        (410, ExpiredError, "too old"),
        (422, RefusedError, "spec.replicas: Invalid value"),
        (500, UnavailableError, "etcdserver: leader changed"),
        (503, UnavailableError, "apiserver is shutting down"),
    ],
)
def test_refusals_are_told_in_the_servers_words(
    server: ApiServer, code: int, error: type[Exception], words: str
) -> None:
    answer = said(status(code, words), status=code)
    server.answers = lambda asked: answer if asked.plural == "nodes" else None
    with pytest.raises(error) as told:
        server.cluster().list()
    assert words in str(told.value)
    if isinstance(told.value, RefusedError):
        assert told.value.status == code


def test_a_group_that_is_not_served_is_named(server: ApiServer) -> None:
    groups = said({"groups": [{"name": "apps", "versions": [{"version": "v1beta2"}]}]})
    server.answers = lambda asked: groups if asked.path == "/apis" else None
    with pytest.raises(UnavailableError, match=r"serves no apps/v1, only v1beta2 of it"):
        server.cluster().list()


def test_versions_are_those_that_the_server_has(server: ApiServer) -> None:
    served = {"apps": "v1", "discovery.k8s.io": "v1beta1"}
    groups = said(
        {"groups": [{"name": k, "versions": [{"version": v}]} for k, v in served.items()]}
    )
    server.answers = lambda asked: groups if asked.path == "/apis" else None
    server.cluster().list()
    paths = {asked.path for asked in server.asked}
    assert "/apis/discovery.k8s.io/v1beta1/namespaces/default/endpointslices" in paths


def test_without_a_metrics_api_use_is_not_known(server: ApiServer) -> None:
    with pytest.raises(UnavailableError, match="is metrics-server installed"):
        server.cluster().usage()
    with pytest.raises(UnavailableError, match=r"metrics\.k8s\.io"):
        server.cluster().node_usage()


def test_quotas_for_all_pods_are_told_in_whole_units(server: ApiServer) -> None:
    hard: Json = {"requests.cpu": "2500m", "limits.memory": "1Gi", "pods": "rubbish"}
    few: Json = {"status": {"hard": hard, "used": {"requests.cpu": "0.5"}}, "spec": {"hard": hard}}
    scoped: Json = {"status": {"hard": {"pods": "1"}}, "spec": {"scopes": ["BestEffort"]}}
    fresh: Json = {"spec": {"hard": hard}, "status": {}}
    names: tuple[tuple[str, Json], ...] = (("few", few), ("scoped", scoped), ("fresh", fresh))
    items: list[Json] = []
    for name, each in names:
        assert isinstance(each, dict)
        items.append({"metadata": {"name": name, "namespace": "default"}, **each})
    answer = said({"items": items})
    server.answers = lambda asked: answer if asked.plural == "resourcequotas" else None
    found = [(each.name, each.hard, each.used) for each in server.cluster().quotas()]
    counted = {"requests.cpu": 2.5, "limits.memory": 1024.0**3}
    assert found == [("few", counted, {"requests.cpu": 0.5}), ("fresh", {}, {})]


def test_quotas_that_may_not_be_looked_at_are_refused(server: ApiServer) -> None:
    answer = said(status(403, "resourcequotas is forbidden"), status=403)
    server.answers = lambda asked: answer if asked.plural == "resourcequotas" else None
    with pytest.raises(RefusedError, match="resourcequotas is forbidden"):
        server.cluster().quotas()


def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    with api_server(tmp_path) as server:
        cluster = server.cluster()
    with pytest.raises(UnavailableError, match="ill does not answer"):
        cluster.list()


@pytest.mark.parametrize(
    "where", ["kubeconfig:/no/such/file", "in-cluster:", "kubeconfig:", "https://x"]
)
def test_where_nothing_can_be_read_is_said(where: str) -> None:
    with pytest.raises(UnavailableError, match="can't be used"):
        KubernetesCluster(name="x", where=where).list()


def test_another_context_can_be_chosen_and_must_be_there(server: ApiServer) -> None:
    where = f"kubeconfig:{server.kubeconfig}"
    assert KubernetesCluster(name="x", where=f"{where}#here").list().resource_version == VERSION
    with pytest.raises(UnavailableError, match="there"):
        KubernetesCluster(name="x", where=f"{where}#there").list()


def test_a_token_that_was_replaced_in_the_file_is_read_anew(server: ApiServer) -> None:
    tokens = ["Bearer old"]

    def answers(asked: Asked) -> Said | None:
        if asked.headers.get("authorization") in tokens:
            return None
        return said(status(401, "Unauthorized"), status=401)

    server.answers = answers
    file = server.folder / "other"
    kubeconfig(file, port=server.port, user={"token": "old"})
    cluster = KubernetesCluster(name="x", where=f"kubeconfig:{file}")
    cluster.list()
    tokens[:] = ["Bearer new"]
    kubeconfig(file, port=server.port, user={"token": "new"})
    assert cluster.list().resource_version == VERSION
    tokens[:] = []
    with pytest.raises(RefusedError, match="Unauthorized"):
        cluster.list()


def test_an_exec_plugin_gives_the_token(server: ApiServer) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "made"},
    }
    plugin = server.folder / "plugin.sh"
    plugin.write_text(f"#!/bin/sh\ncat <<'E'\n{json.dumps(credential)}\nE\n")
    plugin.chmod(0o755)
    user: dict[str, Json] = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}
    }
    file = kubeconfig(server.folder / "exec", port=server.port, user=user)
    KubernetesCluster(name="x", where=f"kubeconfig:{file}").list()
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer made"}
