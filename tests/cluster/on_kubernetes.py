"""The bench of a real Kubernetes: a namespace of its own, pods as processes of this machine."""

import contextlib
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from uuid import uuid4

import msgspec

from midstage.cluster.faults import NodeDies, NodeReturns
from midstage.cluster.kubernetes.cluster import KubernetesCluster
from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.protocol import ConflictError
from midstage.contracts.errors import RefusedError
from midstage.testkit.waiting import within
from tests.kubernetes import Kubernetes

from .bench import NODES, Bench
from .daemon import asked, runs

_LONG_BEFORE = 1


@contextlib.contextmanager
def namespaced(kubernetes: Kubernetes) -> Iterator[str]:
    """A namespace for as long as the block runs, in which pods may be made."""
    name = f"bench-{uuid4().hex[:8]}"
    connection = Connection(name="test", where=kubernetes.where)
    body = msgspec.json.encode({"metadata": {"name": name}})
    with contextlib.closing(connection):
        connection.request("POST", "/api/v1/namespaces", body=body)
        try:
            within(60, lambda: has_account(connection, name))
            yield name
        finally:
            connection.request("DELETE", f"/api/v1/namespaces/{name}")


def has_account(connection: Connection, namespace: str) -> bool:
    """Whether it has what pods run as; Kubernetes makes that a moment after the namespace."""
    try:
        connection.request("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
    except RefusedError as e:
        if e.status == HTTPStatus.NOT_FOUND:
            return False
        raise
    return True


@contextlib.contextmanager
def benched(kubernetes: Kubernetes) -> Iterator[Bench]:
    """All is as it was when the block ends."""
    with (
        namespaced(kubernetes) as namespace,
        KubernetesCluster(name="test", where=kubernetes.where, namespace=namespace) as cluster,
    ):
        yield bench(kubernetes, cluster, namespace)
        within(60, lambda: emptied(kubernetes, cluster))


def bench(kubernetes: Kubernetes, cluster: KubernetesCluster, namespace: str) -> Bench:
    return Bench(
        cluster=cluster,
        serving=runs("serve"),
        crashing=runs("crash"),
        deaf=runs("deaf"),
        settle=lambda: None,
        unready=lambda pod: asked(pod, "/unready"),
        too_old=lambda: too_old(kubernetes),
        node_dies=lambda node: kubernetes.fault(NodeDies(node=node)),
        node_returns=lambda node: kubernetes.fault(NodeReturns(node=node)),
        namespace=namespace,
        allow=lambda quota, hard: allow(kubernetes, namespace, quota, hard),
        keeps_pods_of_changed_templates=False,
    )


def allow(kubernetes: Kubernetes, namespace: str, quota: str, hard: Mapping[str, str]) -> None:
    """A quota; it goes with the namespace."""
    body = msgspec.json.encode({"metadata": {"name": quota}, "spec": {"hard": hard}})
    with contextlib.closing(Connection(name="test", where=kubernetes.where)) as connection:
        path = f"/api/v1/namespaces/{namespace}/resourcequotas"
        connection.request("POST", path, body=body)


def too_old(kubernetes: Kubernetes) -> int:
    """An API server that began anew remembers nothing of before; a young one all of it."""
    if kubernetes.own is not None:
        kubernetes.own.stop("apiserver")
        kubernetes.own.start("apiserver")
    return _LONG_BEFORE


def emptied(kubernetes: Kubernetes, cluster: KubernetesCluster) -> bool:
    """Whether all is as it was; delete what is left."""
    for node in NODES:
        kubernetes.fault(NodeReturns(node=node.name))
    listing = cluster.list()
    for workload in listing.workloads:
        with contextlib.suppress(ConflictError):
            cluster.delete_workload(workload.name, expected=workload.resource_version)
    return not listing.workloads and not any(pod.workload for pod in listing.pods)
