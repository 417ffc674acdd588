"""Whether a record of the log is the edge's that it names: the signature in its header says so."""

from collections.abc import Mapping

from midstage.contracts import signature
from midstage.contracts.edges import edge_of
from midstage.eventlog.codec import header
from midstage.eventlog.log import Record


def is_signed(record: Record, *, source: str, keys: Mapping[str, bytes]) -> bool:
    """Whether the edge of ``source`` signed the value; UnreadableError where no edge is named."""
    return signature.genuine(
        keys=keys,
        edge=edge_of(source),
        source=source,
        value=record.value or b"",
        signature=header(record, signature.HEADER),
    )
