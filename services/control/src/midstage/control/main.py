"""Control's only composition: one reflector for each cluster, signals, folds of the log, HTTP.

Any number of processes may run: for each cluster one of them holds its lease and writes, the
others stand by; every one answers from the log.
"""

import os
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.clock import Clock, SystemClock
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness
from midstage.chassis.settings import secret
from midstage.chassis.start import start
from midstage.cluster.connect import connect, measures
from midstage.contracts import topics
from midstage.contracts.apps import AppFact
from midstage.contracts.topics import Topic
from midstage.control.adapters.dcgm import Dcgm
from midstage.control.adapters.sources import Lags
from midstage.control.adapters.sources import Metrics as Measured
from midstage.control.api import signals as signals_api
from midstage.control.api.emptying import Emptied
from midstage.control.api.endless import Endless
from midstage.control.api.routes import Api, router
from midstage.control.config import Settings, from_env
from midstage.control.decide.signals import specified
from midstage.control.metrics import Metrics
from midstage.control.model import Specified
from midstage.control.stream import signals as signals_stream
from midstage.control.stream.changes import Changes
from midstage.control.stream.cluster import Watched
from midstage.control.stream.known import Known
from midstage.control.stream.reflecting import Reflector
from midstage.control.stream.tenure import Tenure
from midstage.control.stream.view import View
from midstage.control.stream.writing import Writing
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.kafka import GroupLags, KafkaLog
from midstage.eventlog.log import Log
from midstage.eventlog.versions import Versions

SERVICE = "control"
VERSION = "0.1.0"


class Cluster(Watched, Emptied, Protocol):
    """All that control asks of a cluster."""

    def logs(
        self, pod: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> Iterator[bytes]:
        """What a pod wrote."""
        ...


def compose(
    settings: Settings,
    *,
    log: Log | None = None,
    clusters: Sequence[Cluster] | None = None,
    stream: Topic = topics.CLUSTER,
    inventory: Topic = topics.INVENTORY,
    apps: Topic = topics.APPS,
    signals: Topic = topics.SIGNALS,
    sources: Sequence[signals_stream.Source] | None = None,
    reached: Failpoint = nothing,
) -> Process:
    """The process; all but the settings and ``reached`` are swapped by tests alone."""
    clock, stopping = SystemClock(), threading.Event()
    log = log or KafkaLog(bootstrap=settings.kafka, client_id=f"midstage.{SERVICE}")
    clusters = _clusters(settings) if clusters is None else clusters
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    known = Known(log=log, topic=inventory, monotonic=clock.monotonic)
    view = View(
        log=log,
        stream=stream,
        inventory=inventory,
        hear=known.hear,
        monotonic=clock.monotonic,
    )

    def writing() -> Writing:
        return Writing(
            log=log, stream=stream, inventory=inventory, metrics=metrics, reached=reached
        )

    reflectors = [
        Reflector(
            cluster,
            tenure=Tenure(
                cluster,
                holder=uuid.uuid4().hex,
                lease_s=settings.lease_s,
                monotonic=clock.monotonic,
            ),
            known=known,
            writing=writing,
            clock=clock,
            metrics=metrics,
            usage_every_s=settings.usage_every_s,
            gpus=Dcgm(settings.dcgm_urls.get(cluster.name, ())),
        )
        for cluster in clusters
    ]
    specs = Versions[Specified, AppFact](
        log=log,
        topic=apps,
        initial=Specified(),
        evolve=specified,
        engine=f"{SERVICE}/{VERSION}",
        now=clock.now,
        monotonic=clock.monotonic,
    )
    signalled = signals_stream.Known(log=log, topic=signals, monotonic=clock.monotonic)
    signalling = signals_stream.Writing(log=log, topic=signals, now=clock.now)
    readings = [
        signals_stream.Reading(
            source,
            apps=specs.states,
            known=signalled,
            writing=signalling,
            every_s=settings.signals_every_s,
            now=clock.now,
        )
        for source in (_sources(settings, clock) if sources is None else sources)
    ]
    readiness = Readiness()
    readiness.add("apps", specs.following)
    readiness.add("signals", signalled.loop.caught_up)
    readiness.add("inventory", known.loop.caught_up)
    readiness.add("view", view.loop.caught_up)
    for reflector in reflectors:
        readiness.add(reflector.name, reflector.trouble)
    api = Api(
        view=view,
        changes=Changes(log=log, topic=stream, monotonic=clock.monotonic, stopping=stopping.is_set),
        clusters={cluster.name: cluster for cluster in clusters},
        endless=Endless(most=settings.streams, stopping=stopping, count=metrics.streams.set),
        now=clock.now,
    )
    return Process(
        service=SERVICE,
        app=http.build(
            service=SERVICE,
            version=VERSION,
            readiness=readiness,
            registry=registry,
            token=secret(settings.token_file),
            routers=[
                router(api),
                signals_api.router(
                    signals_api.Signals(
                        known=signalled, write=signalling.write, apps=specs.states, now=clock.now
                    )
                ),
            ],
        ),
        host=settings.host,
        port=settings.port,
        loops=[known.loop, view.loop, specs, signalled.loop, *readings, *reflectors],
        stopping=stopping,
    )


def main(env: Mapping[str, str], *, reached: Failpoint = nothing) -> int:
    """Run until told to stop; the process's exit code."""
    return start(SERVICE, lambda: compose(from_env(env), reached=reached))


def _clusters(settings: Settings) -> Sequence[Cluster]:
    token = secret(settings.cluster_token_file)
    return [
        connect(name, where, token, namespace=settings.namespace)
        for name, where in settings.clusters.items()
    ]


def _sources(settings: Settings, clock: Clock) -> Sequence[signals_stream.Source]:
    """Where the signals that policies name are read."""
    found: list[signals_stream.Source] = []
    if settings.lag_kafka:
        lags = GroupLags(bootstrap=settings.lag_kafka, client_id=f"midstage.{SERVICE}")
        found.append(Lags(lags, now=clock.now))
    for name, where in settings.clusters.items():
        asked = measures(name, where, namespace=settings.namespace)
        if asked is not None:
            found.append(Measured(asked, now=clock.now))
    return found


if __name__ == "__main__":
    sys.exit(main(os.environ))
