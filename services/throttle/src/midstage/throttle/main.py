"""Throttle's only composition: the limits' log, the gate, gRPC for Envoy, HTTP for people.

Any number of processes may take commands; each has meters of its own, so one of them answers an
Envoy. Meters are not kept: after a restart nothing is counted yet.
"""

import os
import sys
import time
import uuid
from collections.abc import Mapping

import uvloop
from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.clock import SystemClock
from midstage.chassis.keys import edge_keys
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness
from midstage.chassis.settings import secret
from midstage.chassis.start import start
from midstage.contracts import topics
from midstage.contracts.limits import LimitFact
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Log
from midstage.eventlog.snapshots import Snapshots, code_of
from midstage.eventlog.versions import Versions
from midstage.throttle import api
from midstage.throttle.adapters.envoy import RateLimitServer
from midstage.throttle.api import lending
from midstage.throttle.api.looking import Looking
from midstage.throttle.api.standings import Standings
from midstage.throttle.config import Settings, from_env
from midstage.throttle.decide.limits import evolve
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.limits import Standing
from midstage.throttle.stream.endings import Endings
from midstage.throttle.stream.gate import Gate

SERVICE = "throttle"
VERSION = "0.1.0"


def compose(
    settings: Settings,
    *,
    log: Log | None = None,
    topic: topics.Topic = topics.LIMITS,
    requests: topics.Topic = topics.REQUESTS,
    reached: Failpoint = nothing,
) -> Process:
    """The process; ``log`` and topics are swapped by tests alone."""
    clock = SystemClock()
    log = log or KafkaLog(bootstrap=settings.kafka, client_id=f"midstage.{SERVICE}")
    versions = Versions[Standing, LimitFact](
        log=log,
        topic=topic,
        initial=Standing(),
        evolve=evolve,
        engine=f"{SERVICE}/{VERSION}",
        now=clock.now,
        monotonic=clock.monotonic,
        reached=reached,
        snapshots=Snapshots(log=log, topic=topic, state=Standing, code=code_of(evolve)),
    )
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    endings = (
        Endings(log=log, keys=edge_keys(settings.edge_keys_file), topic=requests)
        if settings.edge_keys_file
        else None
    )
    gate = Gate(
        limits=versions,
        monotonic_ns=time.monotonic_ns,
        wall_ns=time.time_ns,
        metrics=metrics,
        caller_timeout_s=settings.caller_timeout_ms / 1000,
        late_below_s=settings.late_below_s,
        reserved_for_s=settings.reserved_for_s,
        ended=endings or tuple,
    )
    server = RateLimitServer(
        host=settings.host,
        port=settings.grpc_port,
        answer=gate.check,
        foreign=metrics.foreign.inc,
        closed=gate.closed,
    )
    readiness = Readiness()
    readiness.add("limits", versions.caught_up)
    readiness.add("grpc", server.serving)
    standings = Standings(log=versions, now=clock.now, new_id=lambda: uuid.uuid4().hex)
    return Process(
        service=SERVICE,
        app=http.build(
            service=SERVICE,
            version=VERSION,
            readiness=readiness,
            registry=registry,
            token=secret(settings.token_file),
            routers=[
                api.router(standings, Looking(gate=gate)),
                lending.router(lending.Lending(gate=gate)),
            ],
        ),
        host=settings.host,
        port=settings.port,
        loops=[versions, *([endings.loop] if endings else [])],
        async_loops=[gate, server],
        event_loop=uvloop.new_event_loop,
    )


def main(env: Mapping[str, str], *, reached: Failpoint = nothing) -> int:
    """Run until told to stop; the process's exit code."""
    return start(SERVICE, lambda: compose(from_env(env), reached=reached))


if __name__ == "__main__":
    sys.exit(main(os.environ))
