"""Throttle's only composition: the limits' log, the gate, gRPC for Envoy, HTTP for people.

Any number of processes may take commands. What customers spend outlives the process: it counts
only what the log already says to be used, so a restart goes on where the log stands.
"""

import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial

import uvloop
from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.clock import SystemClock
from midstage.chassis.keys import edge_keys
from midstage.chassis.process import Process
from midstage.chassis.readiness import Readiness
from midstage.chassis.settings import secret
from midstage.chassis.sockets import opened_for
from midstage.chassis.start import start
from midstage.chassis.threads import handed_over_soon
from midstage.contracts import topics
from midstage.contracts.limits import LimitFact
from midstage.contracts.spends import CustomersTaken
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Log
from midstage.eventlog.snapshots import Snapshots, code_of
from midstage.eventlog.versions import Versions
from midstage.throttle import api
from midstage.throttle.adapters.envoy import RateLimitServer
from midstage.throttle.adapters.forwarding import Forwarding
from midstage.throttle.adapters.http2.server import MOST_CONNECTIONS
from midstage.throttle.adapters.imported import http as imported_http
from midstage.throttle.adapters.imported.folder import Folder
from midstage.throttle.adapters.imported.port import Imported
from midstage.throttle.adapters.imported.protocol import Telling
from midstage.throttle.adapters.imported.watching import Watching
from midstage.throttle.adapters.owners import GONE_S, Owners
from midstage.throttle.adapters.parts import PartsAsked, answering
from midstage.throttle.adapters.questions import DOMAIN
from midstage.throttle.adapters.unjudged import Unjudged
from midstage.throttle.api import lending
from midstage.throttle.api.elsewhere import Elsewhere
from midstage.throttle.api.looking import Looking
from midstage.throttle.api.standings import Standings
from midstage.throttle.config import RuleSettings, Settings, from_env
from midstage.throttle.decide.imported.book import Book
from midstage.throttle.decide.imported.counting import Counters, Options
from midstage.throttle.decide.lending import LentBucket, MakeLent
from midstage.throttle.decide.limits import evolve
from midstage.throttle.metrics import Metrics, RuleMetrics
from midstage.throttle.model.limits import Standing
from midstage.throttle.stream.apportioning import Apportioning
from midstage.throttle.stream.arriving import Arriving
from midstage.throttle.stream.earlier import Earlier
from midstage.throttle.stream.endings import Endings
from midstage.throttle.stream.gate import Gate
from midstage.throttle.stream.handing import Handing
from midstage.throttle.stream.parts import Parts
from midstage.throttle.stream.rooms import Rooms
from midstage.throttle.stream.sharing import Sharing
from midstage.throttle.stream.spending import Spending
from midstage.throttle.stream.unkept import Unkept

SERVICE = "throttle"
VERSION = "0.1.0"


