"""Whole control processes over a log and a cluster, each in a thread, and what they wrote."""

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import pytest

from midstage.cluster.memory import MemoryCluster
from midstage.cluster.objects import Template, Workload
from midstage.contracts import topics
from midstage.contracts.apps import AppSpec, AppSpecified, revision_of
from midstage.contracts.cluster import Amount, ClusterFact, NodeUsed, PodUsed
from midstage.contracts.fact import Fact
from midstage.contracts.inventory import Inventory
from midstage.contracts.policy import Policy
from midstage.contracts.signals import SignalObserved
from midstage.contracts.topics import Topic
from midstage.control.config import Settings
from midstage.control.decide.objects import differences
from midstage.control.main import Cluster, compose
from midstage.control.model import Stamp
from midstage.control.stream.signals import Source
from midstage.eventlog.appended import command, written
from midstage.eventlog.codec import Decoder
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import BEGINNING, Log
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.testkit.waiting import within
from tests import patient
from tests.kafka import kafka_log
from tests.ports import free_port

EVER = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = "a-token-of-this-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The topics of a test, on one log."""

    log: Log
    stream: Topic
    inventory: Topic
    apps: Topic
    signals: Topic

    def specify(self, app: str, policy: Policy | None = None, *, version: int = 1) -> None:
        """deploy: the application shall be so."""
        spec = AppSpec(image="x", scaling=policy)
        at, name = datetime.now(UTC), f"{app}/{version}"
        fact = AppSpecified(app=app, at=at, spec=spec, revision=revision_of(spec))
        by = command(key=app, command_id=name, payload=b"")
        writer = self.log.writer()
        writer.send(
            written(
                self.apps,
                event_id=name,
                by=by,
                version=version,
                engine="test",
                facts=[fact],
                at=at,
            )
        )
        writer.close()

    def signalled(self) -> Sequence[SignalObserved]:
        """All signals that stand now, those of each application in order."""
        return [fact for fact in self._all(self.signals) if isinstance(fact, SignalObserved)]

    def written(self, topic: Topic) -> Sequence[ClusterFact]:
        """All facts that stand in a topic now, those of each object in order."""
        return [fact for fact in self._all(topic) if isinstance(fact, ClusterFact)]

    def _all(self, topic: Topic) -> Sequence[Fact]:
        places = self.log.partitions(topic.name)
        ends = self.log.ends(places)
        reader = self.log.reader(dict.fromkeys(places, BEGINNING))
        read = Decoder(topic)
        facts: list[Fact] = []
        try:
            while any(reader.positions()[place] < end for place, end in ends.items()):
                for record in reader.poll(most=1000, timeout_s=1):
                    if record.value is None:
                        continue  # compaction's mark
                    facts.append(read(record).data)
        finally:
            reader.close()
        return facts

    def changes(self, topic: Topic | None = None) -> Sequence[ClusterFact]:
        """What was written of objects, measurements aside."""
        facts = self.written(topic or self.stream)
        return [fact for fact in facts if not isinstance(fact, PodUsed | NodeUsed)]

    def said(self, kind: type[ClusterFact], name: str = "") -> Sequence[ClusterFact]:
        """The facts of one kind in the stream, of one object where it is named."""
        facts = self.written(self.stream)
        return [fact for fact in facts if isinstance(fact, kind) and name in ("", fact.name)]


def ready(facts: Sequence[ClusterFact], app: str = "chat") -> Sequence[str]:
    """The pods that a reader of these facts sends requests to."""
    return [pod.name for pod in Inventory(facts).pods_of(app) if pod.ready and not pod.draining]


def state(facts: Sequence[ClusterFact]) -> object:
    """All objects that a reader of these facts knows, whoever observed them when."""
    held = Inventory(facts)
    return [
        [msgspec.structs.replace(each, epoch=0, observed_at=EVER) for each in found]
        for found in (held.nodes(), held.pods(), held.workloads())
    ]


def really(cluster: MemoryCluster) -> object:
    """What a full list says, as a reader of facts would know it."""
    stamp = Stamp(cluster=cluster.name, epoch=0)
    return state(differences(Inventory(), cluster.list(), stamp, EVER))


def pair_on(log: Log) -> Pair:
    """Fresh topics."""
    number = uuid.uuid4().hex[:10]
    made = Pair(
        log=log,
        stream=replace(topics.CLUSTER, name=f"midstage.cluster-{number}.v1"),
        inventory=replace(topics.INVENTORY, name=f"midstage.inventory-{number}.v1"),
        apps=replace(topics.APPS, name=f"midstage.apps-{number}.v1"),
        signals=replace(topics.SIGNALS, name=f"midstage.signals-{number}.v1"),
    )
    for topic in (made.stream, made.inventory, made.apps, made.signals):
        log.create(settings_of(topic))
    return made


@pytest.fixture
def pair() -> Pair:
    return pair_on(MemoryLog())


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.platform)])
def both(request: pytest.FixtureRequest) -> Pair:
    if request.param == "memory":
        return pair_on(MemoryLog())
    address: str = request.getfixturevalue("kafka")
    return pair_on(kafka_log(address))


@pytest.fixture
def cluster() -> MemoryCluster:
    return cluster_of(2)


def cluster_of(replicas: int, *, name: str = "local") -> MemoryCluster:
    """A cluster with a node and so many ready pods of chat."""
    made = MemoryCluster(name=name)
    made.put_workload(workload(replicas), expected=0)
    made.settle()
    return made


def workload(replicas: int, *, app: str = "chat", revision: str = "abc") -> Workload:
    return Workload(
        name=f"{app}-{revision}",
        app=app,
        revision=revision,
        template=Template(command=("serve",), requests=Amount(cpu=0.5, memory_mb=64)),
        replicas=replicas,
    )


def scaled(cluster: MemoryCluster, replicas: int, *, app: str = "chat") -> None:
    known = next(each for each in cluster.list().workloads if each.app == app)
    cluster.put_workload(workload(replicas, app=app), expected=known.resource_version)
    cluster.settle()


def settings_in(
    directory: Path,
    *,
    streams: int = 4,
    lease_s: float = 60.0,
    dcgm_urls: Mapping[str, Sequence[str]] | None = None,
) -> Settings:
    token_file = directory / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    return Settings(
        kafka="not asked",
        host="127.0.0.1",
        port=free_port(),
        token_file=token_file,
        clusters={},
        cluster_token_file=token_file,
        namespace="default",
        lease_s=lease_s,
        usage_every_s=0.1,
        streams=streams,
        dcgm_urls=dcgm_urls or {},
        signals_every_s=0.1,
    )


@contextmanager
def running(
    pair: Pair,
    clusters: Sequence[Cluster],
    directory: Path,
    *,
    settings: Settings | None = None,
    sources: Sequence[Source] = (),
    reached: Failpoint = nothing,
    code: int = 0,
) -> Iterator[httpx.Client]:
    """Compose the process as ``main`` does, wait until it is ready, stop it in the end."""
    settings = settings or settings_in(directory)
    process = compose(
        settings,
        log=pair.log,
        clusters=clusters,
        stream=pair.stream,
        inventory=pair.inventory,
        apps=pair.apps,
        signals=pair.signals,
        sources=sources,
        reached=reached,
    )
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(process.run()))
    thread.start()
    try:
        with patient.client(base_url=f"http://127.0.0.1:{settings.port}") as http:
            within(60, lambda: codes or patient.serves(http))
            yield http
    finally:
        process.stop()
        thread.join(60)
    assert codes == [code]
