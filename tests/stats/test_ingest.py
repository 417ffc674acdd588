"""Events over HTTP: acknowledged when the log has them, refused with the place that is wrong."""

import asyncio
import gzip
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest
import zstandard
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.clock import SystemClock
from midstage.chassis.readiness import Readiness
from midstage.contracts import signature
from midstage.contracts.metered import METERED
from midstage.contracts.requests import REQUEST_COMPLETED
from midstage.contracts.topics import REQUESTS, Topic
from midstage.eventlog.codec import STRUCTURED, encode
from midstage.eventlog.log import Delivery, Message, Record
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.memory.clients import MemoryWriter
from midstage.eventlog.topics import settings_of
from midstage.stats.api import events
from midstage.stats.api.encodings import BODY_BYTES
from midstage.stats.metrics import Metrics
from midstage.stats.stream.incoming.checking import Checking
from midstage.stats.stream.ingest import Ingest

from .conftest import KEY, records, request

ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"
JSON = "application/json"
EDGE = "edges/edge-1/a"
DATA = {
    "app": "chat",
    "customer": "acme",
    "status": 200,
    "outcome": "ok",
    "duration_ms": 12.5,
    "usage": {"requests": 1, "input_tokens": 3},
}


def event(event_id: str = "e-1", **changed: object) -> dict[str, object]:
    """An event; a change to None takes the attribute out."""
    plain = {
        "specversion": "1.0",
        "id": event_id,
        "source": "jobs/1",
        "type": REQUEST_COMPLETED,
        "time": "2026-01-01T12:00:00Z",
        "data": DATA,
        **changed,
    }
    return {name: value for name, value in plain.items() if value is not None}


def with_data(**changed: object) -> dict[str, object]:
    return event(data={**DATA, **changed})


