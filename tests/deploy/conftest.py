"""Whole deploy processes over a log and a cluster in memory, and what stands around them.

``Neighbours`` are what control and an edge would say: threads that look at the cluster and write
facts, and let its pods become ready and end.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from midstage.cluster.memory import MemoryCluster
from midstage.cluster.objects import Node
from midstage.contracts import topics
from midstage.contracts.cluster import (
    CLUSTER_REACHED,
    NODE_OBSERVED,
    OBJECT_GONE,
    POD_OBSERVED,
    WORKLOAD_OBSERVED,
    ClusterFact,
    ClusterReached,
    NodeObserved,
    ObjectGone,
    PodObserved,
    WorkloadObserved,
)
from midstage.contracts.edges import SOURCE_BEAT, SourceBeat, source_of
from midstage.contracts.fact import Event, Fact
from midstage.contracts.inventory import key_of_fact
from midstage.contracts.routes import ROUTES_APPLIED, Endpoint, RoutesApplied, Way
from midstage.deploy.config import Settings
from midstage.deploy.main import Topics, compose
from midstage.deploy.stream.reconcile import Cluster
from midstage.eventlog.codec import message
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Log
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.testkit.waiting import within
from tests import patient
from tests.deploy.facts import gone, node, observed_node, observed_pod, observed_workload
from tests.ports import free_port

TOKEN = "a-token-of-this-test"
CLUSTER = "memory"
EDGE = "edge-1"
_TYPES: Mapping[type[Fact], str] = {
    PodObserved: POD_OBSERVED,
    WorkloadObserved: WORKLOAD_OBSERVED,
    NodeObserved: NODE_OBSERVED,
    ObjectGone: OBJECT_GONE,
    ClusterReached: CLUSTER_REACHED,
}


@dataclass(kw_only=True)
class Neighbours:
    """Control and an edge, as far as deploy can tell; ``lives``: pods become what they should."""

    log: Log
    read: Topics
    cluster: MemoryCluster
    lives: Callable[[MemoryCluster], None] = MemoryCluster.settle
    drains: bool = True
    _seen: dict[str, ClusterFact] = field(default_factory=dict)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)

    def _run(self, stop: threading.Event) -> None:
        writer = self.log.writer()

        def send(topic: topics.Topic, key: str, kind: str, fact: Fact) -> None:
            now = datetime.now(UTC)
            event = Event(id=uuid.uuid4().hex, source="test", type=kind, time=now, data=fact)
            writer.send(message(event, topic=topic.name, key=key))

        said_at = 0.0
        while not stop.wait(0.02):
            self.lives(self.cluster)
            for fact in (facts := self._changes()):
                self._tell(send, fact)
            due = time.monotonic() - said_at > 0.5
            if due:
                writer.flush(60)  # as control: that it answers is said of what stands in the log
                said_at = time.monotonic()
                self._tell(send, _reached())
                self._beat(send)
            if facts or due:
                self._say_routes(send)
            writer.flush(1)
        writer.close()

    def _changes(self) -> list[ClusterFact]:
        listing = self.cluster.list()
        facts: list[ClusterFact] = [observed_node(each, CLUSTER) for each in listing.nodes]
        facts += [observed_workload(each, CLUSTER) for each in listing.workloads]
        facts += [observed_pod(each, CLUSTER) for each in listing.pods]
        now = {key_of_fact(fact): fact for fact in facts}
        changed = [fact for key, fact in now.items() if self._seen.get(key) != fact]
        version = listing.resource_version
        changed += [gone(self._seen[key], version) for key in self._seen.keys() - now.keys()]
        self._seen = now
        return changed

    def _tell(
        self, send: Callable[[topics.Topic, str, str, Fact], None], fact: ClusterFact
    ) -> None:
        for topic in (self.read.cluster, self.read.inventory):
            send(topic, key_of_fact(fact), _TYPES[type(fact)], fact)

    def _beat(self, send: Callable[[topics.Topic, str, str, Fact], None]) -> None:
        beat = SourceBeat(edge=EDGE, highest=0, complete_until=datetime.now(UTC))
        send(self.read.edges, source_of(EDGE, "1"), SOURCE_BEAT, beat)

    def _say_routes(self, send: Callable[[topics.Topic, str, str, Fact], None]) -> None:
        pods = self.cluster.pods()
        for app in {pod.app for pod in pods}:
            endpoints = tuple(
                Endpoint(
                    pod=pod.name,
                    address=pod.address,
                    way=Way.DRAINED if pod.draining and self.drains else Way.SERVING,
                    uid=pod.uid,
                    resource_version=pod.resource_version,
                )
                for pod in pods
                if pod.app == app
            )
            said = RoutesApplied(edge=EDGE, app=app, at=datetime.now(UTC), endpoints=endpoints)
            send(self.read.routes, app, ROUTES_APPLIED, said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A deploy that serves."""

    http: httpx.Client
    log: Log
    read: Topics
    cluster: MemoryCluster

    def put(
        self, app: str, command_id: str | None = None, why: str = "", /, **changed: object
    ) -> httpx.Response:
        body = {"command": ["serve"], "routes": {"prefix": f"/{app}"}, **changed}
        given = {name: value for name, value in body.items() if value is not None}
        return self.http.put(
            f"/v1/apps/{app}", json=given, params={"why": why}, headers=named(command_id)
        )

    def status(self, app: str) -> dict[str, object]:
        found: dict[str, object] = self.http.get(f"/v1/apps/{app}").json()["status"]
        return found

    def ready(self, app: str, count: int = 1) -> None:
        """Wait until so many replicas run the newest spec and nothing is left to do."""

        def is_so() -> bool:
            status = self.status(app)
            return (status["stage"], status["ready"], status["old"]) == ("ready", count, 0)

        within(60, is_so)


