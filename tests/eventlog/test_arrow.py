"""Batches on the wire: what is written is read; hostile bytes are refused, and nothing else."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import ipc

from midstage.contracts import signature
from midstage.contracts.errors import RefusedError, UnreadableError
from midstage.contracts.fact import Event
from midstage.contracts.metered import METERED, Metered
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.contracts.topics import REQUESTS
from midstage.contracts.units import micros
from midstage.eventlog import arrow
from midstage.eventlog.arrow.cells import Cells
from midstage.eventlog.codec import header, message
from midstage.eventlog.log import Headers, Message, Partition, Record
from midstage.testkit.clock import NOON

SOURCE = "edges/edge-1/a"
PLACE = Partition(topic=REQUESTS.name, number=0)
ROWS = 5


def request(number: int, **said: object) -> Event[RequestCompleted]:
    plain: dict[str, object] = {
        "app": "chat",
        "customer": f"c{number % 2}",
        "status": 200,
        "outcome": Outcome.OK,
        "duration_ms": 1.5 * number,
        "usage": {"requests": 1, "input_tokens": number + 0.25},
        "labels": {"tier": "gold"},
        "ref": f"r-{number}",
    }
    return Event(
        id=f"{SOURCE}/{number}",
        source=SOURCE,
        type=REQUEST_COMPLETED,
        time=NOON + timedelta(seconds=number),
        seq=number,
        data=RequestCompleted(**{**plain, **said}),  # type: ignore[arg-type]  # a test's own words
    )


REQUESTS_MADE = [request(number) for number in range(1, ROWS + 1)]


def record(message: Message) -> Record:
    return Record(
        partition=PLACE, offset=0, key=message.key, value=message.value, headers=message.headers
    )


def read(message: Message) -> list[Event[RequestCompleted | Metered]]:
    return list(arrow.events(arrow.decode(record(message))))


def stream(table: pa.Table, *, compression: str | None = None, chunk: int | None = None) -> Message:
    """The table as a foreign writer sends it."""
    sink = pa.BufferOutputStream()
    options = ipc.IpcWriteOptions(compression=compression)
    with ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=chunk)
    return of_bytes(sink.getvalue().to_pybytes())


def of_bytes(value: bytes, source: bytes | None = b"jobs/1") -> Message:
    headers: Headers = (("content-type", arrow.CONTENT),)
    if source is not None:
        headers = (*headers, ("ce_source", source))
    return Message(topic=REQUESTS.name, key=b"jobs/1", value=value, headers=headers)


def columns(**changed: pa.Array | None) -> pa.Table:
    """The least that a batch of requests has; a change to None takes the column out."""
    plain = {
        "id": pa.array([f"e-{i}" for i in range(ROWS)]),
        "time": pa.array([NOON] * ROWS, pa.timestamp("us", "UTC")),
        "customer": pa.array(["acme"] * ROWS),
        "app": pa.array(["chat"] * ROWS),
        "status": pa.array([200] * ROWS),
        "outcome": pa.array(["ok"] * ROWS),
        "duration_ms": pa.array([1.0] * ROWS),
        **changed,
    }
    return pa.table({name: column for name, column in plain.items() if column is not None})


def per_row(first: object, rest: object, kind: pa.DataType | None = None) -> pa.Array:
    """A column whose event 3 differs."""
    return pa.array([rest, rest, rest, first, rest], kind)


def test_what_is_written_is_read() -> None:
    message = arrow.batch(REQUESTS_MADE, topic=REQUESTS.name)
    assert (message.topic, message.key) == (REQUESTS.name, SOURCE.encode())
    assert arrow.is_batch(record(message))
    assert read(message) == REQUESTS_MADE


def test_metered_work_goes_in_batches_too() -> None:
    made = [
        Event(
            id=str(number),
            source="sales",
            type=METERED,
            time=NOON,
            data=Metered(customer="acme", units={"seats": number}, labels={"team": "search"}),
        )
        for number in range(1, 4)
    ]
    assert read(arrow.batch(made, topic=REQUESTS.name)) == made


units = (
    st.integers(0, 10**12)
    | st.integers(0, 10**12).map(lambda n: n / 1_000_000)
    | st.integers(0, 10**15).map(lambda n: n / 1_000)  # where a float blurs the sixth decimal
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(min_size=1, max_size=64), units, max_size=4), min_size=1))
def test_units_become_the_micro_units_that_json_gives(usages: list[dict[str, float]]) -> None:
    made = [request(number, usage=usage) for number, usage in enumerate(usages, start=1)]
    found = arrow.decode(record(arrow.batch(made, topic=REQUESTS.name)))
    assert found.usage.each() == [
        {name: micros(amount) for name, amount in usage.items()} for usage in usages
    ]


def test_a_batch_is_signed_over_its_source_and_its_bytes() -> None:
    key = bytes(range(32))
    message = arrow.batch(REQUESTS_MADE, topic=REQUESTS.name, signing_key=key)
    assert signature.genuine(
        keys={"edge-1": key},
        edge="edge-1",
        source=SOURCE,
        value=message.value or b"",
        signature=header(record(message), signature.HEADER),
    )
    assert signature.HEADER not in dict(arrow.batch(REQUESTS_MADE, topic="t").headers)


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_what_others_write_is_read(compression: str | None) -> None:
    """Several record batches, dictionaries, other widths, unknown columns, others missing."""
    table = columns(
        customer=pa.array(["acme", "beta"] * 2 + ["acme"]).dictionary_encode(),
        app=pa.array(["chat"] * ROWS, pa.large_string()),
        status=pa.array([200] * ROWS, pa.int16()),
        time=pa.array([NOON] * ROWS, pa.timestamp("ns", "Europe/Berlin")),
        usage=pa.array([[{"name": "requests", "value": 1}]] * ROWS),
        queue_ms=pa.array([None, 1, 2, 3, 4], pa.float32()),
        gpu=pa.array([{"kind": "a100"}] * ROWS),
    )
    found = read(stream(table, compression=compression, chunk=2))
    assert [event.id for event in found] == [f"e-{i}" for i in range(ROWS)]
    assert found[1] == Event(
        id="e-1",
        source="jobs/1",
        type=REQUEST_COMPLETED,
        time=NOON,
        data=RequestCompleted(
            app="chat",
            customer="beta",
            status=200,
            outcome=Outcome.OK,
            duration_ms=1.0,
            queue_ms=1.0,
            usage={"requests": 1},
        ),
    )


def test_a_map_that_is_null_is_empty() -> None:
    kind = pa.map_(pa.string(), pa.float64())
    table = columns(usage=pa.array([None, [("a", 1.5)], None, [], [("b", 2)]], kind))
    found = arrow.decode(record(stream(table)))
    assert found.usage.each() == [{}, {"a": 1_500_000}, {}, {}, {"b": 2_000_000}]


MAP = pa.map_(pa.string(), pa.float64())
TEXTS = pa.map_(pa.string(), pa.string())


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"id": None}, "column id is missing"),
        ({"time": None}, "column time is missing"),
        ({"customer": None}, "column customer is missing"),
        ({"status": None}, "column status is missing"),
        ({"outcome": None}, "column outcome is missing"),
        ({"duration_ms": None}, "column duration_ms is missing"),
        ({"id": per_row("", "x")}, "event 3: id"),
        ({"id": per_row(None, "x")}, "event 3: id"),
        ({"id": per_row("x" * 257, "x")}, "event 3: id"),
        ({"id": pa.array(range(ROWS))}, "column id is no plain text"),
        ({"customer": per_row("", "x")}, "event 3: customer"),
        ({"customer": per_row(None, "x")}, "event 3: customer"),
        ({"endpoint": per_row("x" * 1025, "x")}, "event 3: endpoint"),
        ({"outcome": per_row("fine", "ok")}, "event 3: outcome 'fine'"),
        ({"outcome": per_row("fine", "ok").dictionary_encode()}, "event 3: outcome"),
        ({"status": per_row(1000, 200)}, "event 3: status"),
        ({"status": per_row(None, 200)}, "event 3: status"),
        ({"status": pa.array(["200"] * ROWS)}, "column status is no whole number"),
        ({"duration_ms": per_row(-1.0, 1.0)}, "event 3: duration_ms"),
        ({"duration_ms": per_row(float("nan"), 1.0)}, "event 3: duration_ms"),
        ({"duration_ms": per_row(float("inf"), 1.0)}, "event 3: duration_ms"),
        ({"ttft_ms": per_row(1e11, None)}, "event 3: ttft_ms"),
        ({"bytes_in": per_row(-1, None)}, "event 3: bytes_in"),
        ({"bytes_out": pa.array([2**64 - 1] * ROWS, pa.uint64())}, "not a batch"),
        ({"seq": per_row(0, 1)}, "event 3: seq"),
        ({"estimated": pa.array([1] * ROWS)}, "column estimated"),
        ({"time": pa.array([NOON] * ROWS, pa.timestamp("us"))}, "timestamp with a zone"),
        ({"time": pa.array(["2026-01-01T00:00:00Z"] * ROWS)}, "timestamp with a zone"),
        ({"time": per_row(None, NOON, pa.timestamp("us", "UTC"))}, "event 3: time"),
        ({"time": per_row(2**62, 0, pa.timestamp("us", "UTC"))}, "event 3: time"),
        ({"usage": per_row([("a", -1.0)], [], MAP)}, "event 3: usage"),
        ({"usage": per_row([("a", float("nan"))], [], MAP)}, "event 3: usage"),
        ({"usage": per_row([("a", float("inf"))], [], MAP)}, "event 3: usage"),
        ({"usage": per_row([("a", 1e-7)], [], MAP)}, "event 3: usage has more than six decimals"),
        ({"usage": per_row([("a", 1e13)], [], MAP)}, "event 3: usage"),
        ({"usage": per_row([("a", None)], [], MAP)}, "event 3: usage"),
        ({"usage": per_row([("", 1.0)], [], MAP)}, "event 3: usage"),
        ({"usage": per_row([("a", 1.0), ("a", 1.0)], [], MAP)}, "event 3: usage says a name twice"),
        ({"usage": per_row([(str(i), 1.0) for i in range(33)], [], MAP)}, "event 3: usage"),
        ({"usage": per_row([("a", "1")], [], TEXTS)}, "units of type string"),
        ({"usage": pa.array([1.0] * ROWS)}, "neither a map nor"),
        ({"labels": per_row([("a", None)], [], TEXTS)}, "event 3: labels"),
        ({"labels": per_row([("a", "x" * 1025)], [], TEXTS)}, "event 3: labels"),
        ({"labels": per_row([], [], MAP)}, "column labels is no text"),
    ],
)
def test_one_bad_event_makes_the_batch_unreadable_and_is_named(
    changed: Mapping[str, pa.Array | None], why: str
) -> None:
    with pytest.raises(UnreadableError, match=why):
        read(stream(columns(**changed)))


def test_a_long_text_that_hardly_an_event_says_is_not_too_much() -> None:
    """Asked exactly, though each event might have said it."""
    said = pa.DictionaryArray.from_arrays(
        pa.array([0] + [1] * 39_999, pa.int32()), pa.array(["é" * 1024, "x"])
    )
    assert len(read(stream(rows(40_000, endpoint=lambda _: said)))) == 40_000


def test_the_unchanged_batch_of_these_cases_is_readable() -> None:
    assert len(read(stream(columns()))) == ROWS


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (of_bytes(stream(columns()).value or b"", source=None), "ce_source"),
        (of_bytes(stream(columns()).value or b"", source=b""), "ce_source"),
        (of_bytes(stream(columns()).value or b"", source=b"\xff"), "UTF-8"),
        (of_bytes(b""), "without an event"),
        (of_bytes(b"{}"), "Arrow IPC stream"),
        (of_bytes(b"ARROW1\0\0" + b"\0" * 64), "Arrow IPC stream"),
        (of_bytes(b"\0" * (4 * 1024 * 1024 + 1)), "above the limit"),
        (msgspec.structs.replace(of_bytes(b""), value=None), "tombstone"),
        (stream(columns().slice(0, 0)), "without an event"),
        (stream(columns().replace_schema_metadata({"type": "other"})), "type 'other' is unknown"),
        (stream(columns().append_column("id", pa.array(["x"] * ROWS))), "id is there twice"),
        (stream(pa.table({f"c{i}": [1] for i in range(65)})), "65 columns"),
        (stream(pa.table({"x": [1]})), "none of the columns"),
        (stream(columns().replace_schema_metadata({"type": METERED})), "column units is missing"),
    ],
)
def test_what_is_no_batch_is_unreadable(message: Message, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        read(message)


def rows(count: int, **said: Callable[[int], pa.Array]) -> pa.Table:
    plain: dict[str, pa.Array] = {
        "id": pa.array([f"e-{i}" for i in range(count)]),
        "time": pa.array([NOON] * count, pa.timestamp("us", "UTC")),
        "status": pa.array([200] * count),
        "duration_ms": pa.array([1.0] * count),
        **{name: pa.array(["ok"] * count) for name in ("customer", "app", "outcome")},
        **{name: made(count) for name, made in said.items()},
    }
    return pa.table(plain)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (rows(arrow.MOST_ROWS + 1), "more than 50000 events"),
        (rows(1100, junk=lambda n: pa.array(["0" * 65_536] * n)), "once decompressed"),
        (
            rows(
                40_000,
                endpoint=lambda n: pa.DictionaryArray.from_arrays(
                    pa.array([0] * n, pa.int32()), pa.array(["é" * 1024])
                ),
            ),
            "bytes of text",
        ),
        (rows(1, junk=pa.nulls).slice(0, 1), ""),
    ],
    ids=["rows", "zeros", "one long word said often", "nulls are fine"],
)
@pytest.mark.slow
def test_a_small_record_can_not_become_a_large_one(table: pa.Table, why: str) -> None:
    message = stream(table, compression="zstd")
    assert len(message.value or b"") < 1024 * 1024
    if why:
        with pytest.raises(UnreadableError, match=why):
            read(message)
    else:
        assert read(message)


def test_a_size_that_lies_is_found_before_anything_is_decompressed() -> None:
    value = arrow.batch(REQUESTS_MADE, topic="t").value or b""
    zstd_frame = b"\x28\xb5\x2f\xfd"
    at = value.index(zstd_frame) - 8
    lying = value[:at] + (2**40).to_bytes(8, "little") + value[at + 8 :]
    with pytest.raises(UnreadableError, match="once decompressed"):
        read(of_bytes(lying))


def test_the_weight_of_a_batch_is_its_events() -> None:
    assert arrow.weight(record(arrow.batch(REQUESTS_MADE, topic="t"))) == ROWS
    assert arrow.weight(record(of_bytes(b"{}"))) == 1
    single = message(REQUESTS_MADE[0], topic="t", key=SOURCE)
    assert arrow.weight(record(single)) == 1


def test_a_batch_has_one_source_and_one_type_and_is_not_empty() -> None:
    other = msgspec.structs.replace(REQUESTS_MADE[0].data, app="ocr")
    stranger = Event(
        id="x", source="elsewhere", type=REQUEST_COMPLETED, time=datetime.now(UTC), data=other
    )
    with pytest.raises(RefusedError, match="one source"):
        arrow.batch([REQUESTS_MADE[0], stranger], topic="t")
    with pytest.raises(RefusedError, match="0 events"):
        arrow.batch([], topic="t")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_no_damage_raises_anything_else(data: Any) -> None:
    value = bytearray(DAMAGED[data.draw(st.integers(0, len(DAMAGED) - 1))])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(value) - 1))
        value[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.just(len(value)) | st.integers(0, len(value)))
    try:
        found = read(of_bytes(bytes(value[:end])))
    except UnreadableError:
        return
    assert all(event.time.utcoffset() == timedelta(0) for event in found)


DAMAGED = [
    arrow.batch(REQUESTS_MADE, topic="t").value or b"",
    stream(columns(customer=pa.array(["a"] * ROWS).dictionary_encode()), chunk=2).value or b"",
    stream(columns(usage=pa.array([[("a", 1.5)]] * ROWS, MAP))).value or b"",
]


@pytest.mark.parametrize("of", [pa.string(), pa.large_string()])
def test_texts_from_the_middle_of_a_column_are_read_from_there(of: pa.DataType) -> None:
    column = pa.array(["before", "a", "", "ä€", "after"], of)[1:4]
    assert Cells({"ref": column}, 3).texts("ref").texts() == ["a", "", "ä€"]


def test_a_text_is_measured_in_characters() -> None:
    assert Cells({"ref": pa.array(["ääää"])}, 1).texts("ref", most=4).texts() == ["ääää"]
    with pytest.raises(UnreadableError, match="event 0: ref has not 0 to 3 characters"):
        Cells({"ref": pa.array(["ääää"])}, 1).texts("ref", most=3)
