"""What deploy and control would write, on a log in memory, and gateway's routing on it."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from midstage.chassis.clock import SystemClock
from midstage.contracts.apps import (
    AppFact,
    AppRemoved,
    AppSpec,
    AppSpecified,
    Probe,
    Routes,
    revision_of,
)
from midstage.contracts.cluster import (
    OBJECT_GONE,
    POD_OBSERVED,
    Kind,
    ObjectGone,
    Phase,
    PodObserved,
    key_of,
)
from midstage.contracts.fact import Event, Fact
from midstage.contracts.routes import Endpoint, RoutesApplied, Way
from midstage.contracts.topics import APPS, CLUSTER, INVENTORY, ROUTES
from midstage.eventlog.appended import command, written
from midstage.eventlog.codec import Decoder, message
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import BEGINNING, Writer
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.gateway.config import Settings
from midstage.gateway.main import Routing, Topics, routed
from midstage.gateway.metrics import Metrics
from midstage.gateway.model import apps as model
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S, EDGE, KEY, Edge, Looped

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def spec(
    prefix: str | None = "/chat", *, hosts: tuple[str, ...] = (), ready: str = "/readyz"
) -> AppSpec:
    return AppSpec(
        command=("serve", "$(PORT)"),
        readiness=Probe(path=ready),
        routes=Routes(prefix=prefix, hosts=hosts),
    )


R1 = revision_of(spec())


def pod(
    name: str,
    *,
    version: int = 1,
    app: str = "chat",
    port: int = 40001,
    ready: bool = True,
    draining: bool = False,
    phase: Phase = Phase.RUNNING,
    address: str | None = None,
    was_ready: bool = True,
    epoch: int = 1,
    revision: str = R1,
) -> PodObserved:
    return PodObserved(
        cluster="local",
        name=name,
        namespace="default",
        epoch=epoch,
        observed_at=NOON,
        uid=f"uid-of-{name}",
        resource_version=version,
        app=app,
        revision=revision,
        workload=f"{app}-{revision}",
        node="node-1",
        phase=phase,
        ready=ready,
        draining=draining,
        address=f"127.0.0.1:{port}" if address is None else address,
        created_at=NOON,
        ready_at=NOON if was_ready else None,
    )


@dataclass(slots=True)
class Facts:
    """Writes what deploy and control know."""

    log: MemoryLog = field(default_factory=MemoryLog)
    versions: dict[str, int] = field(default_factory=dict)
    pods: dict[str, PodObserved] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        for topic in (APPS, CLUSTER, INVENTORY, ROUTES):
            self.log.create(settings_of(topic))

    def specified(self, app: str, wanted: AppSpec) -> int:
        """Deploy has taken the spec; its version."""
        fact = AppSpecified(app=app, at=self._at(), spec=wanted, revision=revision_of(wanted))
        return self.appended(app, fact)

    def removed(self, app: str) -> int:
        return self.appended(app, AppRemoved(app=app, at=self._at()))

    def appended(self, key: str, *facts: AppFact) -> int:
        return self.raw(key, [msgspec.to_builtins(fact) for fact in facts])

    def raw(self, key: str, facts: Sequence[object]) -> int:
        """Facts that nobody has checked."""
        version = self.versions[key] = self.versions.get(key, 0) + 1
        sent = written(
            APPS,
            event_id=f"event-{next(self._numbers)}",
            by=command(key=key, command_id=f"command-{next(self._numbers)}", payload=b""),
            version=version,
            engine="a test",
            facts=facts,
            at=NOON,
        )
        with self._writer() as writer:
            writer.send(sent)
        return version

    def observed(self, *pods: PodObserved) -> None:
        """Control has seen these pods; each call is newer than the one before."""
        for one in pods:
            newer = msgspec.structs.replace(one, resource_version=next(self._numbers))
            self.pods[one.name] = newer
            self._tell(newer, type_=POD_OBSERVED, kind=Kind.POD)

    def drained(self, name: str, *, draining: bool = True) -> int:
        """The pod was marked, or the mark was taken back; the mark's resource version."""
        self.observed(msgspec.structs.replace(self.pods[name], draining=draining))
        return self.pods[name].resource_version

    def gone(self, name: str) -> None:
        was = self.pods.pop(name)
        fact = ObjectGone(
            cluster=was.cluster,
            name=name,
            namespace=was.namespace,
            epoch=was.epoch,
            observed_at=NOON,
            uid=was.uid,
            resource_version=next(self._numbers),
            kind=Kind.POD,
            app=was.app,
        )
        self._tell(fact, type_=OBJECT_GONE, kind=Kind.POD)

    def said(self, app: str) -> Sequence[RoutesApplied]:
        """All that the edge has said of an application, the oldest first."""
        places = self.log.partitions(ROUTES.name)
        reader = self.log.reader(dict.fromkeys(places, BEGINNING))
        decode = Decoder(ROUTES)
        said = []
        while records := reader.poll(most=1000, timeout_s=0):
            said += [decode(record).data for record in records]
        reader.close()
        return [one for one in said if isinstance(one, RoutesApplied) and one.app == app]

    def newest(self, app: str) -> RoutesApplied | None:
        return next(reversed(self.said(app)), None)

    def endpoints(self, app: str) -> Mapping[str, Endpoint]:
        """By pod, as said last."""
        newest = self.newest(app)
        return {one.pod: one for one in newest.endpoints} if newest is not None else {}

    def ways(self, app: str = "chat") -> Mapping[str, Way]:
        """By pod, as said last."""
        return {name: one.way for name, one in self.endpoints(app).items()}

    def await_ways(self, app: str = "chat", **ways: Way) -> None:
        """Wait until exactly this is said."""
        wanted = {name.replace("_", "-"): way for name, way in ways.items()}
        within(DEADLINE_S, lambda: self.newest(app) is not None and self.ways(app) == wanted)

    def _tell(self, fact: Fact, *, type_: str, kind: Kind) -> None:
        assert isinstance(fact, PodObserved | ObjectGone)
        event = Event(
            id=f"fact-{next(self._numbers)}",
            source="control/local",
            type=type_,
            time=NOON,
            data=fact,
        )
        key = key_of(cluster=fact.cluster, kind=kind, namespace=fact.namespace, name=fact.name)
        with self._writer() as writer:
            for topic in (CLUSTER, INVENTORY):
                writer.send(message(event, topic=topic.name, key=key))

    @contextmanager
    def _writer(self) -> Iterator[Writer]:
        writer = self.log.writer()
        yield writer
        assert writer.flush(60) == 0
        writer.close()

    def _at(self) -> datetime:
        return NOON.replace(microsecond=next(self._numbers))


