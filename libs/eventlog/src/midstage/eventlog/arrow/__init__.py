"""Arrow IPC streams: one record is many events of one source and one type, in columns.

All or nothing: one bad event makes the whole batch unreadable, and its index is named. Nothing
is decompressed before its size is known. Headers: ``content-type``, ``ce_source``, and ``ms-sig``
over source and bytes. The columns are those of the event; docs/guides/events.md lists them.
"""

from midstage.eventlog.arrow.columns import Amounts, Coded, Columns, Labels, Plain
from midstage.eventlog.arrow.expanding import events
from midstage.eventlog.arrow.frames import DECODED_BYTES, MOST_ROWS
from midstage.eventlog.arrow.reading import CONTENT, decode, is_batch, source_of, weight
from midstage.eventlog.arrow.writing import batch

__all__ = [
    "CONTENT",
    "DECODED_BYTES",
    "MOST_ROWS",
    "Amounts",
    "Coded",
    "Columns",
    "Labels",
    "Plain",
    "batch",
    "decode",
    "events",
    "is_batch",
    "source_of",
    "weight",
]
