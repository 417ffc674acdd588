"""Gateway's only composition: files for Envoy, the shipper of its request log, the API.

Envoy is not a part of it: it runs beside, as the supervisor's child, and goes on without it.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as resources

from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.clock import Clock, SystemClock
from midstage.chassis.process import Loop, Process
from midstage.chassis.readiness import Readiness
from midstage.chassis.settings import secret
from midstage.chassis.start import start
from midstage.contracts.topics import APPS, CLUSTER, EDGES, INVENTORY, REQUESTS, ROUTES, Topic
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Log
from midstage.eventlog.topics import settings_of
from midstage.gateway import api
from midstage.gateway.adapters.envoy import Admin
from midstage.gateway.adapters.logfiles import CURRENT, LogFiles
from midstage.gateway.adapters.positions import PositionFiles
from midstage.gateway.adapters.wanted import ConfigDirectory, WantedFiles, signing_key
from midstage.gateway.config import Settings, from_env
from midstage.gateway.metrics import Metrics
from midstage.gateway.model.apps import Setup
from midstage.gateway.stream.beats import Beats
from midstage.gateway.stream.bell import Bell
from midstage.gateway.stream.configuration import Configuration
from midstage.gateway.stream.deployments import Deployments
from midstage.gateway.stream.neighbours import Envoy, Neighbours
from midstage.gateway.stream.outbox import Outbox
from midstage.gateway.stream.rotation import Rotation
from midstage.gateway.stream.routes import Edge, Routes
from midstage.gateway.stream.shipper import Shipper
from midstage.gateway.views import inforce
from midstage.gateway.views.inforce import RoutesAnswer

SERVICE = "gateway"
VERSION = "0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """What gateway writes and reads; tests give topics of their own."""

    requests: Topic = REQUESTS
    edges: Topic = EDGES
    routes: Topic = ROUTES
    apps: Topic = APPS
    cluster: Topic = CLUSTER
    inventory: Topic = INVENTORY


def compose(
    settings: Settings,
    *,
    reached: Failpoint = nothing,
    log: Log | None = None,
    clock: Clock | None = None,
    topics: Topics | None = None,
) -> Process:
    """The process; ``log``, ``clock`` and ``topics`` are given by tests alone."""
    metrics = Metrics(CollectorRegistry())
    log = log or KafkaLog(bootstrap=settings.kafka, client_id=f"midstage.{SERVICE}")
    clock = clock or SystemClock()
    topics = topics or Topics()
    routing = routed(
        settings, log=log, clock=clock, topics=topics, metrics=metrics, reached=reached
    )
    shipper = shipping(
        settings,
        log=log,
        envoy=Admin(f"http://{settings.admin}"),
        clock=clock,
        topics=topics,
        metrics=metrics,
        reached=reached,
    )
    readiness = Readiness()
    readiness.add("configuration", routing.configuration.progress)
    readiness.add("specs", routing.deployments.specs_progress)
    readiness.add("pods", routing.deployments.pods_progress)
    readiness.add("routes", routing.routes.progress)
    readiness.add("shipper", shipper.progress)
    app = http.build(
        service=SERVICE,
        version=VERSION,
        readiness=readiness,
        registry=metrics.registry,
        token=secret(settings.token_file),
        routers=[api.router(shipped=lambda: shipper.shipped, in_force=routing.shown)],
    )
    return Process(
        service=SERVICE,
        app=app,
        host=settings.host,
        port=settings.port,
        loops=[*routing.loops, shipper],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """From facts into Envoy, and from Envoy into facts."""

    edge: str
    deployments: Deployments
    configuration: Configuration
    routes: Routes

    @property
    def loops(self) -> Sequence[Loop]:
        """What has to run."""
        return (*self.deployments.loops, self.configuration, self.routes)

    def shown(self) -> RoutesAnswer:
        """What is in force, for people."""
        told, look = self.configuration.told, self.routes.look
        return inforce.shown(
            edge=self.edge,
            in_force=self.routes.in_force,
            endpoints=look.apps if look is not None else None,
            refused=told.refused if told is not None else (),
        )


def routed(
    settings: Settings,
    *,
    log: Log,
    clock: Clock,
    topics: Topics,
    metrics: Metrics,
    reached: Failpoint,
) -> Routing:
    """The routing alone, for ``compose`` and for tests."""
    wanted, applied = Bell(), Bell()
    deployments = Deployments(
        log=log,
        apps=topics.apps,
        cluster=topics.cluster,
        inventory=topics.inventory,
        clock=clock,
        changed=wanted.ring,
    )
    configuration = Configuration(
        setup=_setup(settings),
        wanted=WantedFiles(apps_file=settings.apps_file, api_keys_file=settings.api_keys_file),
        known=deployments,
        watched=ConfigDirectory(settings.config_dir),
        clock=clock,
        metrics=metrics,
        serving=lambda: routes.serving,
        bell=wanted,
        applied=applied,
        reached=reached,
    )
    routes = Routes(
        edge=Edge(
            name=settings.edge,
            signing_key=signing_key(settings.edge_keys_file, settings.edge),
            topic=topics.routes,
        ),
        log=log,
        envoy=Admin(f"http://{settings.admin}"),
        told=lambda: configuration.told,
        clock=clock,
        metrics=metrics,
        bell=applied,
        changed=wanted.ring,
        reached=reached,
    )
    return Routing(
        edge=settings.edge, deployments=deployments, configuration=configuration, routes=routes
    )


def shipping(
    settings: Settings,
    *,
    log: Log,
    envoy: Envoy,
    clock: Clock,
    topics: Topics,
    metrics: Metrics,
    reached: Failpoint,
) -> Shipper:
    """The shipper alone, for ``compose`` and for tests."""
    outbox = Outbox(
        signing_key=signing_key(settings.edge_keys_file, settings.edge),
        requests=topics.requests,
        edges=topics.edges,
    )
    files = LogFiles(settings.log_dir)
    beats = Beats(
        edge=settings.edge,
        envoy=envoy,
        files=files,
        outbox=outbox,
        clock=clock,
        metrics=metrics,
    )
    rotation = Rotation(files=files, envoy=envoy, clock=clock, most_bytes=settings.rotate_bytes)
    return Shipper(
        edge=settings.edge,
        outbox=outbox,
        beats=beats,
        rotation=rotation,
        topics=[*settings_of(topics.requests), *settings_of(topics.edges)],
        around=Neighbours(
            log=log,
            files=files,
            positions=PositionFiles(settings.state_dir),
            clock=clock,
            metrics=metrics,
        ),
        reached=reached,
    )


def _setup(settings: Settings) -> Setup:
    programs = resources("midstage.gateway.adapters")
    return Setup(
        edge=settings.edge,
        config_dir=str(settings.config_dir),
        request_log=str(settings.log_dir / CURRENT),
        listen=settings.listen,
        admin=settings.admin,
        throttle=settings.throttle,
        caller_reader=programs.joinpath("caller.lua").read_text(),
        usage_reader=programs.joinpath("usage.lua").read_text(),
    )


def main(env: Mapping[str, str], *, reached: Failpoint = nothing) -> int:
    """Run until told to stop; the process's exit code."""
    return start(SERVICE, lambda: compose(from_env(env), reached=reached))


if __name__ == "__main__":
    sys.exit(main(os.environ))
