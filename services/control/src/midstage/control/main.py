"""Control's only composition: one reflector for each cluster, two folds of the log, HTTP.

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
from midstage.chassis.clock import SystemClock
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness
from midstage.chassis.settings import secret
from midstage.chassis.start import start
from midstage.cluster.connect import connect
from midstage.contracts import topics
from midstage.contracts.topics import Topic
from midstage.control.adapters.dcgm import Dcgm
from midstage.control.api.emptying import Emptied
from midstage.control.api.endless import Endless
from midstage.control.api.routes import Api, router
from midstage.control.config import Settings, from_env
from midstage.control.metrics import Metrics
from midstage.control.stream.changes import Changes
from midstage.control.stream.cluster import Watched
from midstage.control.stream.known import Known
from midstage.control.stream.reflecting import Reflector
from midstage.control.stream.tenure import Tenure
from midstage.control.stream.view import View
from midstage.control.stream.writing import Writing
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Log

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
    readiness = Readiness()
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
            routers=[router(api)],
        ),
        host=settings.host,
        port=settings.port,
        loops=[known.loop, view.loop, *reflectors],
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


if __name__ == "__main__":
    sys.exit(main(os.environ))
