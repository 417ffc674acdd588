"""Examples for the golden files: what stats counts beside requests, and writes of its ledger."""

from midstage.contracts import sketch
from midstage.contracts.audit import QUERIED, Queried
from midstage.contracts.billing import (
    GapReason,
    Line,
    OpenGap,
    PeriodClosed,
    Position,
    Seal,
    StatementPiece,
    UsageAdjusted,
    UsageGap,
    UsageGapClosed,
)
from midstage.contracts.fact import Event
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.contracts.metered import METERED, Metered
from midstage.contracts.topics import AUDIT, BILLING, LOAD, REQUESTS, USAGE
from midstage.contracts.usage import (
    USAGE_ENDED,
    USAGE_OBSERVED,
    AppUsage,
    UsageMinuteEnded,
    UsageObserved,
)

from .examples import NOON, SOURCE, Decision, Events

EVENTS: Events = {
    "queried": (
        AUDIT,
        Event(
            id="5f1c0a3e",
            source="stats/0",
            type=QUERIED,
            time=NOON,
            subject="customer/acme",
            data=Queried(
                actor="customer/acme",
                service="stats",
                method="GET",
                route="/v1/usage",
                query="window=day&from=2026-01-01T00:00:00Z&zone=Europe/Berlin",
                status=200,
                at=NOON,
            ),
        ),
    ),
    "load-observed-packed": (
        LOAD,
        Event(
            id="chat/2026-01-01T12:00:00+00:00/1-3/2",
            source="stats/1",
            type=LOAD_OBSERVED,
            time=NOON,
            subject="chat",
            data=LoadObserved(
                app="chat",
                second=NOON.replace(microsecond=0),
                shard=1,
                shards=3,
                revision=2,
                complete_until=NOON,
                outcomes={"ok": 4},
                units={"requests": 4_000_000},
                in_flight=0,
                pending=0,
                latency_ms=sketch.packed(sketch.sketch([0.0, 12.5, 13.0, 80.0])),
                edges=2,
            ),
        ),
    ),
    "usage-observed": (
        USAGE,
        Event(
            id="acme/2026-01-01T12:00:00+00:00/1-3/7",
            source="stats/1",
            type=USAGE_OBSERVED,
            time=NOON,
            subject="acme",
            data=UsageObserved(
                customer="acme",
                minute=NOON.replace(microsecond=0),
                shard=1,
                shards=3,
                revision=7,
                complete_until=NOON,
                apps=(
                    AppUsage(app="", units={"seats": 25_000_000}),
                    AppUsage(app="chat", outcomes={"ok": 6}, units={"input_tokens": 120_000_000}),
                ),
            ),
        ),
    ),
    "usage-minute-ended": (
        USAGE,
        Event(
            id="2026-01-01T12:00:00+00:00/1-3",
            source="stats/1",
            type=USAGE_ENDED,
            time=NOON,
            data=UsageMinuteEnded(
                minute=NOON.replace(microsecond=0),
                shard=1,
                shards=3,
                customers=1,
                complete_until=NOON,
            ),
        ),
    ),
    "metered-full": (
        REQUESTS,
        Event(
            id="night-2026-01-01/7",
            source="jobs/embedder",
            type=METERED,
            time=NOON,
            subject="acme",
            data=Metered(
                customer="acme",
                units={"gpu_seconds": 1834.25, "documents": 40_000},
                labels={"team": "search"},
                app="embedder",
                ref="run-7",
            ),
        ),
    ),
    "metered-minimal": (
        REQUESTS,
        Event(
            id="2026-01",
            source="sales",
            type=METERED,
            time=NOON,
            data=Metered(customer="acme", units={"seats": 25}),
        ),
    ),
}

DECISIONS: dict[str, Decision] = {
    "billing-gaps": Decision(
        topic=BILLING,
        key=f"source/{SOURCE}",
        engine="stats/0.1.0",
        version=1,
        facts=(
            UsageGap(
                source=SOURCE,
                edge="edge-1",
                reason=GapReason.HOLE,
                first=7,
                last=9,
                after=NOON,
                before=NOON,
                shard=1,
                at=NOON,
            ),
            UsageGap(
                source=SOURCE,
                edge="edge-1",
                reason=GapReason.SILENT,
                first=12,
                last=None,
                after=None,
                before=None,
                at=NOON,
            ),
            UsageGapClosed(source=SOURCE, reason=GapReason.HOLE, first=7, last=8, at=NOON),
            UsageGapClosed(source=SOURCE, reason=GapReason.SILENT, first=12, last=None, at=NOON),
        ),
    ),
    "billing-period": Decision(
        topic=BILLING,
        key="period/2025-12",
        engine="stats/0.1.0",
        version=1,
        facts=(
            StatementPiece(
                period="2025-12",
                piece=1,
                pieces=1,
                statement_sha256="00" * 32,
                content='{"lines":[]}\n',
            ),
            PeriodClosed(
                period="2025-12",
                since=NOON,
                until=NOON,
                zone="Europe/Berlin",
                seals=(
                    Seal(
                        shard=0,
                        row=120,
                        version=7,
                        positions=(Position(topic=REQUESTS.name, number=3, next=77),),
                        sealed_at=NOON,
                    ),
                ),
                gaps=(OpenGap(source=SOURCE, first=9, last=9, after=NOON, before=None),),
                sha256="00" * 32,
                size=13,
                pieces=1,
                by="api",
                why="the disk of edge-1 is lost",
                at=NOON,
            ),
            UsageAdjusted(
                period="2025-12",
                since=NOON,
                shard=0,
                after_row=120,
                upto_row=130,
                revision=1,
                lines=(
                    Line(
                        customer="acme",
                        app="chat",
                        kind="unit",
                        name="input_tokens",
                        amount="3000000",
                    ),
                ),
                at=NOON,
            ),
        ),
    ),
}