@dataclass(slots=True)
class Gateway:
    """The routing of one gateway process, in this one."""

    routing: Routing
    metrics: Metrics
    loops: Sequence[Looped]

    def dies_of(self, kind: type[BaseException]) -> None:
        """Wait until one loop has raised this; the process would end, so the others stop too."""
        within(DEADLINE_S, lambda: any(loop.ended for loop in self.loops))
        (dead,) = [loop for loop in self.loops if loop.ended]
        dead.dies_of(kind)
        for loop in self.loops:
            if loop is not dead:
                loop.stop()


def settings_for(edge: Edge, *, apps_file: Path | None = None) -> Settings:
    """A gateway at this Envoy."""
    edge_keys = edge.root / "edge-keys.json"
    edge_keys.touch(mode=0o600)
    edge_keys.write_text(json.dumps({EDGE: KEY.hex()}))
    edge.keys_file.touch(mode=0o600)
    edge.keys_file.write_text(json.dumps(edge.keys))
    nowhere = model.Endpoint(host="127.0.0.1", port=edge.throttle_port)
    return Settings(
        kafka="",
        host="127.0.0.1",
        port=0,
        token_file=edge.root / "token",
        edge=EDGE,
        config_dir=edge.config_dir,
        log_dir=edge.log_dir,
        state_dir=edge.root / "state",
        apps_file=apps_file,
        api_keys_file=edge.keys_file,
        edge_keys_file=edge_keys,
        listen=model.Endpoint(host="127.0.0.1", port=edge.port),
        admin=model.Endpoint(host="127.0.0.1", port=edge.admin_port),
        throttle=nowhere,
        rotate_bytes=1_000_000,
    )


def routing_of(
    settings: Settings, log: MemoryLog, *, reached: Failpoint = nothing
) -> tuple[Routing, Metrics]:
    metrics = Metrics(CollectorRegistry())
    routing = routed(
        settings,
        log=log,
        clock=SystemClock(),
        topics=Topics(),
        metrics=metrics,
        reached=reached,
    )
    return routing, metrics


@contextmanager
def gateway(
    edge: Edge,
    log: MemoryLog,
    *,
    apps_file: Path | None = None,
    reached: Failpoint = nothing,
) -> Iterator[Gateway]:
    """The routing's loops, until the end of the block; Envoy goes on after it."""
    routing, metrics = routing_of(settings_for(edge, apps_file=apps_file), log, reached=reached)
    with ExitStack() as stack:
        loops = []
        for loop in routing.loops:
            looped = Looped(loop)
            stack.callback(looped.stop)
            loops.append(looped)
        yield Gateway(routing=routing, metrics=metrics, loops=loops)
