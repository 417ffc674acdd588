"""Data's only composition: the store, the reader that fills it, parts, downloads, the API.

One process owns one directory and reads all partitions of requests, from the positions in its
store. A second process on the same directory is refused.
"""

import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.clock import Clock, SystemClock
from midstage.chassis.keys import edge_keys
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness
from midstage.chassis.settings import secret
from midstage.chassis.start import start
from midstage.contracts.topics import REQUESTS, Topic
from midstage.data import api
from midstage.data.adapters.downloads import Downloads
from midstage.data.adapters.duckdb import DuckdbStore
from midstage.data.config import Settings, from_env
from midstage.data.metrics import Metrics
from midstage.data.model import Arrived
from midstage.data.stream.files import Closing, Making
from midstage.data.stream.keeping import Keeping, StorePositions
from midstage.data.stream.reading import Reading
from midstage.eventlog import arrow
from midstage.eventlog.consume import Consumer
from midstage.eventlog.dead_letters import DeadLetterTopic
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Log

SERVICE = "data"
VERSION = "0.1.0"
MOST_RECORDS = 1_000
"""Of one chunk, so of one transaction, and of what is in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The parts of one data process that a test may run one by one."""

    process: Process
    app: FastAPI
    consumer: Consumer[Sequence[Arrived]]
    closing: Closing
    making: Making
    store: DuckdbStore

    def run(self) -> int:
        """Run until told to stop, then put everything into the store's file; the exit code."""
        try:
            return self.process.run()
        finally:
            self.store.close()


def compose(
    settings: Settings,
    *,
    reached: Failpoint = nothing,
    log: Log | None = None,
    clock: Clock | None = None,
    topic: Topic = REQUESTS,
) -> Service:
    """The service; ``log``, ``clock`` and ``topic`` are given by tests alone.

    Raises UnavailableError when another process has the store.
    """
    log = log or KafkaLog(bootstrap=settings.kafka, client_id=f"midstage.{SERVICE}")
    clock = clock or SystemClock()
    store = DuckdbStore(
        settings.directory,
        now=clock.now,
        memory_mb=settings.store_memory_mb,
        part_rows=settings.part_rows,
        reached=reached,
    )
    downloads = Downloads(
        settings.directory / "downloads",
        queries=store.queries(),
        most=settings.downloads_most,
        most_bytes=settings.downloads_bytes,
        reached=reached,
    )
    metrics = Metrics(CollectorRegistry())
    consumer = _keeping(
        settings, log=log, clock=clock, topic=topic, store=store, metrics=metrics, reached=reached
    )
    closing = Closing(
        shelf=store.parts,
        now=clock.now,
        grace=settings.hour_grace,
        retention=settings.retention,
        most_bytes=settings.parts_bytes,
        closed=metrics.closed,
    )
    making = Making(desk=downloads, now=clock.now)
    asking = api.Asking(
        desk=downloads,
        now=clock.now,
        new_id=lambda: uuid.uuid4().hex,
        expiry=settings.download_expiry,
    )
    app = _app(
        settings,
        routes=api.router(books=store.queries(), asking=asking, lag=consumer.lag),
        registry=metrics.registry,
        progress=consumer.progress,
    )
    process = Process(
        service=SERVICE,
        app=app,
        host=settings.host,
        port=settings.port,
        loops=[making, closing, consumer],
    )
    return Service(
        process=process, app=app, consumer=consumer, closing=closing, making=making, store=store
    )


def _keeping(
    settings: Settings,
    *,
    log: Log,
    clock: Clock,
    topic: Topic,
    store: DuckdbStore,
    metrics: Metrics,
    reached: Failpoint,
) -> Consumer[Sequence[Arrived]]:
    return Consumer[Sequence[Arrived]](
        name="keeping",
        log=log,
        read=Reading(requests=topic, keys=edge_keys(settings.edge_keys_file), now=clock.now),
        effect=Keeping(store=store, retention=settings.retention, now=clock.now, kept=metrics.kept),
        positions=StorePositions(store=store, log=log, topic=topic.name),
        dead_letters=DeadLetterTopic(log=log, reader=SERVICE),
        clock_monotonic=clock.monotonic,
        most=MOST_RECORDS,
        linger_s=settings.commit_interval_s,
        weigh=arrow.weight,
        reached=reached,
    )


def _app(
    settings: Settings,
    *,
    routes: APIRouter,
    registry: CollectorRegistry,
    progress: Callable[[], str | None],
) -> FastAPI:
    readiness = Readiness()
    readiness.add("keeping", progress)
    return http.build(
        service=SERVICE,
        version=VERSION,
        readiness=readiness,
        registry=registry,
        token=secret(settings.token_file),
        routers=[routes],
        private=["/v1"],
    )


def main(env: Mapping[str, str], *, reached: Failpoint = nothing) -> int:
    """Run until told to stop; the process's exit code: 1 where it could not start or failed."""
    return start(SERVICE, lambda: compose(from_env(env), reached=reached))


if __name__ == "__main__":
    sys.exit(main(os.environ))
