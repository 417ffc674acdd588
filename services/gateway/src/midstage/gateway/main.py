"""Gateway's only composition: files for Envoy, the shipper of its request log, the API.

Envoy is not a part of it: it runs beside, as the supervisor's child, and goes on without it.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as resources

from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.clock import Clock, SystemClock
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness
from midstage.chassis.settings import secret
from midstage.chassis.start import start
from midstage.contracts.topics import EDGES, REQUESTS, Topic
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
from midstage.gateway.stream.configuration import Configuration
from midstage.gateway.stream.neighbours import Envoy, Neighbours
from midstage.gateway.stream.outbox import Outbox
from midstage.gateway.stream.rotation import Rotation
from midstage.gateway.stream.shipper import Shipper

SERVICE = "gateway"
VERSION = "0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """What gateway writes; tests give topics of their own."""

    requests: Topic = REQUESTS
    edges: Topic = EDGES


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
    configuration = Configuration(
        setup=_setup(settings),
        wanted=WantedFiles(apps_file=settings.apps_file, api_keys_file=settings.api_keys_file),
        watched=ConfigDirectory(settings.config_dir),
        metrics=metrics,
    )
    shipper = shipping(
        settings,
        log=log or KafkaLog(bootstrap=settings.kafka, client_id=f"midstage.{SERVICE}"),
        envoy=Admin(f"http://{settings.admin}"),
        clock=clock or SystemClock(),
        topics=topics or Topics(),
        metrics=metrics,
        reached=reached,
    )
    readiness = Readiness()
    readiness.add("configuration", configuration.progress)
    readiness.add("shipper", shipper.progress)
    app = http.build(
        service=SERVICE,
        version=VERSION,
        readiness=readiness,
        registry=metrics.registry,
        token=secret(settings.token_file),
        routers=[api.router(lambda: shipper.shipped)],
    )
    return Process(
        service=SERVICE,
        app=app,
        host=settings.host,
        port=settings.port,
        loops=[configuration, shipper],
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
    return Setup(
        edge=settings.edge,
        config_dir=str(settings.config_dir),
        request_log=str(settings.log_dir / CURRENT),
        listen=settings.listen,
        admin=settings.admin,
        throttle=settings.throttle,
        usage_reader=resources("midstage.gateway.adapters").joinpath("usage.lua").read_text(),
    )


def main(env: Mapping[str, str], *, reached: Failpoint = nothing) -> int:
    """Run until told to stop; the process's exit code."""
    return start(SERVICE, lambda: compose(from_env(env), reached=reached))


if __name__ == "__main__":
    sys.exit(main(os.environ))
