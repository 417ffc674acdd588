"""Stats' only composition: the ledger's file, the counting consumer, load facts, the API.

One process owns one ledger file and reads all partitions of requests and edges, from the positions
in that file. A second process on the same file is refused.
"""

import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry

from midstage.chassis.audited import Audit, told_lost
from midstage.chassis.clock import Clock, SystemClock
from midstage.chassis.keys import edge_keys
from midstage.chassis.process import Loop, Process
from midstage.chassis.settings import secret
from midstage.chassis.start import start
from midstage.chassis.threads import handed_over_soon
from midstage.contracts.apps import AppFact
from midstage.contracts.billing import BillingFact
from midstage.contracts.topics import APPS, AUDIT, BILLING, EDGES, LOAD, REQUESTS, USAGE, Topic
from midstage.eventlog import arrow
from midstage.eventlog.auditing import Auditing
from midstage.eventlog.consume import WholeConsumer
from midstage.eventlog.dead_letters import DeadLetterTopic
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Log
from midstage.eventlog.versions import Versions
from midstage.stats import api
from midstage.stats.adapters.callers import caller_keys
from midstage.stats.adapters.columns import in_one_heap
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.held import HeldAnywhere
from midstage.stats.adapters.merging import Merging
from midstage.stats.adapters.owner import owned
from midstage.stats.adapters.queries import Queries
from midstage.stats.adapters.recount import Recount
from midstage.stats.adapters.rows import beside
from midstage.stats.adapters.seen import HashFiles
from midstage.stats.adapters.seen.opening import opened
from midstage.stats.adapters.shards import FarShard, far_shards, in_order
from midstage.stats.adapters.together import Together, TogetherRecounted
from midstage.stats.adapters.usage.everywhere import AllShards
from midstage.stats.adapters.usage.formats import FORMATS
from midstage.stats.api import completeness, dead_letters, events, periods, recount, shard, usage
from midstage.stats.api.application import application
from midstage.stats.config import Settings, from_env
from midstage.stats.decide.billing import Account
from midstage.stats.metrics import Metrics
from midstage.stats.model import Arrivals, Batch, Committed
from midstage.stats.stream.billing import accounts, bookkeeping
from midstage.stats.stream.counting import Counting, Ledger, LedgerPositions, Seen
from midstage.stats.stream.dead_letters import REFUSED, Looking
from midstage.stats.stream.facts import Told, telling
from midstage.stats.stream.incoming.checking import Checking
from midstage.stats.stream.incoming.held import Held
from midstage.stats.stream.ingest import Ingest
from midstage.stats.stream.loads import Loads
from midstage.stats.stream.merging import PAGES_KEPT, Tidying
from midstage.stats.stream.outbox import Facts, Sending
from midstage.stats.stream.reading import AT_ONCE, GATHERED, HEAVIEST, Reading
from midstage.stats.stream.seen import OneAtATime
from midstage.stats.stream.specs import specs
from midstage.stats.views.promises import Promise, standing

SERVICE = "stats"
VERSION = "0.1.0"
TOGETHER = 3
"""Partitions of requests that have room in one answer of the broker, and edges beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """What stats reads and writes; tests give topics of their own."""

    requests: Topic = REQUESTS
    edges: Topic = EDGES
    load: Topic = LOAD
    usage: Topic = USAGE
    apps: Topic = APPS
    audit: Topic = AUDIT
    billing: Topic = BILLING
    refused: tuple[Topic, ...] = REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """Gaps, archive and periods: what runs for them, and where they are asked for."""

    loops: Sequence[Loop]
    routes: Sequence[APIRouter]
    log: Versions[Account, BillingFact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The parts of one stats process that a test may run one by one."""

    process: Process
    app: FastAPI
    consumer: WholeConsumer[Arrivals]
    loads: Loads
    facts: Facts
    sending: Sending
    apps: Versions[Promise, AppFact]
    ledger: DuckdbLedger
    auditing: Auditing
    ingest: Ingest
    billing: Billing

    def run(self) -> int:
        """Run until told to stop, then put everything into the ledger's file; the exit code."""
        try:
            return self.process.run()
        finally:
            self.ledger.close()


