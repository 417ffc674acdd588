"""The caller's own list: one JSON line per request, written when it ends and flushed at once.

It says what the caller saw, in the ledger's words, and nothing it was told by midstage. A caller
that is killed leaves every line but the last whole.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType

import msgspec

from midstage.contracts.requests import Outcome


class CallerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the caller saw it.

    ``status`` 0: no answer at all. ``usage`` are units by name; ``estimated``: the caller counted
    them itself, because the answer did not end. ``late_ms``: behind the trace's schedule.
    """

    ref: str
    customer: str
    app: str
    status: int
    outcome: Outcome
    usage: Mapping[str, int]
    estimated: bool
    streamed: bool
    duration_ms: float
    ttft_ms: float | None
    late_ms: float
    ended_at: datetime
    reason: str = ""


class Listing:
    """The file that takes the rows."""

    def __init__(self, file: Path) -> None:
        """Begin an empty list in ``file``."""
        self._out = file.open("wb")
        self._encode = msgspec.json.Encoder().encode

    def add(self, row: CallerRow) -> None:
        """Write one row so that it survives this process."""
        self._out.write(self._encode(row) + b"\n")
        self._out.flush()

    def __enter__(self) -> "Listing":
        """The open list."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._out.close()


def read_list(file: Path) -> tuple[CallerRow, ...]:
    """Every whole row of a list; a last line without its end is left out."""
    decode = msgspec.json.Decoder(CallerRow).decode
    lines = file.read_bytes().split(b"\n")
    return tuple(decode(line) for line in lines[:-1])