@contextmanager
def running(
    log: Log,
    cluster: MemoryCluster,
    directory: Path,
    *,
    writes: Cluster | None = None,
    read: Topics = Topics(),  # noqa: B008  a frozen value
    reached: Failpoint = nothing,
    wait: bool = True,
    code: int = 0,
) -> Iterator[Running]:
    """Compose the process as ``main`` does, and stop it in the end; it leaves with ``code``."""
    settings = settings_in(directory)
    process = compose(settings, log=log, cluster=writes or cluster, read=read, reached=reached)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(process.run()))
    thread.start()
    try:
        with patient.client(
            base_url=f"http://127.0.0.1:{settings.port}",
            headers={"authorization": f"Bearer {TOKEN}"},
        ) as http:
            within(60, lambda: patient.serves(http, "/readyz" if wait else "/healthz"))
            yield Running(http=http, log=log, read=read, cluster=cluster)
    finally:
        process.stop()
        thread.join(60)
    assert codes == [code]


def settings_in(directory: Path) -> Settings:
    token_file = directory / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    return Settings(
        kafka="not asked",
        host="127.0.0.1",
        port=free_port(),
        token_file=token_file,
        cluster=CLUSTER,
        cluster_at="http://not-asked",
        namespace="default",
        command_image="python:3",
        cluster_token_file=token_file,
    )


def own_topics() -> Topics:
    """Topics that no other test has."""
    mark = uuid.uuid4().hex[:12]
    usual = Topics()

    def own(topic: topics.Topic) -> topics.Topic:
        return replace(topic, name=topic.name.replace(".v1", f"-{mark}.v1"))

    return Topics(
        apps=own(usual.apps),
        scaling=own(usual.scaling),
        cluster=own(usual.cluster),
        inventory=own(usual.inventory),
        edges=own(usual.edges),
        routes=own(usual.routes),
        audit=own(usual.audit),
    )


def create(log: Log, read: Topics) -> None:
    """All that deploy uses."""
    for topic in (read.apps, read.scaling, read.cluster, read.inventory, read.edges, read.routes):
        log.create(settings_of(topic))
    log.create(settings_of(read.audit))


def a_cluster(*nodes: Node) -> MemoryCluster:
    return MemoryCluster(name=CLUSTER, nodes=nodes or (node("node-1", cpu=16),))


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One deploy over a log in memory for a module's tests; each uses names of its own."""
    log = MemoryLog()
    read = Topics()
    create(log, read)
    cluster = a_cluster()
    around = Neighbours(log=log, read=read, cluster=cluster)
    with around.at_work(), running(log, cluster, tmp_path_factory.mktemp("deploy")) as served:
        yield served


def named(command_id: str | None) -> dict[str, str]:
    return {} if command_id is None else {"Idempotency-Key": command_id}


def _reached() -> ClusterReached:
    return ClusterReached(cluster=CLUSTER, name=CLUSTER, epoch=1, observed_at=datetime.now(UTC))
