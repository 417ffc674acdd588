"""One example of each fact of the paying path, as golden files pin them."""

from midstage.contracts import sketch
from midstage.contracts.algorithms import (
    CalendarQuota,
    Every,
    FixedWindow,
    Gcra,
    LeakyBucket,
    LifetimeQuota,
    MovingWindow,
    Refill,
    SlidingCounter,
    Slots,
    Starts,
    TokenBucket,
)
from midstage.contracts.edges import SOURCE_BEAT, SOURCE_CLOSED, Gauge, SourceBeat, SourceClosed
from midstage.contracts.fact import Event
from midstage.contracts.limits import (
    CustomerPlanned,
    CustomerUnplanned,
    FailureRule,
    LimitRemoved,
    LimitSet,
    OpenTo,
)
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.contracts.topics import EDGES, LIMITS, LOAD, REQUESTS

from .examples import NOON, SOURCE, Decision, Events

EVENTS: Events = {
    "request-completed-full": (
        REQUESTS,
        Event(
            id="5c1a2f60-8a3e-4f0e-9d6f-000000000001",
            source=SOURCE,
            type=REQUEST_COMPLETED,
            time=NOON,
            subject="chat",
            seq=42,
            data=RequestCompleted(
                app="chat",
                customer="acme",
                status=200,
                outcome=Outcome.OK,
                duration_ms=1234.5,
                endpoint="/v1/chat/completions",
                revision="sha256:0f1e",
                queue_ms=3.25,
                ttft_ms=87.0,
                bytes_in=512,
                bytes_out=4096,
                usage={"requests": 1, "input_tokens": 120, "audio_seconds": 1.5},
                estimated=True,
                labels={"tier": "gold", "город": "Köln"},
                ref="caller-7",
                cluster="local",
                pod="chat-0",
                trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
            ),
        ),
    ),
    "request-completed-minimal": (
        REQUESTS,
        Event(
            id="20260101T115900-7f3a/43",
            source=SOURCE,
            type=REQUEST_COMPLETED,
            time=NOON,
            data=RequestCompleted(
                app="chat",
                customer="unknown",
                status=0,
                outcome=Outcome.CANCELLED,
                duration_ms=0,
            ),
        ),
    ),
    "source-beat-newest": (
        EDGES,
        Event(
            id="beat-1",
            source=SOURCE,
            type=SOURCE_BEAT,
            time=NOON,
            data=SourceBeat(
                edge="edge-1",
                highest=42,
                complete_until=NOON,
                gauges=(
                    Gauge(app="chat", in_flight=3, pending=1),
                    Gauge(app="ocr", in_flight=0, pending=0),
                ),
            ),
        ),
    ),
    "source-beat-older": (
        EDGES,
        Event(
            id="beat-2",
            source=SOURCE,
            type=SOURCE_BEAT,
            time=NOON,
            data=SourceBeat(edge="edge-1", highest=0, complete_until=NOON, newest=False),
        ),
    ),
    "source-closed": (
        EDGES,
        Event(
            id="closed-1",
            source=SOURCE,
            type=SOURCE_CLOSED,
            time=NOON,
            data=SourceClosed(edge="edge-1", highest=42, torn=1),
        ),
    ),
    "load-observed": (
        LOAD,
        Event(
            id="load-chat-1",
            source="stats/0",
            type=LOAD_OBSERVED,
            time=NOON,
            subject="chat",
            data=LoadObserved(
                app="chat",
                second=NOON.replace(microsecond=0),
                shard=0,
                shards=2,
                revision=1,
                complete_until=NOON,
                outcomes={"ok": 5, "refused": 2},
                units={"requests": 5_000_000, "input_tokens": 120_000_000},
                in_flight=4,
                pending=0,
                latency_ms=sketch.sketch([0.0, 12.5, 13.0, 80.0]),
                ttft_ms=sketch.sketch([7.0]),
            ),
        ),
    ),
    "load-observed-unknown": (
        LOAD,
        Event(
            id="load-chat-2",
            source="stats/1",
            type=LOAD_OBSERVED,
            time=NOON,
            data=LoadObserved(app="chat", second=NOON.replace(microsecond=0), shard=1, shards=2),
        ),
    ),
}

DECISIONS = {
    "limits-appended-set-bucket": Decision(
        topic=LIMITS,
        key="limit/acme-chat",
        engine="throttle/0.1.0",
        version=1,
        facts=(
            LimitSet(
                limit="acme-chat",
                customer="acme",
                app="chat",
                amount=5,
                algorithm=TokenBucket(period_s=1.0, burst=10),
                on_failure=FailureRule.CLOSED,
                by="api",
                why="trial",
                at=NOON,
            ),
        ),
    ),
    "limits-appended-set-full": Decision(
        topic=LIMITS,
        key="limit/acme-tokens",
        engine="throttle/0.1.0",
        version=3,
        facts=(
            LimitSet(
                limit="acme-tokens",
                customer="acme",
                key="web",
                plan="gold",
                app="chat",
                unit="tokens",
                amount=1_000_000,
                algorithm=CalendarQuota(every=Every.MONTH, zone="Europe/Berlin"),
                on_failure=OpenTo(amount=100, period_s=60.0),
                drain=True,
                debt=5000,
                shadow=True,
                strict=True,
                overrides=("gold-tokens",),
                by="api",
                why="trial",
                at=NOON,
            ),
        ),
    ),
    "limits-appended-set-matching": Decision(
        topic=LIMITS,
        key="limit/large-models",
        engine="throttle/0.1.0",
        version=4,
        facts=(
            LimitSet(
                limit="large-models",
                match={"model": "large", "region": "eu"},
                amount=10,
                algorithm=TokenBucket(period_s=1.0),
                by="api",
                at=NOON,
            ),
        ),
    ),
    "limits-appended-set-each-algorithm": Decision(
        topic=LIMITS,
        key="limit/each",
        engine="throttle/0.1.0",
        version=9,
        facts=tuple(
            LimitSet(limit="each", amount=5, algorithm=algorithm, at=NOON)
            for algorithm in (
                TokenBucket(period_s=60.0, refill=Refill.WHOLE),
                LeakyBucket(period_s=60.0, burst=7),
                Gcra(period_s=0.5),
                FixedWindow(period_s=60.0),
                FixedWindow(period_s=60.0, starts=Starts.FIRST_HIT),
                MovingWindow(period_s=60.0),
                SlidingCounter(period_s=60.0),
                CalendarQuota(every=Every.WEEK),
                LifetimeQuota(),
                Slots(ttl_s=600.0),
            )
        ),
    ),
    "limits-appended-removed": Decision(
        topic=LIMITS,
        key="limit/acme-chat",
        engine="throttle/0.1.0",
        version=2,
        facts=(LimitRemoved(limit="acme-chat", by="api", why="over", at=NOON),),
    ),
    "limits-appended-planned": Decision(
        topic=LIMITS,
        key="customer/acme",
        engine="throttle/0.1.0",
        version=1,
        facts=(CustomerPlanned(customer="acme", plan="gold", by="api", why="signed", at=NOON),),
    ),
    "limits-appended-unplanned": Decision(
        topic=LIMITS,
        key="customer/acme",
        engine="throttle/0.1.0",
        version=2,
        facts=(CustomerUnplanned(customer="acme", by="api", why="left", at=NOON),),
    ),
}