def compose(
    settings: Settings,
    *,
    reached: Failpoint = nothing,
    log: Log | None = None,
    clock: Clock | None = None,
    topics: Topics | None = None,
    swapped: Callable[[DuckdbLedger], Ledger] = lambda ledger: ledger,
    seen_swapped: Callable[[HashFiles], Seen] = lambda seen: seen,
) -> Service:
    """The service; all but ``settings`` and ``reached`` is given by tests alone.

    Raises UnavailableError when another process has the ledger file, or when what was seen is
    damaged and can't be read from the ledger and its archive again.
    """
    in_one_heap()
    log = log or kafka(settings.kafka)
    clock = clock or SystemClock()
    topics = topics or Topics()
    ledger = owned(
        lambda: DuckdbLedger(
            settings.ledger_file,
            now=clock.now,
            memory_mb=settings.ledger_memory_mb,
            shard=settings.shard.number,
            shards=settings.shard.of,
            segment_rows=settings.segment_rows,
            reached=reached,
        ),
        settings.ledger_file,
        take_over=settings.take_over,
    )
    books = ledger.queries(at_once=settings.questions_at_once)
    apps = specs(log=log, clock=clock, topic=topics.apps, engine=f"{SERVICE}/{VERSION}")
    told = Told(
        load=topics.load,
        usage=topics.usage,
        shard=settings.shard,
        specified=lambda: standing(apps.states()),
        lag=lambda: consumer.lag() if consumer.progress() is None else None,
        waiting=lambda: consumer.waiting(),  # noqa: PLW0108  it is made below
    )
    heard, loads = telling(
        swapped(ledger), books=ledger.facts(), sources=books.sources(), told=told, now=clock.now
    )
    facts, sending = Facts(heard), Sending(ledger=heard, log=log, reached=reached)
    metrics = Metrics(CollectorRegistry())
    files = opened(
        settings.ledger_file,
        ledger=ledger,
        now=clock.now,
        reached=reached,
        seal_at=settings.seen_in_memory,
    )
    seen = OneAtATime(seen_swapped(files))
    keys = edge_keys(settings.edge_keys_file)
    consumer = counting(
        settings,
        keys=keys,
        log=log,
        clock=clock,
        topics=topics,
        ledger=heard,
        seen=seen,
        counted=(metrics.counted,),
        refused=metrics.refused,
        reached=reached,
    )
    auditing = Auditing(
        log=log,
        topic=topics.audit,
        source=f"{SERVICE}/{settings.shard.number}",
        new_id=lambda: uuid.uuid4().hex,
        lost=told_lost(metrics.audit_lost),
    )
    held = Held(sources=ledger.sources, seen=seen.known)
    ingest = Ingest(
        log=log,
        check=Checking(topic=topics.requests, keys=keys, now=clock.now),
        held=HeldAnywhere(
            shards=in_order(held, _far(settings), number=settings.shard.number),
            partitions=topics.requests.partitions,
            monotonic=clock.monotonic,
        ),
        counted=metrics.posted,
        within_s=settings.ingest_within_s,
        reached=reached,
    )
    audit = Audit(service=SERVICE, note=auditing.note, now=clock.now)
    billed = _billing(
        settings,
        log=log,
        clock=clock,
        topics=topics,
        ledger=ledger,
        seen=seen,
        audit=audit,
        reached=reached,
    )
    own = shard.OwnShard(
        books=books, held=held.held, recent=loads.recent, lag=consumer.lag, now=clock.now
    )
    desk = _desk(settings, books=books, clock=clock, audit=audit)
    app = application(
        service=SERVICE,
        version=VERSION,
        token=secret(settings.token_file),
        routes=[
            *billed.routes,
            shard.router(own),
            api.router(
                Together(shards=in_order(own, _far(settings), number=settings.shard.number)),
                customers=desk.customers,
                audit=audit,
                promises=apps.states,
                now=clock.now,
            ),
            usage.router(desk),
            dead_letters.router(Looking(log=log, topics=topics.refused), audit),
            events.router(events.Door(taking=ingest, customers=desk.customers, audit=audit)),
        ],
        registry=metrics.registry,
        progress=consumer.progress,
    )
    tidying = Tidying(Merging(ledger, kept=PAGES_KEPT), now=clock.now)
    process = Process(
        service=SERVICE,
        app=app,
        host=settings.host,
        port=settings.port,
        loops=[sending, facts, consumer, apps, auditing, ingest, tidying, *billed.loops],
    )
    return Service(
        process=process,
        app=app,
        consumer=consumer,
        loads=loads,
        facts=facts,
        sending=sending,
        apps=apps,
        ledger=ledger,
        auditing=auditing,
        ingest=ingest,
        billing=billed,
    )


