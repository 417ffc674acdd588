"""Many events of one source as columns; the buffers are those of Arrow, read without a copy.

Row *i* of every column is the same event. Words that repeat are kept once and pointed to. A
buffer is a ``memoryview`` of the items that its field names, which numpy takes as an array.
"""

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """A column of texts: row *i* says ``words[codes[i]]``; ``codes`` are int32."""

    words: tuple[str, ...]
    codes: memoryview

    def texts(self) -> list[str]:
        """The text of each row."""
        return list(map(self.words.__getitem__, self.codes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A column of texts as UTF-8: that of row *i* is from ``offsets[i]`` on (int32, from 0)."""

    offsets: memoryview
    content: memoryview

    def texts(self) -> list[str]:
        """The text of each row."""
        content = bytes(self.content)
        return [content[begin:end].decode() for begin, end in pairwise(self.offsets)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Micro-units by row and name: those of row *i* are from ``offsets[i]`` on (int32)."""

    offsets: memoryview
    names: Coded
    micros: memoryview  # int64

    def each(self) -> list[dict[str, int]]:
        """The micro-units of each row by name."""
        pairs = list(zip(self.names.texts(), self.micros, strict=True))
        return [dict(pairs[first:last]) for first, last in pairwise(self.offsets)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Labels by row and name: those of row *i* are from ``offsets[i]`` on (int32)."""

    offsets: memoryview
    names: Coded
    values: Coded

    def each(self) -> list[dict[str, str]]:
        """The labels of each row by name."""
        pairs = list(zip(self.names.texts(), self.values.texts(), strict=True))
        return [dict(pairs[first:last]) for first, last in pairwise(self.offsets)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The events of one batch, checked; ``type`` is the event type of them all.

    ``seq`` (int64) is 0 where an event has no number. Times are microseconds since 1970 in UTC
    (int64), durations milliseconds (float64, NaN: none), ``estimated`` bytes of 0 or 1. Of metered
    work ``outcome`` is empty, ``usage`` are its units, and what only a request has is 0 or empty.
    """

    source: str
    type: str
    count: int
    ids: Plain
    time: memoryview
    seq: memoryview
    customer: Coded
    app: Coded
    endpoint: Coded
    revision: Coded
    status: memoryview  # int32
    outcome: Coded
    duration_ms: "memoryview[float]"
    queue_ms: "memoryview[float]"
    ttft_ms: "memoryview[float]"
    bytes_in: memoryview  # int64
    bytes_out: memoryview
    usage: Amounts
    estimated: memoryview
    labels: Labels
    refs: Plain
    cluster: Coded
    pod: Coded
    trace_ids: Plain

    @property
    def numbered(self) -> bool:
        """Whether any of the events has a number."""
        return any(self.seq)
