"""Golden files pin the bytes on the wire: one may be added, none is ever edited.

``python tests/contracts/test_golden.py`` writes what is missing and its line in SHA256SUMS.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from midstage.contracts import sketch
from midstage.contracts.edges import (
    SOURCE_BEAT,
    SOURCE_CLOSED,
    Gauge,
    SourceBeat,
    SourceClosed,
    source_of,
)
from midstage.contracts.fact import Event, Fact
from midstage.contracts.limits import FailureRule, LimitFact, LimitRemoved, LimitSet
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.contracts.topics import EDGES, LIMITS, LOAD, REQUESTS, Topic
from midstage.eventlog.appended import Facts, command, opened, written
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoder, encode
from midstage.eventlog.log import Partition, Record

GOLDEN = Path(__file__).parent / "golden"
SUMS = GOLDEN / "SHA256SUMS"
NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
KEY = "limit/acme-chat"
SOURCE = source_of("edge-1", "20260101T115900-7f3a")

EVENTS: dict[str, tuple[Topic, Event[Fact]]] = {
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

DECISIONS: dict[str, tuple[Topic, int, tuple[LimitFact, ...]]] = {
    "limits-appended-set": (
        LIMITS,
        1,
        (
            LimitSet(
                limit="acme-chat",
                customer="acme",
                app="*",
                rate_per_s=0.5,
                burst=10,
                on_failure=FailureRule.CLOSED,
                by="api",
                why="trial",
                at=NOON,
            ),
        ),
    ),
    "limits-appended-removed": (
        LIMITS,
        2,
        (LimitRemoved(limit="acme-chat", by="api", why="over", at=NOON),),
    ),
}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_has_the_bytes_that_it_always_had(name: str) -> None:
    assert encode(EVENTS[name][1]) == golden(name)


@pytest.mark.parametrize("name", EVENTS)
def test_bytes_of_any_age_are_read_as_the_same_event(name: str) -> None:
    topic, event = EVENTS[name]
    record = Record(
        partition=Partition(topic=topic.name, number=0),
        offset=0,
        key=event.source.encode(),
        value=golden(name),
        headers=((CONTENT_TYPE, STRUCTURED),),
    )
    assert Decoder(topic)(record) == event


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_has_the_bytes_that_it_always_had(name: str) -> None:
    assert appended(name) == golden(name)


@pytest.mark.parametrize("name", DECISIONS)
def test_bytes_of_any_age_are_read_as_the_same_decision(name: str) -> None:
    topic, version, facts = DECISIONS[name]
    record = Record(
        partition=Partition(topic=topic.name, number=0),
        offset=0,
        key=KEY.encode(),
        value=golden(name),
        headers=((CONTENT_TYPE, STRUCTURED),),
    )
    decision = opened(topic)(record)
    assert (decision.data.key, decision.data.version) == (KEY, version)
    assert decision.data.command_id == f"command-{version}"
    assert decision.time == NOON
    assert Facts[LimitFact](topic)(decision.data.facts) == facts


def test_no_golden_file_was_edited() -> None:
    lines = [line.split("  ") for line in SUMS.read_text().splitlines()]
    listed = {name: sha256 for sha256, name in lines}
    found = {file.name: digest(file.read_bytes()) for file in GOLDEN.glob("*.json")}
    assert found == listed


def test_each_fact_has_a_golden_file() -> None:
    shown = {event.type for _, event in EVENTS.values()}
    decided = {type(fact) for _, _, facts in DECISIONS.values() for fact in facts}
    assert decided == set(get_args(LIMITS.union))
    assert shown == {kind for topic in (REQUESTS, EDGES, LOAD) for kind, _ in topic.facts}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def appended(name: str) -> bytes:
    topic, version, facts = DECISIONS[name]
    return written(
        topic,
        event_id=f"append-{version}",
        by=command(key=KEY, command_id=f"command-{version}", payload=b"payload"),
        version=version,
        engine="throttle/0.1.0",
        facts=facts,
        at=NOON,
    ).value


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_missing() -> None:
    values = {name: encode(event) for name, (_, event) in EVENTS.items()}
    values |= {name: appended(name) for name in DECISIONS}
    with SUMS.open("a") as sums:
        for name, value in values.items():
            file = GOLDEN / f"{name}.json"
            if not file.exists():
                file.write_bytes(value)
                sums.write(f"{digest(value)}  {file.name}\n")


if __name__ == "__main__":
    write_missing()