def _desk(settings: Settings, *, books: Queries, clock: Clock, audit: Audit) -> usage.Desk:
    own, token = books.usage, secret(settings.token_file)
    return usage.Desk(
        shards=AllShards(own=own, far=_far(settings)),
        own=own,
        customers=caller_keys(settings.api_keys_file),
        files=FORMATS,
        audit=audit,
        secret=token.encode(),
        now=clock.now,
    )


def _far(settings: Settings) -> list[FarShard]:
    return far_shards(settings.peers, own=settings.shard.number, token=secret(settings.token_file))


def _billing(
    settings: Settings,
    *,
    log: Log,
    clock: Clock,
    topics: Topics,
    ledger: DuckdbLedger,
    seen: Seen,
    audit: Audit,
    reached: Failpoint,
) -> Billing:
    """Asked by no readiness: counting goes on while the log of billing is away."""
    number, file = settings.shard.number, settings.ledger_file
    bills = accounts(
        log=log,
        topic=topics.billing,
        engine=f"{SERVICE}/{VERSION}",
        now=clock.now,
        monotonic=clock.monotonic,
        reached=reached,
    )
    far = _far(settings)
    kept = bookkeeping(
        ledger,
        directory=beside(file),
        far=far,
        log=bills,
        upto_row=seen.mark,
        shard=number,
        grace=settings.gap_grace,
        kept=settings.rows_kept,
        now=clock.now,
        new_id=lambda: uuid.uuid4().hex,
        reached=reached,
    )
    whole = completeness.Desk(
        shard=number, books=kept.own, others=[one.completeness for one in far]
    )
    mine = Recount(kept.archive)
    desk = periods.Desk(closing=kept.closing, own=kept.own, accounts=bills.states)
    return Billing(
        loops=[bills, *kept.loops],
        routes=[
            completeness.router(whole),
            periods.router(desk, audit),
            recount.router(
                mine, TogetherRecounted(shards=in_order(mine, far, number=number)), audit
            ),
        ],
        log=bills,
    )


def kafka(bootstrap: str) -> KafkaLog:
    """The log at these brokers, as stats reads it."""
    return KafkaLog(bootstrap=bootstrap, client_id=f"midstage.{SERVICE}", together=TOGETHER)


def counting(
    settings: Settings,
    *,
    keys: Callable[[], Mapping[str, bytes]],
    log: Log,
    clock: Clock,
    topics: Topics,
    ledger: Ledger,
    seen: Seen,
    counted: Sequence[Callable[[Batch, Committed], None]],
    refused: Callable[[str], None] = lambda _: None,
    reached: Failpoint,
) -> WholeConsumer[Arrivals]:
    """What counts the log into ``ledger``; nothing is told by it."""
    names = (topics.requests.name, topics.edges.name)
    return WholeConsumer[Arrivals](
        name="counting",
        log=log,
        read=Reading(
            requests=topics.requests,
            edges=topics.edges,
            keys=keys,
            now=clock.now,
            billed=settings.billed,
        ),
        effect=Counting(ledger=ledger, seen=seen, counted=counted),
        positions=LedgerPositions(ledger=ledger, log=log, topics=names, shard=settings.shard),
        dead_letters=DeadLetterTopic(log=log, reader=SERVICE, counted=refused),
        clock_monotonic=clock.monotonic,
        most=AT_ONCE,
        linger_s=settings.commit_interval_s,
        ahead=True,
        weigh=arrow.weight,
        heaviest=HEAVIEST,
        join=Arrivals.joined,
        gathered=GATHERED,
        reached=reached,
    )


def main(env: Mapping[str, str], *, reached: Failpoint = nothing) -> int:
    """Run until told to stop; the process's exit code: 1 where it could not start or failed."""
    handed_over_soon()
    return start(SERVICE, lambda: compose(from_env(env), reached=reached))


if __name__ == "__main__":
    sys.exit(main(os.environ))
