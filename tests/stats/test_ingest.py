"""Events over HTTP: acknowledged when the log has them, refused with the place that is wrong."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
import zstandard

from midstage.contracts import signature
from midstage.contracts.metered import METERED
from midstage.contracts.requests import REQUEST_COMPLETED
from midstage.eventlog.codec import STRUCTURED, encode
from midstage.eventlog.memory import MemoryLog

from .conftest import KEY, request
from .posting import DATA, EDGE, JSON, MANY, ONE, Ways, event, refused, ways, with_data


@pytest.fixture(scope="module")
def closed() -> Iterator[Ways]:
    """For bodies of which nothing is taken."""
    with ways(MemoryLog()) as found:
        yield found


@pytest.mark.parametrize(
    ("kind", "body", "ids"),
    [
        (ONE, event("a"), ["a"]),
        (f"{ONE}; charset=utf-8", event("a"), ["a"]),
        (f'{MANY.upper()}; Charset="UTF-8"', [event("a")], ["a"]),
        (f"{ONE};charset=utf8;", event("a"), ["a"]),
        (f'{ONE}; charset="utf-8"; profile=x', event("a"), ["a"]),
        (f'{ONE}; profile="x; y"; charset = US-ASCII', event("a"), ["a"]),
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


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("100%", "100%"),
        ("%F0%9F%98%80", "😀"),
        ('"a b"', "a b"),
        ('"a \\"b\\" %22c%22"', 'a "b" "c"'),
        ('"half', '"half'),
        ('a"b"', 'a"b"'),
    ],
)
def test_an_attribute_in_a_header_may_be_quoted(way: Ways, sent: str, read: str) -> None:
    """CloudEvents' binding to HTTP, 3.1.3.2: older senders do not percent-encode but quote."""
    headers = [(name, value) for name, value in ATTRIBUTES if name != b"ce-id"]
    headers += [(b"ce-id", sent.encode()), (b"authorization", b"Bearer secret")]
    answer = way.client.post("/v1/events", content=json.dumps(DATA), headers=headers)
    assert answer.status_code == 204, answer.text  # and without a content type it is JSON
    assert way.ids() == [read]


@pytest.mark.parametrize("kind", ["application/vnd.acme.call+json; v=1", "text/json"])
def test_data_beside_its_attributes_may_be_of_any_type_that_is_json(way: Ways, kind: str) -> None:
    headers = [*ATTRIBUTES, (b"authorization", b"Bearer secret"), (b"content-type", kind.encode())]
    answer = way.client.post("/v1/events", content=json.dumps(DATA), headers=headers)
    assert answer.status_code == 204, answer.text
    assert way.written() == [event("a")]


def test_attributes_beside_a_whole_event_are_not_its_own(way: Ways) -> None:
    headers = [*ATTRIBUTES, (b"authorization", b"Bearer secret"), (b"content-type", ONE.encode())]
    answer = way.client.post("/v1/events", content=json.dumps(event("b")), headers=headers)
    assert answer.status_code == 204, answer.text
    assert way.ids() == ["b"]


ATTRIBUTES = [
    (b"ce-specversion", b"1.0"),
    (b"ce-id", b"a"),
    (b"ce-source", b"jobs/1"),
    (b"ce-type", REQUEST_COMPLETED.encode()),
    (b"ce-time", b"2026-01-01T12:00:00Z"),
]


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"ce-id", b"b"), (b"ce-data", b"{}"), (b"ce-subject", b"K\xf6ln"), (b"ce-subject", b"%ff")],
)
def test_a_header_that_can_not_be_an_attribute_is_named(
    way: Ways, name: bytes, value: bytes
) -> None:
    headers = [
        *((b"authorization", b"Bearer secret"), (b"content-type", JSON.encode())),
        *(*ATTRIBUTES, (name, value)),
    ]
    answer = way.client.post("/v1/events", content=json.dumps(DATA), headers=headers)
    assert answer.status_code == 400
    assert f"header {name.decode()}: " in answer.json()["detail"]
    assert way.records() == []


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
        (b"{}", ONE, {"content_encoding": "gzip"}, 400),
        (b"{}", ONE, {"content_encoding": "zstd"}, 400),
        (b"{}", ONE, {"content_encoding": "br"}, 415),
        (b"{}", "text/plain", {}, 415),
        (b"{}", "", {}, 415),
        (b"{}", f"{ONE}; charset=latin-1", {}, 415),
        (b"{}", f"{ONE}; profile=x; charset=utf-16", {}, 415),
        (b"{}", "application/xml", {"ce_specversion": "1.0"}, 415),
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
    (with_data(ttft_ms=1.1e10), "/data/ttft_ms"),
    (with_data(bytes_out=2**62 + 1), "/data/bytes_out"),
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
        (RAW.replace(b'"app"', b'"x": 1e999, "app"'), ONE, "/data/x"),
        (RAW.replace(b'"app"', b'"x": NaN, "app"'), ONE, "/data/x"),
        (RAW.replace(b"12.5", b"9" * 5000), ONE, ""),
        (RAW.replace(b'"acme"', b'"\\ud800"'), ONE, "/data/customer"),
        (RAW.replace(b'"jobs/1"', b'"\\udfff"'), ONE, "/source"),
        (RAW.replace(b"12:00:00Z", b"12:00:00\\ud800"), ONE, "/time"),
        (RAW.replace(b'"input_tokens"', b'"\\ude00\\ud83d"'), ONE, "/data/usage"),
        (RAW.replace(b'"app"', b'"x": ' + b"[" * 20 + b"]" * 20 + b', "app"'), ONE, "/data/x"),
        (RAW.replace(b'"app"', b'"x": ' + b"[" * 99_999 + b"]" * 99_999 + b', "app"'), ONE, ""),
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


def test_a_customer_whose_name_begins_with_anothers_has_sources_of_its_own(way: Ways) -> None:
    """Else `acme` could take the ids of `acme/eu`, whose true events would then not count."""
    data = {**DATA, "customer": "acme/eu"}
    below = event(source="customers/acme/eu", data=data)
    answer = way.post(below, token="key-of-eu")
    assert refused(answer) == (0, "/source")
    assert "customers/acme%2Feu" in answer.json()["detail"]
    own = {**below, "source": "customers/acme%2Feu/app"}
    assert way.post(own, token="key-of-eu").status_code == 204
    assert refused(way.post({**own, "data": DATA}, token="key-of-acme")) == (0, "/source")
