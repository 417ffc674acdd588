"""Rows and sources as they are shown, and how fresh the rows came in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from midstage.stats.model import Source, Span

MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsQuery:
    """Rows above number ``after`` whose ``ref`` begins with ``ref_prefix``, ``limit`` at most."""

    ref_prefix: str = ""
    after: int = 0
    limit: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request as the ledger has it.

    ``usage`` is as observed, billed or not; ``recorded_ms_after`` is how long after the end of the
    request its row was committed.
    """

    row: int
    ref: str
    id: str
    customer: str
    app: str
    status: int
    outcome: str
    usage: Mapping[str, int | float]
    billed: bool
    estimated: bool
    source: str
    seq: int | None
    time: datetime
    duration_ms: float
    queue_ms: float | None
    ttft_ms: float | None
    bytes_in: int
    bytes_out: int
    endpoint: str
    revision: str
    labels: Mapping[str, str]
    cluster: str
    pod: str
    trace_id: str
    recorded_ms_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsAnswer:
    """A page of rows; ``next`` is the ``after`` of the next page, None when this was the last."""

    requests: tuple[Row, ...]
    next: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShown:
    """One source: what should be there, what is, and what is missing as [first, last]."""

    source: str
    edge: str
    highest: int
    rows: int
    holes: tuple[Span, ...]
    closed: bool
    torn: int
    complete_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesAnswer:
    """Every source that the ledger has heard of, by name."""

    sources: tuple[SourceShown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Rows in the ledger; of those of the last minute how long after their end they came in."""

    rows: int
    recent: int
    freshness_ms_p50: float | None
    freshness_ms_p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAnswer:
    """How stats stands: records not yet counted (None: not known), rows, freshness."""

    lag_records: int | None
    rows: int
    recent_rows: int
    freshness_ms_p50: float | None
    freshness_ms_p99: float | None


def sources(states: Iterable[Source]) -> SourcesAnswer:
    """The sources as they are shown."""
    by_name = sorted(states, key=lambda state: state.name)
    return SourcesAnswer(sources=tuple(_shown(state) for state in by_name))


def status(recorded: Recorded, *, lag_records: int | None) -> StatusAnswer:
    """The status as it is shown."""
    return StatusAnswer(
        lag_records=lag_records,
        rows=recorded.rows,
        recent_rows=recorded.recent,
        freshness_ms_p50=recorded.freshness_ms_p50,
        freshness_ms_p99=recorded.freshness_ms_p99,
    )


def _shown(state: Source) -> SourceShown:
    return SourceShown(
        source=state.name,
        edge=state.edge,
        highest=state.highest,
        rows=state.seen.count,
        holes=state.holes,
        closed=state.closing is not None,
        torn=state.closing.torn if state.closing else 0,
        complete_until=state.complete_until,
    )
