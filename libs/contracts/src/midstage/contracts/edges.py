"""What edges say of themselves: up to which number and time their request log is complete.

One source is one log file of one edge process, named ``edges/<edge>/<file>``; numbers start at 1.
Written each second by the edges to ``midstage.edges.v1``, keyed by source; read by stats. Alive
and empty is zero; silence is unknown.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Fact, Name

SOURCE_BEAT = "dev.midstage.source.beat.v1"
SOURCE_CLOSED = "dev.midstage.source.closed.v1"
SOURCE_PREFIX = "edges/"
SILENT_AFTER_S = 5.0
"""Without a heartbeat for this long what is in flight is unknown."""

LARGEST_SEQ = 2**62
_WIDTH = 20

Count = Annotated[int, msgspec.Meta(ge=0)]


class Gauge(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one application inside the edge now: at a replica, and waiting for one."""

    app: Name
    in_flight: Count
    pending: Count


class SourceBeat(Fact, frozen=True, kw_only=True):
    """A source is alive: ``highest`` number so far (0: none), complete up to ``complete_until``.

    Every request that ended before ``complete_until`` has a number of at most ``highest``, and
    Kafka has acknowledged it. ``gauges`` is None but for the edge's newest source, so that nothing
    counts twice; None there means that Envoy could not be asked: unknown, not zero.
    """

    edge: Name
    highest: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_SEQ)]
    complete_until: datetime
    newest: bool = True
    gauges: tuple[Gauge, ...] | None = None


class SourceClosed(Fact, frozen=True, kw_only=True):
    """A source's file has ended; no number above ``highest`` will ever come.

    ``torn`` is 1 where the last line had no end (the edge died while writing it), else 0.
    """

    edge: Name
    highest: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_SEQ)]
    torn: Count = 0


def source_of(edge: str, file: str) -> str:
    """The CloudEvents source of one log file of one edge."""
    return f"{SOURCE_PREFIX}{edge}/{file}"


def edge_of(source: str) -> str:
    """The edge that owns ``source``; UnreadableError where the name is not of an edge's file."""
    prefix, _, rest = source.partition("/")
    edge, slash, file = rest.partition("/")
    if f"{prefix}/" != SOURCE_PREFIX or not (edge and slash and file):
        raise UnreadableError(f"source {source!r} is not {SOURCE_PREFIX}<edge>/<file>")
    return edge


def seq_text(seq: int) -> str:
    """A number as ``midstageseq``: 20 digits with leading zeros, so text order is number order."""
    return f"{seq:0{_WIDTH}d}"


def seq_number(text: str) -> int:
    """``midstageseq`` as a number from 1 on; UnreadableError for anything else."""
    if len(text) != _WIDTH or not (text.isascii() and text.isdigit()):
        raise UnreadableError(f"midstageseq {text[:40]!r} is not {_WIDTH} digits")
    number = int(text)
    if not 1 <= number <= LARGEST_SEQ:
        raise UnreadableError(f"midstageseq {text!r} is not between 1 and {LARGEST_SEQ}")
    return number
