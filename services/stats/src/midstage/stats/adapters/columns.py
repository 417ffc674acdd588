"""How a batch looks as Arrow tables, so that DuckDB takes it in whole columns."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own

from midstage.contracts.sketch import GAMMA, SMALLEST
from midstage.eventlog.log import Partition
from midstage.stats.model import (
    Doubles,
    Longs,
    Outgoing,
    Rows,
    Source,
    SourceHours,
    Sums,
    Texts,
    Wholes,
    Words,
)

LONG_AGO = datetime(1, 1, 1)  # noqa: DTZ001  as the tables keep times
_TIME = pa.timestamp("us")
_WHOLE = pa.decimal128(38, 0)
_BEYOND = 2**63


def in_one_heap() -> None:
    """Columns come from the process's own heap, which gives back what is let go of."""
    pa.set_memory_pool(pa.system_memory_pool())


def requests(rows: Rows, *, first: int, recorded_at: datetime, version: int) -> pa.Table:
    """The rows with their numbers from ``first`` on, under the names of the table's columns."""
    count = len(rows)
    return pa.table(
        {
            "row": pa.array(np.arange(first, first + count, dtype=np.int64)),
            "kind": words(rows.kind),
            "source": words(rows.source),
            "seq": pa.array(rows.seq, mask=rows.seq == 0),
            "id": texts(rows.id),
            "time": times(rows.time),
            "customer": words(rows.customer),
            "app": words(rows.app),
            "endpoint": words(rows.endpoint),
            "revision": words(rows.revision),
            "status": pa.array(rows.status),
            "outcome": words(rows.outcome),
            "duration_ms": pa.array(rows.duration_ms),
            "queue_ms": _known(rows.queue_ms),
            "ttft_ms": _known(rows.ttft_ms),
            "bytes_in": pa.array(rows.bytes_in),
            "bytes_out": pa.array(rows.bytes_out),
            "usage": _map(count, rows.usage.rows, rows.usage.names, pa.array(rows.usage.micros)),
            "billed": pa.array(rows.billed),
            "estimated": pa.array(rows.estimated),
            "labels": _map(count, rows.labels.rows, rows.labels.names, plain(rows.labels.values)),
            "ref": texts(rows.ref),
            "cluster": words(rows.cluster),
            "pod": words(rows.pod),
            "trace_id": texts(rows.trace_id),
            "recorded_at": times(np.full(count, microseconds(recorded_at))),
            "version": pa.array(np.full(count, version, np.int64)),
        }
    )


def minutes(sums: Sums, *, version: int) -> pa.Table:
    """The partial sums of one commit."""
    return pa.table(
        {
            "minute": times(sums.minute),
            "customer": words(sums.customer),
            "app": words(sums.app),
            "endpoint": words(sums.endpoint),
            "revision": words(sums.revision),
            "kind": words(sums.kind),
            "name": words(sums.name),
            "amount": _whole(sums.amount),
            "version": pa.array(np.full(len(sums), version, np.int64)),
        }
    )


def source_hours(hours: SourceHours, *, version: int) -> pa.Table:
    """What one commit added to each source and hour."""
    return pa.table(
        {
            "source": words(hours.source),
            "hour": times(hours.hour),
            "rows": pa.array(hours.rows),
            "first_seq": pa.array(hours.first_seq),
            "last_seq": pa.array(hours.last_seq),
            "version": pa.array(np.full(len(hours), version, np.int64)),
        }
    )


def sources(states: Iterable[Source]) -> pa.Table:
    """Each source's whole state as JSON."""
    named = list(states)
    return pa.table(
        {
            "source": pa.array([state.name for state in named], pa.string()),
            "state": pa.array([msgspec.json.encode(state).decode() for state in named]),
        }
    )


def positions(ends: Mapping[Partition, int]) -> pa.Table:
    """The next offset of each partition."""
    return pa.table(
        {
            "topic": pa.array([at.topic for at in ends], pa.string()),
            "number": pa.array([at.number for at in ends], pa.int32()),
            "next": pa.array(list(ends.values()), pa.int64()),  # a view would import pandas
        }
    )


def outbox(outgoing: Sequence[Outgoing], *, first: int) -> pa.Table:
    """Messages that leave, numbered from ``first`` on."""
    return pa.table(
        {
            "n": pa.array(range(first, first + len(outgoing)), pa.int64()),
            "topic": pa.array([each.topic for each in outgoing], pa.string()),
            "key": pa.array([each.key for each in outgoing], pa.binary()),
            "value": pa.array([each.value for each in outgoing], pa.binary()),
            "headers": pa.array(
                [msgspec.json.encode(each.headers) for each in outgoing], pa.binary()
            ),
            "sent_at": pa.nulls(len(outgoing), _TIME),
        }
    )


def texts(column: Texts) -> pa.Array:
    """A column of texts, without a copy."""
    held = [None, pa.py_buffer(column.offsets), pa.py_buffer(column.content)]
    return pa.Array.from_buffers(pa.string(), len(column), held)


def words(column: Words) -> pa.Array:
    """A column whose texts are kept once."""
    return pa.DictionaryArray.from_arrays(
        pa.array(column.codes), pa.array(column.words, pa.string())
    )


def plain(column: Words) -> pa.Array:
    """The same as a column of texts."""
    return words(column).dictionary_decode()


def times(micros: Longs) -> pa.Array:
    """Microseconds since 1970 as times without a zone, as the tables keep them."""
    return pa.array(micros.astype("datetime64[us]"), _TIME)


def microseconds(time: datetime) -> int:
    """The same instant in microseconds since 1970."""
    return int(np.datetime64(utc(time), "us").astype(np.int64))


def utc(time: datetime) -> datetime:
    """The same instant without a zone, as the tables keep it."""
    exact = time if time.tzinfo is UTC else time.astimezone(UTC)
    return exact.replace(tzinfo=None)


def bucket(value: str) -> str:
    """In SQL the sketch's bucket of the column ``value``; NULL: it is too small for one."""
    return f"CASE WHEN {value} >= {SMALLEST} THEN ceil(ln({value}) / ln({GAMMA!r}))::INTEGER END"


def _whole(amounts: Wholes) -> pa.Array:
    """As 64 bits, which take a tenth of the time, where these are enough."""
    if amounts.dtype == np.int64 or max(amounts) < _BEYOND:
        return pa.array(amounts.astype(np.int64))
    return pa.array(amounts.tolist(), _WHOLE)


def _known(values: Doubles) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _map(count: int, owners: Longs, names: Words, values: pa.Array) -> pa.Array:
    """A map for each of ``count`` rows, of the names and values that ``owners`` give it."""
    offsets = np.searchsorted(owners, np.arange(count + 1)).astype(np.int32)
    return pa.MapArray.from_arrays(pa.array(offsets), plain(names), values)
