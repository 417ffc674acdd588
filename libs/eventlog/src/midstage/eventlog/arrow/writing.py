"""Events as one record: a zstd-compressed Arrow stream, signed where a key is given."""

from collections.abc import Sequence

import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
from pyarrow import ipc

from midstage.contracts import signature
from midstage.contracts.errors import RefusedError
from midstage.contracts.fact import Event
from midstage.contracts.metered import Metered
from midstage.contracts.requests import RequestCompleted
from midstage.contracts.topics import MESSAGE_BYTES
from midstage.eventlog.arrow.frames import MOST_ROWS
from midstage.eventlog.arrow.reading import CONTENT, SOURCE, TYPE
from midstage.eventlog.codec import CONTENT_TYPE
from midstage.eventlog.log import Headers, Message

_WORD = pa.dictionary(pa.int32(), pa.string())
_TEXTS = pa.map_(pa.string(), pa.string())
_UNITS = pa.map_(pa.string(), pa.float64())
_WHOLE_UNITS = pa.map_(pa.string(), pa.int64())
_ATTRIBUTES = {"id": pa.string(), "time": pa.timestamp("us", "UTC"), "seq": pa.int64()}
_REQUEST = {
    "customer": _WORD,
    "app": _WORD,
    "endpoint": _WORD,
    "revision": _WORD,
    "status": pa.int16(),
    "outcome": _WORD,
    "duration_ms": pa.float64(),
    "queue_ms": pa.float64(),
    "ttft_ms": pa.float64(),
    "bytes_in": pa.int64(),
    "bytes_out": pa.int64(),
    "usage": _UNITS,
    "estimated": pa.bool_(),
    "labels": _TEXTS,
    "ref": pa.string(),
    "cluster": _WORD,
    "pod": _WORD,
    "trace_id": pa.string(),
}
_METERED = {
    "customer": _WORD,
    "units": _UNITS,
    "labels": _TEXTS,
    "app": _WORD,
    "ref": pa.string(),
}


def batch(
    events: Sequence[Event[RequestCompleted]] | Sequence[Event[Metered]],
    *,
    topic: str,
    signing_key: bytes | None = None,
) -> Message:
    """The events as one message; signed with the header ``ms-sig`` when a key is given.

    RefusedError where there are none, too many, of several sources or types, or too large.
    """
    if not 1 <= len(events) <= MOST_ROWS:
        raise RefusedError(f"{len(events)} events are not 1 to {MOST_ROWS}", status=413)
    first = events[0]
    if any(event.source != first.source or event.type != first.type for event in events):
        raise RefusedError("the events of one batch have one source and one type")
    columns = _METERED if isinstance(first.data, Metered) else _REQUEST
    value = _stream(events, columns, first.type)
    if len(value) > MESSAGE_BYTES:
        raise RefusedError(f"{len(value)} bytes are above the limit of {MESSAGE_BYTES}", status=413)
    source = first.source.encode()
    headers: Headers = ((CONTENT_TYPE, CONTENT), (SOURCE, source))
    if signing_key is not None:
        mac = signature.sign(key=signing_key, source=first.source, value=value)
        headers = (*headers, (signature.HEADER, mac))
    return Message(topic=topic, key=source, value=value, headers=headers)


def _stream(
    events: Sequence[Event[RequestCompleted]] | Sequence[Event[Metered]],
    columns: dict[str, pa.DataType],
    kind: str,
) -> bytes:
    arrays = {
        "id": pa.array([event.id for event in events], pa.string()),
        "time": pa.array([event.time for event in events], _ATTRIBUTES["time"]),
        "seq": pa.array([event.seq for event in events], pa.int64()),
        **{
            name: _column([event.data for event in events], name, columns[name]) for name in columns
        },
    }
    schema = pa.schema(
        [(name, array.type) for name, array in arrays.items()], {TYPE: kind.encode()}
    )
    sink = pa.BufferOutputStream()
    options = ipc.IpcWriteOptions(compression="zstd")
    with ipc.new_stream(sink, schema, options=options) as writer:
        writer.write_batch(pa.record_batch(list(arrays.values()), schema=schema))
    value: bytes = sink.getvalue().to_pybytes()
    return value


def _column(facts: Sequence[RequestCompleted | Metered], name: str, of: pa.DataType) -> pa.Array:
    values = [getattr(fact, name) for fact in facts]
    if of in (_TEXTS, _UNITS):
        whole = all(isinstance(amount, int) for value in values for amount in value.values())
        kind = _WHOLE_UNITS if of == _UNITS and whole else of
        return pa.array([list(value.items()) for value in values], kind)
    if of == _WORD:
        return pa.array([str(value) for value in values], pa.string()).dictionary_encode()
    return pa.array(values, of)