@dataclass
class Ways:
    """The way in alone, on a log in memory, and who posts to it with the operators' token."""

    log: MemoryLog
    topic: Topic
    ingest: Ingest
    client: TestClient

    def post(
        self,
        body: object,
        kind: str = ONE,
        *,
        token: str = "secret",
        query: str = "",
        **headers: str,
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer: httpx.Response = self.client.post(
            f"/v1/events{query}",
            content=content,
            headers={"content-type": kind, "authorization": f"Bearer {token}", **named},
        )
        return answer

    def records(self) -> list[Record]:
        return records(self.log, self.topic.name)

    def written(self) -> list[dict[str, object]]:
        """What stands in the log, by id."""
        events = [
            msgspec.json.decode(record.value or b"", type=dict[str, object])
            for record in self.records()
        ]
        return sorted(events, key=lambda each: str(each["id"]))

    def ids(self) -> list[object]:
        return [each["id"] for each in self.written()]


def opened(log: MemoryLog, *, within_s: float = 20.0, topic: Topic = REQUESTS) -> Ways:
    registry = CollectorRegistry()
    ingest = Ingest(
        log=log,
        check=Checking(topic=topic, keys=lambda: {"edge-1": KEY}, now=SystemClock().now),
        held=lambda events: [False] * len(events),
        counted=Metrics(registry).posted,
        within_s=within_s,
    )
    door = events.Door(taking=ingest, customers=lambda: {"key-of-acme": "acme"})
    app = http.build(
        service="stats",
        version="0",
        readiness=Readiness(),
        registry=registry,
        token="secret",
        routers=[events.router(door)],
        own_keys=[events.PATH],
        bodies={events.PATH: BODY_BYTES},
    )
    return Ways(log, topic, ingest, TestClient(app, raise_server_exceptions=False))


@contextmanager
def ways(log: MemoryLog, *, within_s: float = 20.0) -> Iterator[Ways]:
    log.create(settings_of(REQUESTS))
    way = opened(log, within_s=within_s)
    stop = threading.Event()
    loop = threading.Thread(target=way.ingest.run, args=(stop,))
    loop.start()
    try:
        yield way
    finally:
        stop.set()
        loop.join()


@pytest.fixture
def way() -> Iterator[Ways]:
    with ways(MemoryLog()) as found:
        yield found


@pytest.fixture(scope="module")
def closed() -> Iterator[Ways]:
    """For bodies of which nothing is taken."""
    with ways(MemoryLog()) as found:
        yield found


def refused(answer: httpx.Response) -> tuple[object, object]:
    """Where the first fault is: index and pointer."""
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    first = answer.json()["errors"][0]
    return first.get("index"), first["pointer"]


@pytest.mark.parametrize(
    ("kind", "body", "ids"),
    [
        (ONE, event("a"), ["a"]),
        (f"{ONE}; charset=utf-8", event("a"), ["a"]),
        (MANY, [event("a"), event("b")], ["a", "b"]),
        (MANY, [], []),
        (JSON, event("a"), ["a"]),
        (JSON, [event("a"), event("b")], ["a", "b"]),
    ],
)
def test_each_form_of_cloudevents_is_taken(
    way: Ways, kind: str, body: object, ids: list[str]
) -> None:
    answer = way.post(body, kind)
    assert (answer.status_code, answer.content) == (204, b"")
    assert way.ids() == ids
    for record in way.records():
        assert (record.key, record.headers) == (b"jobs/1", (("content-type", STRUCTURED),))


def test_attributes_may_come_as_headers(way: Ways) -> None:
    answer = way.post(
        DATA,
        JSON,
        ce_specversion="1.0",
        ce_id="a%20b",
        ce_source="jobs/1",
        ce_type=REQUEST_COMPLETED,
        ce_time="2026-01-01T12:00:00Z",
        ce_subject="K%C3%B6ln",
    )
    assert answer.status_code == 204, answer.text
    assert way.written() == [event("a b", subject="Köln")]


def test_metered_work_is_taken(way: Ways) -> None:
    work = event(type=METERED, data={"customer": "acme", "units": {"seats": 25}})
    assert way.post(work).status_code == 204
    assert way.written() == [work]


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("GZIP", gzip.compress),
        ("identity", bytes),
    ],
)
def test_a_body_may_be_compressed(
    way: Ways, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    body = compress(json.dumps([event("a"), event("b")]).encode())
    assert way.post(body, MANY, content_encoding=encoding).status_code == 204
    assert way.ids() == ["a", "b"]


LARGE = b"[" + b" " * (4 * 1024 * 1024) + b"]"


@pytest.mark.parametrize(
    ("body", "kind", "headers", "status"),
    [
        (LARGE, MANY, {}, 413),
        (gzip.compress(LARGE), MANY, {"content_encoding": "gzip"}, 413),
        (zstandard.ZstdCompressor().compress(LARGE), MANY, {"content_encoding": "zstd"}, 413),
        (gzip.compress(b"{}")[:-4], ONE, {"content_encoding": "gzip"}, 400),
        (gzip.compress(b"{}") * 2, ONE, {"content_encoding": "gzip"}, 400),
        (b"{}", ONE, {"content_encoding": "gzip"}, 400),
        (b"{}", ONE, {"content_encoding": "zstd"}, 400),
        (b"{}", ONE, {"content_encoding": "br"}, 415),
        (b"{}", "text/plain", {}, 415),
        (b"{}", "", {}, 415),
        (b"{}", f"{ONE}; charset=latin-1", {}, 415),
        (b"{}", JSON, {"ce_specversion": "1.0", "ce_id": "%ff"}, 400),
    ],
)
def test_a_body_that_can_not_be_one_says_why(
    closed: Ways, body: bytes, kind: str, headers: Mapping[str, str], status: int
) -> None:
    answer = closed.post(body, kind, **headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert closed.written() == []


FAULTS: list[tuple[object, str]] = [
    (event(id=None), "/id"),
    (event(id=""), "/id"),
    (event(id="x" * 257), "/id"),
    (event(id=7), "/id"),
    (event(source=None), "/source"),
    (event(source=""), "/source"),
    (event(specversion=None), "/specversion"),
    (event(specversion="0.3"), "/specversion"),
    (event(type=None), "/type"),
    (event(type="com.example.other"), "/type"),
    (event(time=None), "/time"),
    (event(time="2026-01-01T12:00:00"), "/time"),
    (event(time="yesterday"), "/time"),
    (event(time=1_767_268_800), "/time"),
    (event(time="9999-12-31T23:59:59Z"), "/time"),
    (event(time="1999-12-31T23:59:59Z"), "/time"),
    (event(data=None), "/data"),
    (event(data=[]), "/data"),
    (event(data_base64="e30="), "/data_base64"),
    (event(datacontenttype="text/xml"), "/datacontenttype"),
    (event(midstageseq="0" * 19 + "1"), "/midstageseq"),
    (event(source="edges/edge-1/a"), "/source"),
    (with_data(usage={"input_tokens": -1}), "/data/usage/input_tokens"),
    (with_data(usage={"input_tokens": 0.0000001}), "/data/usage/input_tokens"),
    (with_data(usage={"input_tokens": 1e13}), "/data/usage/input_tokens"),
    (with_data(usage={"input_tokens": "3"}), "/data/usage/input_tokens"),
    (with_data(usage={"input_tokens": True}), "/data/usage/input_tokens"),
    (with_data(usage={"input_tokens": float("nan")}), "/data/usage/input_tokens"),
    (with_data(usage={"input_tokens": float("inf")}), "/data/usage/input_tokens"),
    (with_data(usage={"a/b~c": -1}), "/data/usage/a~1b~0c"),
    (with_data(usage=[]), "/data/usage"),
    (with_data(usage={str(n): 1 for n in range(33)}), "/data/usage"),
    (with_data(labels={str(n): "x" for n in range(33)}), "/data/labels"),
    (with_data(customer=""), "/data/customer"),
    (with_data(customer=7), "/data/customer"),
    (with_data(duration_ms=-1), "/data/duration_ms"),
    (with_data(duration_ms=float("-inf")), "/data/duration_ms"),
    (with_data(status="200"), "/data/status"),
    (with_data(outcome="fine"), "/data/outcome"),
    (event(data={**DATA, "app": None}), "/data/app"),
    (event(data={name: DATA[name] for name in DATA if name != "app"}), "/data/app"),
    (event(type=METERED, data={"customer": "acme", "units": {}}), "/data/units"),
    (event(type=METERED, data={"customer": "acme", "units": {"a": "1"}}), "/data/units/a"),
    (with_data(labels={"x": "y" * 1024 * 1024}), ""),
    ("text", ""),
    ([1], ""),
]


@pytest.mark.parametrize(("fault", "pointer"), FAULTS, ids=lambda each: str(each)[:40])
def test_one_fault_refuses_the_whole_body_and_is_named(
    closed: Ways, fault: object, pointer: str
) -> None:
    answer = closed.post([event("a"), event("b"), fault], MANY)
    assert refused(answer) == (2, pointer)
    assert "nothing was taken" in answer.json()["detail"]
    assert closed.written() == []


RAW = json.dumps(event()).encode()


@pytest.mark.parametrize(
    ("body", "kind", "pointer"),
    [
        (b"", ONE, ""),
        (b"{", ONE, ""),
        (b"\xff", ONE, ""),
        (b"{}", MANY, ""),
        (RAW[:-1], MANY, ""),
        (b"[" + RAW + b",]", MANY, ""),
        (b"[" + RAW + RAW + b"]", MANY, ""),
        (b"[" + RAW + b"] []", MANY, ""),
        (RAW.replace(b'"id"', b'"id": "first", "id"'), ONE, "/id"),
        (RAW.replace(b'"app"', b'"app": "first", "app"'), ONE, "/data/app"),
        (RAW.replace(b"12.5", b"1e999"), ONE, "/data/duration_ms"),
        (RAW.replace(b"12.5", b"9" * 5000), ONE, ""),
        (RAW.replace(b'"acme"', b'"\\ud800"'), ONE, ""),
        (RAW.replace(b'"app"', b'"x": ' + b"[" * 20 + b"]" * 20 + b', "app"'), ONE, "/data/x"),
        (RAW.replace(b'"app"', b'"x": ' + b"[" * 99_999 + b"]" * 99_999 + b', "app"'), ONE, ""),
        (json.dumps([event(str(n)) for n in range(10_001)]).encode(), MANY, ""),
    ],
    ids=lambda each: repr(each)[:40],
)
def test_what_json_leaves_open_is_closed_here(
    closed: Ways, body: bytes, kind: str, pointer: str
) -> None:
    _, found = refused(closed.post(body, kind))
    assert str(found).startswith(pointer) if pointer else found == ""
    assert closed.written() == []


@pytest.mark.parametrize(
    ("broken", "index"), [(b"{", 1), (b"[" * 99_999, 1), (RAW + b" " + RAW, 1), (b"NaN", 1)]
)
def test_the_event_that_breaks_a_body_is_named(closed: Ways, broken: bytes, index: int) -> None:
    assert refused(closed.post(b"[" + RAW + b"," + broken + b"]", MANY))[0] == index


def test_a_time_may_be_some_hours_ahead_and_in_any_zone(way: Ways) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=23)).isoformat()
    assert way.post(event(time=ahead)).status_code == 204
    assert way.post(event(time="2026-01-01T12:00:00+09:00")).status_code == 204
    later = (datetime.now(UTC) + timedelta(hours=25)).isoformat()
    assert refused(way.post(event(time=later))) == (0, "/time")