def compose(
    settings: Settings,
    *,
    log: Log | None = None,
    topic: topics.Topic = topics.LIMITS,
    spends: topics.Topic = topics.SPENDS,
    requests: topics.Topic = topics.REQUESTS,
    kept: bool = True,
    lent_bucket: MakeLent = LentBucket,
    gone_s: float = GONE_S,
    reached: Failpoint = nothing,
) -> Process:
    """The process; what has a default is swapped by tests alone.

    Not ``kept``, counters are lost with the process: what a crash then grants twice is to be seen.
    ``lent_bucket`` makes the buckets of which parts are lent; another process that says nothing for
    ``gone_s`` is gone.
    """
    clock = SystemClock()
    kafka = partial(KafkaLog, bootstrap=settings.kafka, client_id=f"midstage.{SERVICE}")
    counters = log or kafka(linger_ms=0)  # checks wait for it
    log = log or kafka()
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
    steady_ns = _steady_ns()
    spending = Spending(
        log=counters,
        topic=spends,
        owner=f"{SERVICE}/{uuid.uuid4().hex}",
        address=settings.address,
        http_address=settings.http_address,
        now=clock.now,
        now_ns=steady_ns,
        monotonic=clock.monotonic,
        reached=reached,
    )
    rooms = Rooms(spends=spending, now_ns=steady_ns, metrics=metrics, beside=spending.beside)
    endings, earlier = _endings(log, settings, requests)

    def gone(holder: CustomersTaken) -> None:
        sharing.gone(holder)

    owners = Owners(
        owning=spending,
        within_s=settings.answer_within_ms / 1000,
        gone=gone,
        forwarded=metrics.forwarded.inc,
        gone_s=gone_s,
    )
    parts = Parts(keeping=rooms, owning=spending, ask=PartsAsked(owners), now_ns=steady_ns)
    gate = Gate(
        limits=versions,
        keeping=parts if kept else Unkept(),
        monotonic_ns=steady_ns,
        wall_ns=time.time_ns,
        metrics=metrics,
        caller_timeout_s=settings.caller_timeout_ms / 1000,
        late_below_s=settings.late_below_s,
        reserved_for_s=settings.reserved_for_s,
        ended=endings or tuple,
        ours=lambda customer: spending.holder(customer) is None,
        lent_bucket=lent_bucket,
    )
    apportioning = Apportioning(
        owning=spending,
        keeping=rooms,
        account=gate.account,
        now_ns=steady_ns,
        told=metrics.parts.inc,
    )
    watching, imported = _rules(settings.rules, registry)
    rooms.on_gained(
        gate.moving.forget,
        taken_over=Arriving(counting=spending, resume=gate.moving.resume, ends=earlier),
        look_back=earlier.look_back if earlier else None,
    )
    spending.reserved = lambda left: gate.moving.reserved(
        lambda customer: spending.partition(customer) == left.partition, left
    )
    unjudged = Unjudged(metrics=metrics, monotonic=clock.monotonic)
    server = RateLimitServer(
        host=settings.host,
        port=settings.grpc_port,
        answer=gate.check,
        foreign=unjudged.foreign,
        malformed=unjudged.malformed,
        closed=lambda: (
            gate.closed() or spending.closed() or (watching.closed() if watching else None)
        ),
        imported=imported.answer if imported else None,
        owners=owners,
        late_below_s=settings.late_below_s,
        lend=answering(apportioning.lend),
    )
    sharing = Sharing(
        spends=spending,
        handing=Handing(
            spends=spending,
            rooms=gate.moving.rooms,
            keeping=rooms,
            answer_within_s=settings.answer_within_ms / 1000,
        ),
        closed=server.serving,
        answers=owners.answers,
        monotonic=clock.monotonic,
        metrics=metrics,
    )
    forwarding = Forwarding(missed=owners.missed, forwarded=metrics.forwarded.inc)
    elsewhere = Elsewhere(owning=spending, forwarding=forwarding, serving=server.serving)
    readiness = Readiness()
    readiness.add("limits", versions.caught_up)
    readiness.add("spends", spending.caught_up)
    readiness.add("grpc", server.serving)
    readiness.add("share", sharing.counting)
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
                api.router(standings, Looking(gate=gate), elsewhere),
                lending.router(
                    lending.Lending(gate=gate, lender=gate.lending, elsewhere=elsewhere)
                ),
                imported_http.router(server.judged, server.serving, readiness),
            ],
            own_keys=[imported_http.PATH],
            bodies={imported_http.PATH: imported_http.BODY_BYTES},
        ),
        host=settings.host,
        port=settings.port,
        loops=[
            versions,
            spending,
            *([endings.loop] if endings else []),
            *([earlier] if earlier else []),
            *([watching] if watching else []),
        ],
        async_loops=[
            gate,
            rooms,
            parts,
            *([imported] if imported else []),
            forwarding,
            server,
            sharing,
        ],
        event_loop=uvloop.new_event_loop,
    )


def _endings(
    log: Log, settings: Settings, topic: topics.Topic
) -> tuple[Endings | None, Earlier | None]:
    """What reads how requests end, from now on and before, where the edges' keys are known."""
    if not settings.edge_keys_file:
        return None, None
    keys = edge_keys(settings.edge_keys_file)
    endings = Endings(log=log, keys=keys, topic=topic)
    earlier = Earlier(
        log=log, keys=keys, follows=endings.loop.caught_up, told=endings.earlier, topic=topic
    )
    return endings, earlier


def _rules(
    settings: RuleSettings, registry: CollectorRegistry
) -> tuple[Watching | None, Imported | None]:
    """What reads the imported rules and what answers by them, where there is a folder of them."""
    if settings.folder is None:
        return None, None
    book = Book(merge=settings.merge, reserved={DOMAIN})
    options = Options(
        stop_when_over=settings.stop_when_over,
        global_shadow=settings.shadow,
        global_quota=settings.quota,
        near_limit=settings.near_limit,
    )
    counters = Counters(options=options)
    metrics = RuleMetrics(registry, counters)
    imported = Imported(
        book=book,
        counters=counters,
        metrics=metrics,
        now_s=time.time,
        telling=Telling(
            headers=settings.headers, metadata=settings.metadata, all_quota=settings.quota
        ),
    )
    return Watching(folder=Folder(settings.folder), book=book, metrics=metrics), imported


def _steady_ns() -> Callable[[], int]:
    """Nanoseconds since the epoch that never go back; other processes' agree as clocks do."""
    since = time.time_ns() - time.monotonic_ns()
    return lambda: since + time.monotonic_ns()


def main(env: Mapping[str, str], *, reached: Failpoint = nothing) -> int:
    """Run until told to stop; the process's exit code.

    No check waits long for a thread that reads a log, nor a caller for another one to hang up.
    """
    handed_over_soon()
    opened_for(MOST_CONNECTIONS)
    return start(SERVICE, lambda: compose(from_env(env), reached=reached))


if __name__ == "__main__":
    sys.exit(main(os.environ))
