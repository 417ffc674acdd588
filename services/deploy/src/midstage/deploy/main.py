"""Deploy's only composition: the applications' log, what is seen around, the loop, HTTP for people.

Any number of processes may run: the log decides commands and verdicts, the cluster's resource
versions decide writes. What a process knows is folded from the topics at its start.
"""

import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.audited import Audit, told_lost
from midstage.chassis.clock import Clock, SystemClock
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness
from midstage.chassis.settings import secret
from midstage.chassis.start import start
from midstage.cluster.connect import connect
from midstage.contracts import topics
from midstage.contracts.apps import AppFact
from midstage.contracts.scaling import ScalingFact
from midstage.deploy import api
from midstage.deploy.api import bundles
from midstage.deploy.api import scaling as scaling_api
from midstage.deploy.api.specs import published
from midstage.deploy.config import Settings, from_env
from midstage.deploy.decide import fold, wanted
from midstage.deploy.metrics import Metrics
from midstage.deploy.model import App, Scale
from midstage.deploy.stream.companions import Companions
from midstage.deploy.stream.reconcile import Cluster, Reconciler
from midstage.deploy.stream.references import References
from midstage.deploy.stream.surroundings import Surroundings
from midstage.eventlog.auditing import Auditing
from midstage.eventlog.codec import Decoders
from midstage.eventlog.current import Current
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Log
from midstage.eventlog.snapshots import Snapshots, code_of
from midstage.eventlog.versions import Versions

SERVICE = "deploy"
VERSION = "0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics that deploy uses; a test gives its own."""

    apps: topics.Topic = topics.APPS
    scaling: topics.Topic = topics.SCALING
    cluster: topics.Topic = topics.CLUSTER
    inventory: topics.Topic = topics.INVENTORY
    edges: topics.Topic = topics.EDGES
    routes: topics.Topic = topics.ROUTES
    audit: topics.Topic = topics.AUDIT


def compose(
    settings: Settings,
    *,
    log: Log | None = None,
    cluster: Cluster | None = None,
    read: Topics = Topics(),
    reached: Failpoint = nothing,
) -> Process:
    """The process; ``log``, ``cluster`` and ``read`` are swapped by tests alone."""
    clock = SystemClock()
    log = log or KafkaLog(bootstrap=settings.kafka, client_id=f"midstage.{SERVICE}")
    cluster = cluster or connect(
        settings.cluster,
        settings.cluster_at,
        secret(settings.cluster_token_file),
        namespace=settings.namespace,
        image=settings.command_image,
    )
    apps = _apps(log, read.apps, clock, reached)
    scaling = _scaling(log, read.scaling, clock)
    references = References(cluster, monotonic=clock.monotonic)
    companions = Companions(cluster, monotonic=clock.monotonic)
    around = Surroundings(
        cluster=cluster.name,
        namespace=settings.namespace,
        scales=scaling,
        references=references,
        accompanied=companions,
        now=clock.now,
        monotonic=clock.monotonic,
    )
    seen = Current(
        name="inventory",
        log=log,
        stream=read.cluster,
        compacted=read.inventory,
        read=Decoders(read.cluster, read.inventory),
        apply=around.cluster_fact,
        changed=around.changed,
    )
    heard = [
        Current(
            name=name,
            log=log,
            stream=topic,
            read=Decoders(topic),
            apply=around.edge_fact,
            changed=around.changed,
        )
        for name, topic in (("edges", read.edges), ("routes", read.routes))
    ]
    readiness = Readiness()
    for name, check in (
        ("apps", apps.caught_up),
        ("scaling", scaling.caught_up),
        ("inventory", seen.caught_up),
        ("cluster", around.unknown),
    ):
        readiness.add(name, check)
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    auditing = Auditing(
        log=log,
        topic=read.audit,
        source=f"{SERVICE}/{uuid.uuid4().hex}",
        new_id=lambda: uuid.uuid4().hex,
        lost=told_lost(metrics.audit_lost.inc),
    )
    reconciler = Reconciler(
        apps=apps,
        around=around,
        cluster=cluster,
        references=references,
        accompanied=companions,
        unready=lambda: apps.caught_up() or scaling.caught_up() or seen.caught_up(),
        hears_edges=lambda: all(each.caught_up() is None for each in heard),
        monotonic=clock.monotonic,
        metrics=metrics,
        reached=reached,
    )
    served = api.Apps(
        log=apps,
        around=around,
        seen=seen,
        cluster=cluster,
        now=clock.now,
        new_id=lambda: uuid.uuid4().hex,
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
                api.router(served),
                scaling_api.router(
                    served, Audit(service=SERVICE, note=auditing.note, now=clock.now)
                ),
                bundles.router(bundles.Bundles(apps=served, log=apps)),
                published(),
            ],
        ),
        host=settings.host,
        port=settings.port,
        loops=[apps, scaling, seen, *heard, reconciler, auditing],
    )


def _apps(
    log: Log, topic: topics.Topic, clock: Clock, reached: Failpoint
) -> Versions[App, AppFact]:
    evolve = fold.evolve
    return Versions[App, AppFact](
        log=log,
        topic=topic,
        initial=App(),
        evolve=evolve,
        engine=f"{SERVICE}/{VERSION}",
        now=clock.now,
        monotonic=clock.monotonic,
        reached=reached,
        snapshots=Snapshots(log=log, topic=topic, state=App, code=code_of(evolve)),
    )


def _scaling(log: Log, topic: topics.Topic, clock: Clock) -> Versions[Scale, ScalingFact]:
    """Read only: hpa writes it. Its own snapshots hold hpa's state, so all of it is folded."""
    return Versions[Scale, ScalingFact](
        log=log,
        topic=topic,
        initial=Scale(),
        evolve=wanted.evolve,
        engine=f"{SERVICE}/{VERSION}",
        now=clock.now,
        monotonic=clock.monotonic,
    )


def main(env: Mapping[str, str], *, reached: Failpoint = nothing) -> int:
    """Run until told to stop; the process's exit code."""
    return start(SERVICE, lambda: compose(from_env(env), reached=reached))


if __name__ == "__main__":
    sys.exit(main(os.environ))