def test_detail_tells_each_event_and_takes_the_others(way: Ways) -> None:
    body = [event("a"), with_data(usage={"x": -1}), event("b")]
    answer = way.post(body, MANY, query="?detail=true")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["known"], told["refused"]) == (2, 0, 1)
    assert [one["state"] for one in told["events"]] == ["accepted", "refused", "accepted"]
    assert told["events"][1]["pointer"] == "/data/usage/x"
    assert way.ids() == ["a", "b"]


def sign(body: bytes, key: bytes = KEY) -> str:
    return signature.sign(key=key, source=EDGE, value=body).decode()


def test_a_number_is_honoured_with_the_edges_signature_over_the_exact_body(way: Ways) -> None:
    body = encode(request(EDGE, 1))
    good = sign(body)
    assert refused(way.post(body)) == (0, "/midstageseq")
    assert refused(way.post(body, ms_sig=sign(body, bytes(32)))) == (0, "/midstageseq")
    assert refused(way.post(body + b" ", ms_sig=good)) == (0, "/midstageseq")
    assert refused(way.post(b"[" + body + b"]", MANY, ms_sig=good)) == (0, "/midstageseq")
    assert refused(way.post(event(midstageseq="0" * 19 + "1"), ms_sig=good))[1] == "/source"
    assert way.written() == []
    assert way.post(body, ms_sig=good).status_code == 204
    (record,) = way.records()
    assert record.value == body
    assert record.headers[1] == (signature.HEADER, good.encode())


