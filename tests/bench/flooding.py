"""Requests of a month as edges send them in bulk: signed Arrow batches, made in columns.

As many as a ledger of a year is asked about, at a small part of what it costs to count them. From a
fixed seed; each source numbers its events from 1 on, or none does and events go by their ids.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
from pyarrow import ipc

from midstage.contracts import signature, units
from midstage.eventlog.arrow import CONTENT
from midstage.eventlog.codec import CONTENT_TYPE
from midstage.eventlog.log import Message
from midstage.stats.adapters.columns import microseconds
from midstage.stats.model import Longs
from tests.bench.payload import SIGNING_KEY, SOURCES

CUSTOMERS, APPS = 1_000, 8
BATCH = 2_000
UNNUMBERED = tuple(f"imports/{number:02d}" for number in range(len(SOURCES)))
_ID_BYTES = 16
_UNITS = (units.REQUESTS, units.INPUT_TOKENS, units.OUTPUT_TOKENS)
_WORD = pa.dictionary(pa.int32(), pa.string())
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def flood(
    topic: str, *, count: int, since: datetime, lasting: timedelta, numbered: bool = True
) -> Iterator[Message]:
    """``count`` requests evenly over that time, one source's batch after the other's."""
    begin, apart = microseconds(since), lasting / timedelta(microseconds=1) / count
    of_all = BATCH * len(SOURCES)
    for at in range(0, count, of_all):
        here = min(of_all, count - at)
        for lane, source in enumerate(SOURCES if numbered else UNNUMBERED):
            mine = np.arange(lane, here, len(SOURCES), dtype=np.int64)
            if not len(mine):
                break
            numbers = at // len(SOURCES) + 1 + mine // len(SOURCES)
            times = begin + ((at + mine) * apart).astype(np.int64)
            chance = np.random.default_rng([20260101, at, lane])
            value = _stream(chance, times, numbers if numbered else None)
            yield _message(topic, source, value)


def _message(topic: str, source: str, value: bytes) -> Message:
    mac = signature.sign(key=SIGNING_KEY, source=source, value=value)
    headers = ((CONTENT_TYPE, CONTENT), ("ce_source", source.encode()), (signature.HEADER, mac))
    return Message(topic=topic, key=source.encode(), value=value, headers=headers)


def _stream(chance: np.random.Generator, times: Longs, numbers: Longs | None) -> bytes:
    count = len(times)
    sent, received = chance.integers(10, 4000, count), chance.integers(1, 1000, count)
    columns = {
        "id": _ids(chance, count),
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "customer": _drawn(chance, [f"customer-{n:03d}" for n in range(CUSTOMERS)], count),
        "app": _drawn(chance, [f"app-{n}" for n in range(APPS)], count),
        "endpoint": _same("/v1/chat/completions", count),
        "status": pa.array(np.full(count, 200, np.int16)),
        "outcome": _same("ok", count),
        "duration_ms": pa.array(chance.uniform(80, 9000, count).round(3)),
        "ttft_ms": pa.array(chance.uniform(20, 900, count).round(3)),
        "bytes_in": pa.array(sent * 6),
        "bytes_out": pa.array(received * 6),
        "usage": _usage(np.stack([np.ones(count, np.int64), sent, received], axis=1)),
    }
    if numbers is not None:
        columns["seq"] = pa.array(numbers)
    sink = pa.BufferOutputStream()
    batch = pa.record_batch(columns)
    with ipc.new_stream(
        sink, batch.schema, options=ipc.IpcWriteOptions(compression="zstd")
    ) as stream:
        stream.write_batch(batch)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _ids(chance: np.random.Generator, count: int) -> pa.Array:
    raw = np.frombuffer(chance.bytes(_ID_BYTES * count), np.uint8)
    digits = _HEX[np.stack([raw >> 4, raw & 15], axis=1)].reshape(-1)
    offsets = np.arange(0, 2 * _ID_BYTES * count + 1, 2 * _ID_BYTES, dtype=np.int32)
    return pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(digits)]
    )


def _usage(amounts: Longs) -> pa.Array:
    count = len(amounts)
    offsets = np.arange(0, len(_UNITS) * count + 1, len(_UNITS), dtype=np.int32)
    names = pa.array(np.tile(np.array(_UNITS), count), pa.string())
    return pa.MapArray.from_arrays(pa.array(offsets), names, pa.array(amounts.reshape(-1)))


def _drawn(chance: np.random.Generator, words: list[str], count: int) -> pa.Array:
    codes = chance.integers(0, len(words), count).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words))


def _same(word: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([word]))
