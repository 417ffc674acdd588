"""An answer as a file: CSV, an Arrow stream or Parquet, with every column of the whole answer.

Units are decimals with six digits, exact, times carry the zone. A unit that nothing counted is
empty, a counted 0 is 0. Arrow and Parquet say in their metadata what the answer rests on.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # nor has this

from midstage.contracts.units import MICROS_PER_UNIT
from midstage.stats.views.usage.answer import Cell, Column, Kind
from midstage.stats.views.usage.parts import Standing

CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"

_SPECIAL = re.compile('[",\r\n]')
_UNITS = pa.decimal128(38, 6)
_LARGE = pa.decimal128(38, 0)
_LARGEST_LONG = 2**63 - 1
_TYPES = {
    Kind.TEXT: pa.string(),
    Kind.WHOLE: pa.int64(),
    Kind.FLAG: pa.bool_(),
    Kind.UNITS: _UNITS,
    Kind.REAL: pa.float64(),
}


def csv_of(columns: Sequence[Column], _standing: Standing) -> bytes:
    """RFC 4180 in UTF-8; a title first, also where there is no row.

    An empty text is in quotes and what is missing is not, for they are two groups.
    """
    texts = [[_cell(column, value) for value in column.values] for column in columns]
    titles = [_quoted(column.name) for column in columns]
    rows = [titles, *(list(row) for row in zip(*texts, strict=True))]
    return "".join(f"{_joined(row)}\r\n" for row in rows).encode()


def arrow_of(columns: Sequence[Column], standing: Standing) -> bytes:
    """An Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    table = _table(columns, standing)
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def parquet_of(columns: Sequence[Column], standing: Standing) -> bytes:
    """A Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(_table(columns, standing), sink, compression="zstd")
    return bytes(sink.getvalue())


FORMATS: dict[str, Callable[[Sequence[Column], Standing], bytes]] = {
    CSV: csv_of,
    ARROW: arrow_of,
    PARQUET: parquet_of,
}
"""What makes an answer of each media type, beside JSON."""


def _table(columns: Sequence[Column], standing: Standing) -> pa.Table:
    said = {b"midstage": msgspec.json.encode(standing)}
    fields = [pa.field(column.name, _type(column)) for column in columns]
    arrays = [
        pa.array([_value(column, value) for value in column.values], _type(column))
        for column in columns
    ]
    return pa.table(arrays, schema=pa.schema(fields, metadata=said))


def _type(column: Column) -> pa.DataType:
    if column.kind is Kind.TIME:
        return pa.timestamp("us", tz=column.zone)
    if column.kind is Kind.WHOLE and any(_is_large(value) for value in column.values):
        return _LARGE
    return _TYPES[column.kind]


def _is_large(value: Cell) -> bool:
    """Whether it is beyond 64 bits, as a sum of few sizes may be that a hostile sender claims."""
    return isinstance(value, int) and value > _LARGEST_LONG


def _value(column: Column, value: Cell) -> Cell | Decimal:
    return _units(value) if column.kind is Kind.UNITS and isinstance(value, int) else value


def _units(micros: int) -> Decimal:
    return Decimal(micros).scaleb(-6)


def _joined(row: Sequence[str]) -> str:
    """A line that is not empty: readers pass over those."""
    return ",".join(row) or '""'


def _cell(column: Column, value: Cell) -> str:
    return "" if value is None else _quoted(_text(column, value))


def _quoted(text: str) -> str:
    if text and not _SPECIAL.search(text):
        return text
    return '"{}"'.format(text.replace('"', '""'))


def _text(column: Column, value: Cell) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(ZoneInfo(column.zone)).isoformat().replace("+00:00", "Z")
        case int() if column.kind is Kind.UNITS:
            whole, rest = divmod(value, MICROS_PER_UNIT)
            return f"{whole}.{rest:06}".rstrip("0").rstrip(".") if rest else str(whole)
        case _:
            return str(value)