def test_nobody_posts_without_a_key(way: Ways) -> None:
    for token in ("", "wrong"):
        answer = way.post(event(), token=token)
        assert answer.status_code == 401
    assert way.written() == []


def test_a_customers_key_posts_for_itself_alone(way: Ways) -> None:
    mine = event(source="customers/acme/app")
    assert way.post(mine, token="key-of-acme").status_code == 204
    other = {**mine, "data": {**DATA, "customer": "globex"}}
    assert refused(way.post(other, token="key-of-acme")) == (0, "/data/customer")
    elsewhere = {**mine, "source": "customers/acme2"}
    assert refused(way.post(elsewhere, token="key-of-acme")) == (0, "/source")
    assert refused(way.post(event(), token="key-of-acme")) == (0, "/source")
    assert way.ids() == ["e-1"]


class LossyLog(MemoryLog):
    """A log that loses what it is told to: not written, and no word of it."""

    def __init__(self) -> None:
        super().__init__()
        self.losing = False

    def writer(self) -> "LossyWriter":  # type: ignore[override]  # it stands in for the fake's own
        return LossyWriter(self, super().writer())


@dataclass
class LossyWriter:
    """Loses while its log says so."""

    log: LossyLog
    inner: MemoryWriter
    silent: list[Message] = field(default_factory=list)

    def send(self, message: Message, done: Callable[[Delivery], None] | None = None) -> None:
        if self.log.losing:
            self.silent.append(message)
            return
        self.inner.send(message, done)

    def flush(self, timeout_s: float) -> int:
        return self.inner.flush(timeout_s)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture
def failing() -> Iterator[tuple[LossyLog, Ways]]:
    log = LossyLog()
    with ways(log, within_s=0.1) as way:
        yield log, way


