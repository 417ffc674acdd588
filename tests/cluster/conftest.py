"""The clusters under one roof: what a conformance test may ask of each."""

import contextlib
from collections.abc import Iterator

import msgspec
import pytest

from midstage.cluster.faults import NodeDies, NodeReturns
from midstage.cluster.http import HttpCluster
from midstage.cluster.kubernetes.connection import Connection
from midstage.testkit.waiting import within
from tests.kubernetes import Kubernetes

from . import on_kubernetes, remembered
from .bench import Bench
from .daemon import Daemon, asked, emptied, running, runs
from .on_kubernetes import namespaced
from .site import Site

MARK = 1000
"""The daemon of the suite goes on from an earlier life: what was before this is too old."""


@pytest.fixture(scope="session")
def suite_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "cluster").mkdir()
    (folder / "cluster" / "cluster.json").write_bytes(msgspec.json.encode({"mark": MARK}))
    with running(folder) as daemon:
        yield daemon


@pytest.fixture(
    params=[
        "memory",
        pytest.param("daemon", marks=pytest.mark.platform),
        pytest.param("kubernetes", marks=pytest.mark.kubernetes),
    ]
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        yield remembered.bench()
        return
    if request.param == "kubernetes":
        with on_kubernetes.benched(request.getfixturevalue("kubernetes")) as found:
            yield found
        return
    daemon: Daemon = request.getfixturevalue("suite_daemon")
    with daemon.client() as cluster:
        yield over_http(cluster)
        within(60, lambda: emptied(cluster))


def over_http(cluster: HttpCluster) -> Bench:
    return Bench(
        cluster=cluster,
        serving=runs("serve"),
        crashing=runs("crash"),
        deaf=runs("deaf"),
        settle=lambda: None,
        unready=lambda pod: asked(pod, "/unready"),
        too_old=lambda: MARK - 1,
        node_dies=lambda node: cluster.fault(NodeDies(node=node)),
        node_returns=lambda node: cluster.fault(NodeReturns(node=node)),
    )


@pytest.fixture
def site(kubernetes: Kubernetes) -> Iterator[Site]:
    connection = Connection(name="test", where=kubernetes.where)
    with contextlib.closing(connection), namespaced(kubernetes) as namespace:
        yield Site(connection=connection, namespace=namespace)
