"""Arrivals of a real service: when, how long the prompt, how long the answer.

The format is that of the Azure LLM Inference Trace: ``TIMESTAMP,ContextTokens,GeneratedTokens``,
UTC with up to nine decimals, in order. ``conv`` and ``code`` are the shipped excerpts (licence
beside them); any other word is a file. A row that can't be read stops the replay, with its line.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOST_TOKENS = 1_000_000
DEFAULT_SPEED = 4.0
"""The default replay (``conv``, 3,432 rows, 764 s of trace) then takes about 3 minutes."""

_SHIPPED = Path(__file__).parent / "traces"
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:\+00:00|Z)?", re.ASCII)


class TraceError(Exception):
    """The trace can't be replayed; the text names file, line and what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request of the trace, ``at_s`` seconds after the first."""

    at_s: float
    prompt_tokens: int
    max_tokens: int


def read(name: str, *, most: int | None = None) -> tuple[Arrival, ...]:
    """The first ``most`` arrivals (None: all) of ``conv``, ``code`` or a file."""
    file = _SHIPPED / f"{name}.csv" if name in ("conv", "code") else Path(name)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:  # spreadsheets write a BOM
            return parsed(lines, name=name, most=most)
    except (OSError, UnicodeDecodeError) as e:
        raise TraceError(f"the trace {name} can't be read ({e}); use conv, code or a file") from e


def parsed(
    lines: Iterable[str], *, name: str = "trace", most: int | None = None
) -> tuple[Arrival, ...]:
    """The arrivals in the lines of a CSV file; TraceError for the first bad row."""
    rows = _rows(lines, name)
    if tuple(next(rows, ())) != COLUMNS:
        raise TraceError(f"{name}, line 1: the columns are not {','.join(COLUMNS)}")
    arrivals = tuple(islice(_arrivals(rows, name), most))
    if not arrivals:
        raise TraceError(f"{name} holds no requests")
    return arrivals


def mean_rate(arrivals: Sequence[Arrival]) -> float:
    """Requests per second of the trace's clock, over its whole length (at least a second)."""
    return len(arrivals) / max(1.0, arrivals[-1].at_s)


def _rows(lines: Iterable[str], name: str) -> Iterator[Sequence[str]]:
    reader = csv.reader(lines)
    try:
        yield from reader
    except csv.Error as e:
        raise TraceError(f"{name}, line {reader.line_num + 1}: {e}") from e


def _arrivals(rows: Iterable[Sequence[str]], name: str) -> Iterator[Arrival]:
    first = last = None
    for line, row in enumerate(rows, 2):
        if not row:
            continue
        if len(row) != len(COLUMNS):
            raise TraceError(f"{name}, line {line}: {len(row)} fields, not {len(COLUMNS)}")
        at_ns = _nanoseconds(row[0], f"{name}, line {line}")
        if last is not None and at_ns < last:
            raise TraceError(f"{name}, line {line}: {row[0]} is before the row above; sort it")
        first, last = (at_ns if first is None else first), at_ns
        yield Arrival(
            at_s=(at_ns - first) / 1e9,
            prompt_tokens=_tokens(row[1], f"{name}, line {line}: {COLUMNS[1]}"),
            max_tokens=_tokens(row[2], f"{name}, line {line}: {COLUMNS[2]}"),
        )


def _nanoseconds(text: str, where: str) -> int:
    # the trace has seven decimals; datetime keeps six, so the fraction is read apart
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise TraceError(f"{where}: {text[:40]!r} is not a time like 2023-11-16 18:15:46.6805900")
    day, hour, fraction = match.groups(default="0")
    try:
        whole = datetime.fromisoformat(f"{day} {hour}").replace(tzinfo=UTC)
    except ValueError as e:
        raise TraceError(f"{where}: {text!r} is no time: {e}") from e
    return int(whole.timestamp()) * 10**9 + int(fraction.ljust(9, "0"))


def _tokens(text: str, where: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= MOST_TOKENS:
        raise TraceError(f"{where} {text[:40]!r} is not a number from 1 to {MOST_TOKENS}")
    return number