def test_a_retry_after_a_lost_write_is_written_not_just_acknowledged(
    failing: tuple[LossyLog, Ways],
) -> None:
    """Elsewhere the key was claimed before the row was durable, and the retry was swallowed."""
    log, way = failing
    log.losing = True
    first = way.post(event("a"))
    assert first.status_code == 503
    assert "same ids" in first.json()["detail"]
    assert way.written() == []
    assert way.post(event("a")).status_code == 503
    log.losing = False
    assert way.post(event("a")).status_code == 204
    assert way.ids() == ["a"]


def test_a_lost_acknowledgement_is_no_acknowledgement(way: Ways) -> None:
    way.log.lose_next_acknowledgement()
    assert way.post([event("a"), event("b")], MANY).status_code == 503
    assert way.post([event("a"), event("b")], MANY).status_code == 204
    assert way.ids() == ["a", "a", "b", "b"]


def test_while_kafka_is_away_nothing_is_claimed_and_nothing_waits_for_ever(
    failing: tuple[LossyLog, Ways],
) -> None:
    log, way = failing
    assert way.post(event("a")).status_code == 204
    log.cut()
    assert way.post(event("b")).status_code == 503
    log.mend()
    assert way.post(event("b")).status_code == 204
    assert set(way.ids()) == {"a", "b"}


def test_what_waits_for_kafka_is_bounded(failing: tuple[LossyLog, Ways]) -> None:
    log, way = failing
    log.losing = True
    batch = [event(str(n), data={**DATA, "labels": {"x": "y" * 1_000_000}}) for n in range(4)]
    details = [way.post(batch, MANY).json()["detail"] for _ in range(9)]
    assert "not acknowledged" in details[7]
    assert "too much waits" in details[8]


def test_what_is_refused_by_the_log_is_told() -> None:
    way = opened(MemoryLog())
    answer = way.post(event())
    assert answer.status_code == 503
    assert "does not exist" in answer.json()["detail"]


def test_bodies_wait_for_their_turn_and_not_without_end(way: Ways) -> None:
    """While Kafka is away some are worked on, some wait, and the others are told at once."""
    most = events.AT_ONCE + events.MOST_WAITING
    headers = {"content-type": ONE, "authorization": "Bearer secret"}

    async def posted() -> list[int]:
        transport = httpx.ASGITransport(app=way.client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://stats") as client:
            posts = [
                asyncio.create_task(client.post("/v1/events", json=event(str(n)), headers=headers))
                for n in range(most + 1)
            ]
            done, _ = await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
            assert [post.result().status_code for post in done] == [503]
            way.log.mend()
            return [post.result().status_code for post in (await asyncio.wait(posts))[0]]

    way.log.cut()
    assert sorted(asyncio.run(posted())) == [204] * most + [503]


def test_what_was_sent_is_flushed_at_the_end_and_nothing_more_is_taken(way: Ways) -> None:
    stop = threading.Event()
    stop.set()
    assert way.post(event("a")).status_code == 204
    way.ingest.run(stop)
    answer = way.post(event("b"))
    assert answer.status_code == 503
    assert "stopping" in answer.json()["detail"]
    assert way.ids() == ["a"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from([*event(), *DATA]) | st.text(), values) | values
near = st.builds(
    lambda at, value, data: event(data={**DATA, **data}) | {at: value},
    st.sampled_from([*event(), "midstageseq", "subject"]),
    values,
    st.dictionaries(st.sampled_from([*DATA, "labels", "units"]), values, max_size=2),
)


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    body=(documents | near | st.lists(near, max_size=3)).map(lambda v: json.dumps(v).encode())
    | st.binary(max_size=60),
    kind=st.sampled_from([ONE, MANY, JSON, "text/plain"]),
    encoding=st.sampled_from(["", "", "gzip", "zstd"]),
    detail=st.booleans(),
)
@pytest.mark.slow
def test_no_body_makes_a_server_error(
    way: Ways, body: bytes, kind: str, encoding: str, detail: bool
) -> None:
    answer = way.post(
        body,
        kind,
        query=f"?detail={detail}",
        **({"content_encoding": encoding} if encoding else {}),
    )
    assert answer.status_code in (200, 204, 400, 413, 415), answer.text
