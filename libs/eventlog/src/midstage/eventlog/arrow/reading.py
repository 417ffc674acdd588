"""A record's bytes as columns: measured first, then decompressed, validated, checked.

Whatever is wrong is an UnreadableError that names the event's index where it is one event's, never
another exception and never a crash. What the signature covers is told by ``signed``.
"""

from collections.abc import Mapping

import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
import pyarrow.compute as pc  # type: ignore[import-untyped]  # likewise
from pyarrow import ipc

from midstage.contracts.edges import LARGEST_SEQ
from midstage.contracts.errors import UnreadableError
from midstage.contracts.metered import METERED
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome
from midstage.contracts.topics import MESSAGE_BYTES
from midstage.eventlog.arrow.cells import Cells
from midstage.eventlog.arrow.columns import Columns
from midstage.eventlog.arrow.frames import measured
from midstage.eventlog.arrow.parts import amounts, labels
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, header
from midstage.eventlog.log import Record

CONTENT = b"application/vnd.apache.arrow.stream"
SOURCE = "ce_source"
TYPE = b"type"
"""The schema's metadata that names the event type; a request's where there is none."""

LARGEST_MS = 1e10
LARGEST_BYTES = 2**62
_NAME = 256
_MOST_COLUMNS = 64
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999
_TOLD = 300
_STRUCTURED = ((CONTENT_TYPE, STRUCTURED),)  # what is no batch at the first glance
_KNOWN = frozenset(
    {
        *("id", "time", "seq", "customer", "app", "endpoint", "revision", "status", "outcome"),
        *("duration_ms", "queue_ms", "ttft_ms", "bytes_in", "bytes_out", "usage", "units"),
        *("estimated", "labels", "ref", "cluster", "pod", "trace_id"),
    }
)


def is_batch(record: Record) -> bool:
    """Whether the record says that it is an Arrow stream."""
    said = header(record, CONTENT_TYPE)
    return said is not None and said.partition(b";")[0].strip().lower() == CONTENT


def weight(record: Record) -> int:
    """How many events the record claims to hold, 1 where it is no batch that can be read."""
    if record.headers[:1] == _STRUCTURED or not is_batch(record):
        return 1
    try:
        return max(1, measured(record.value or b"").rows)
    except UnreadableError:
        return 1


def source_of(record: Record) -> str:
    """The source that the record's header names; UnreadableError where it names none."""
    said = header(record, SOURCE)
    try:
        source = "" if said is None else said.decode()
    except UnicodeDecodeError as e:
        raise UnreadableError(f"header {SOURCE} is not UTF-8") from e
    if not 1 <= len(source) <= _NAME:
        raise UnreadableError(f"header {SOURCE} must name the source, in 1 to {_NAME} characters")
    return source


def decode(record: Record) -> Columns:
    """The requests, or the metered work, of a batch; UnreadableError for anything else."""
    source, value = source_of(record), record.value
    if value is None:
        raise UnreadableError("a record without a value (tombstone) is no batch")
    if len(value) > MESSAGE_BYTES:
        raise UnreadableError(f"{len(value)} bytes are above the limit of {MESSAGE_BYTES}")
    if measured(value).rows == 0:
        raise UnreadableError("a batch without an event")
    try:
        kind, cells = _cells(value)
        return _columns(source, kind, cells)
    except (pa.ArrowException, OSError, ValueError) as e:
        raise UnreadableError(f"not a batch of events: {str(e)[:_TOLD]}") from e


def _cells(value: bytes) -> tuple[str, Cells]:
    stream = pa.py_buffer(value)
    schema = ipc.open_stream(stream).schema
    names = list(schema.names)
    if len(names) > _MOST_COLUMNS:
        raise UnreadableError(f"{len(names)} columns are more than {_MOST_COLUMNS}")
    known = [at for at, name in enumerate(names) if name in _KNOWN]
    twice = sorted({names[at] for at in known if names.count(names[at]) > 1})
    if twice:
        raise UnreadableError(f"column {twice[0]} is there twice")
    if not known:
        raise UnreadableError("none of the columns is one of an event")
    options = ipc.IpcReadOptions(
        included_fields=known, use_threads=False, ensure_alignment=ipc.Alignment.DataTypeSpecific
    )
    batches = []
    with ipc.open_stream(stream, options=options) as reader:
        for batch in reader:
            batch.validate(full=True)
            batches.append(batch)
    metadata: Mapping[bytes, bytes] = schema.metadata or {}
    return metadata.get(TYPE, REQUEST_COMPLETED.encode()).decode(), _joined(batches)


def _joined(batches: list[pa.RecordBatch]) -> Cells:
    if len(batches) == 1:
        columns = dict(zip(batches[0].schema.names, batches[0].columns, strict=True))
        return Cells(columns, batches[0].num_rows)
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    return Cells({name: table.column(name).chunk(0) for name in table.column_names}, table.num_rows)


def _columns(source: str, kind: str, cells: Cells) -> Columns:
    metered = kind == METERED
    if not metered and kind != REQUEST_COMPLETED:
        raise UnreadableError(f"type {kind[:100]!r} is unknown in a batch")
    least = 0 if metered else 1
    of = Cells({}, cells.count) if metered else cells  # what only a request has is ignored
    return Columns(
        source=source,
        type=kind,
        count=cells.count,
        ids=cells.texts("id", least=1, most=_NAME),
        time=_times(cells),
        seq=cells.whole("seq", 1, LARGEST_SEQ),
        customer=cells.coded("customer", least=1, most=_NAME),
        app=cells.coded("app", least=least, most=_NAME),
        endpoint=of.coded("endpoint"),
        revision=of.coded("revision"),
        status=of.whole("status", 0, 999, kind="i", absent=0 if metered else None),
        outcome=of.coded("outcome", words=None if metered else tuple(Outcome)),
        duration_ms=of.milliseconds(
            "duration_ms", most=LARGEST_MS, absent=0.0 if metered else None
        ),
        queue_ms=of.milliseconds("queue_ms", most=LARGEST_MS),
        ttft_ms=of.milliseconds("ttft_ms", most=LARGEST_MS),
        bytes_in=of.whole("bytes_in", 0, LARGEST_BYTES),
        bytes_out=of.whole("bytes_out", 0, LARGEST_BYTES),
        usage=amounts(cells, "units", least=1) if metered else amounts(cells, "usage"),
        estimated=of.flags("estimated"),
        labels=labels(cells, "labels"),
        refs=cells.texts("ref", most=_NAME),
        cluster=of.coded("cluster"),
        pod=of.coded("pod"),
        trace_ids=of.texts("trace_id"),
    )


def _times(cells: Cells) -> memoryview:
    column = cells.columns.get("time")
    if column is None:
        raise UnreadableError("column time is missing")
    if not pa.types.is_timestamp(column.type) or column.type.tz is None:
        raise UnreadableError(f"column time is no timestamp with a zone but {column.type}")
    exact = pc.CastOptions(target_type=pa.timestamp("us", "UTC"), allow_time_truncate=True)
    whole = {"time": column.cast(options=exact).cast(pa.int64())}
    return Cells(whole, cells.count).whole("time", _FIRST_US, _LAST_US, absent=None)
