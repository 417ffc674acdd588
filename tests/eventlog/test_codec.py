"""Events on the wire: what is written is read, and what is no event says why, and only that."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts import signature
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.contracts.topics import EVENT_BYTES, REQUESTS
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoder, encode, header, message
from midstage.eventlog.log import Headers, Partition, Record

read = Decoder(REQUESTS)
SOURCE = "edges/edge-1/access-1"


def request(**changed: object) -> Event[RequestCompleted]:
    fact = RequestCompleted(
        app="chat",
        customer="acme",
        status=200,
        outcome=Outcome.OK,
        duration_ms=12.5,
        usage={"requests": 1, "input_tokens": 0.25},
    )
    given = {
        "id": "a-1",
        "source": SOURCE,
        "type": REQUEST_COMPLETED,
        "time": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "data": fact,
        "subject": "acme",
        "seq": 7,
    }
    return Event(**{**given, **changed})  # type: ignore[arg-type]  # each test changes one


def record(value: bytes | None, *headers: tuple[str, bytes]) -> Record:
    place = Partition(topic=REQUESTS.name, number=0)
    return Record(partition=place, offset=0, key=b"k", value=value, headers=headers)


def structured(value: bytes | None) -> Record:
    return record(value, (CONTENT_TYPE, STRUCTURED))


def with_(**fields: object) -> bytes:
    event = {**msgspec.json.decode(encode(request())), **fields}
    return msgspec.json.encode({name: value for name, value in event.items() if value is not None})


def test_what_is_written_is_read() -> None:
    assert read(structured(encode(request()))) == request()


def test_an_event_without_number_and_subject_says_neither() -> None:
    plain = request(seq=None, subject=None)
    fields = msgspec.json.decode(encode(plain))
    assert not {"midstageseq", "subject"} & fields.keys()
    assert read(structured(encode(plain))) == plain


def test_a_message_carries_type_signature_and_trace() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    sent = message(
        request(), topic=REQUESTS.name, key=SOURCE, signing_key=b"k" * 32, traceparent=trace
    )
    got = record(sent.value, *sent.headers)
    assert (sent.topic, sent.key) == (REQUESTS.name, SOURCE.encode())
    assert header(got, "content-type") == STRUCTURED
    assert header(got, "traceparent") == trace.encode()
    assert header(got, "nowhere") is None
    assert signature.genuine(
        keys={"edge-1": b"k" * 32},
        edge="edge-1",
        source=SOURCE,
        value=sent.value or b"",
        signature=header(got, signature.HEADER),
    )


def test_a_message_without_a_key_is_not_signed() -> None:
    sent = message(request(), topic=REQUESTS.name, key=SOURCE)
    assert [name for name, _ in sent.headers] == [CONTENT_TYPE]


def binary(**changed: bytes | None) -> Headers:
    attributes: dict[str, bytes | None] = {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": b"a-1",
        "ce_source": SOURCE.encode(),
        "ce_type": REQUEST_COMPLETED.encode(),
        "ce_time": b"2026-01-02T03:04:05.678901Z",
        "ce_subject": b"acme",
        "ce_midstageseq": b"00000000000000000007",
        "ce_foreign": b"ignored",
        **changed,
    }
    return tuple((name, value) for name, value in attributes.items() if value is not None)


def test_the_same_event_in_binary_mode_is_the_same_event() -> None:
    data = msgspec.json.encode(request().data)
    assert read(record(data, *binary())) == request()


@pytest.mark.parametrize(
    "changed",
    [
        {"ce_id": None},
        {"ce_source": None},
        {"ce_time": None},
        {"ce_time": b"2026-01-02T03:04:05"},
        {"ce_time": b"yesterday"},
        {"ce_type": b"foreign"},
        {"ce_id": b"\xff"},
        {"ce_midstageseq": b"7"},
        {"ce_specversion": b"0.3"},
        {"content-type": b"application/avro"},
    ],
    ids=str,
)
def test_a_binary_event_that_is_none_is_unreadable(changed: dict[str, bytes | None]) -> None:
    data = msgspec.json.encode(request().data)
    with pytest.raises(UnreadableError):
        read(record(data, *binary(**changed)))


def test_unknown_fields_are_ignored_everywhere() -> None:
    data = {**msgspec.to_builtins(request().data), "later": [1, {"x": 2}]}
    assert read(structured(with_(data=data, extension="x"))) == request()


def test_header_names_in_any_case_and_parameters_are_understood() -> None:
    value = encode(request())
    assert read(record(value, ("Content-Type", STRUCTURED + b"; charset=UTF-8"))) == request()
    assert read(record(value)) == request()


def test_a_time_with_an_offset_is_read_as_utc() -> None:
    east = request().time.astimezone(timezone(timedelta(hours=8)))
    event = read(structured(with_(time=east.isoformat())))
    assert event.time == request().time
    assert event.time.utcoffset() == timedelta(0)


def test_a_time_far_in_the_future_is_fine_here() -> None:
    assert read(structured(with_(time="9999-12-31T23:59:59Z"))).time.year == 9999


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "tombstone"),
        (b"", "truncated"),
        (b"\xff\x00\x13", "malformed"),
        (b"[]", "object"),
        (b"{" * 100_000, "not an event"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "recursion"),
        (b"x" * (EVENT_BYTES + 1), "above the limit"),
        (with_(id=None), "id"),
        (with_(id=""), "id"),
        (with_(id=7), "id"),
        (with_(source=None), "source"),
        (with_(time=None), "time"),
        (with_(time="2026-01-02T03:04:05"), "timezone"),
        (with_(time="2026-13-02T03:04:05Z"), "datetime"),
        (with_(time=1767322800), "time"),
        (with_(type=None), "type"),
        (with_(type="com.example.other"), "com.example.other"),
        (with_(specversion=None), "specversion"),
        (with_(specversion="0.3"), "specversion"),
        (with_(data=None), "data"),
        (with_(data="text"), "object"),
        (with_(data={"app": "chat"}), "missing required field"),
        (with_(midstageseq="7"), "20 digits"),
        (with_(midstageseq=7), "midstageseq"),
        (with_(midstageseq="0" * 20), "between"),
        (with_(midstageseq="9" * 20), "between"),
        (with_(midstageseq="0000000000000000000x"), "20 digits"),
        (encode(request()).replace(b"12.5", b"NaN"), "malformed"),
        (encode(request()).replace(b"12.5", b"1e999"), "out of range"),
        (encode(request()).replace(b"12.5", b"-1"), ">="),
        (encode(request()).replace(b'"acme"', b'"\xff"'), "utf-8"),
        (encode(request()).replace(b'"a-1"', b'"\\ud800"'), "malformed"),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, str) else "",
)
def test_what_is_no_event_is_unreadable_and_says_why(value: bytes | None, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        read(structured(value))


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(value: bytes) -> None:
    for headers in ((), ((CONTENT_TYPE, STRUCTURED),), binary()):
        with pytest.raises(UnreadableError):
            read(record(value, *headers))


@given(st.data())
def test_no_damage_raises_anything_else(data: st.DataObject) -> None:
    value = bytearray(encode(request()))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value) - 1))
        value[at] = data.draw(st.integers(0, 255))
    try:
        event = read(structured(bytes(value)))
    except UnreadableError:
        return
    assert event.time.utcoffset() == timedelta(0)
    assert event.seq is None or event.seq >= 1
