"""Rows and sources as they are shown, one shard's page of rows and that of all.

Rows come in the order of their commit, one shard's after the other's. A position names a row
number of each shard, so pages stay as they are while rows come in.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from midstage.contracts.errors import RefusedError
from midstage.stats.model import Source, Span

MOST_ROWS = 10_000
POSITION = r"^([0-9]{1,18}(,[0-9]{1,18})*)?$"
"""A row number of each shard, of the first one first; those left out are 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsQuery:
    """A shard's rows above number ``after`` whose ``ref`` begins so, ``limit`` at most.

    ``customer`` None: of all.
    """

    ref_prefix: str = ""
    customer: str | None = None
    after: int = 0
    limit: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request as the ledger has it.

    ``row`` is its number in the ledger of ``shard``. ``usage`` is as observed, billed or not;
    ``recorded_ms_after`` is how long after the end of the request its row was committed.
    """

    shard: int
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
class RowsPage:
    """A page of one shard's rows; ``next`` is the ``after`` of its next page, None: the last."""

    requests: tuple[Row, ...]
    next: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsAnswer:
    """A page of rows; ``next`` is the ``after`` of the next page, None when this was the last."""

    requests: tuple[Row, ...]
    next: str | None


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


def positions(after: str, *, shards: int) -> tuple[int, ...]:
    """The row number of each shard that ``after`` names; RefusedError where it names more."""
    said = [int(one) for one in after.split(",")] if after else []
    if len(said) > shards:
        raise RefusedError(f"after={after!r} is of {len(said)} shards; there are {shards}")
    return (*said, *[0] * (shards - len(said)))


def paged(
    shards: Sequence[Callable[[RowsQuery], RowsPage]], query: RowsQuery, *, after: str
) -> RowsAnswer:
    """A page of all shards' rows; ``query`` without its own ``after``."""
    at = list(positions(after, shards=len(shards)))
    found: list[Row] = []
    for number, shard in enumerate(shards):
        room = query.limit - len(found)
        page = shard(replace(query, after=at[number], limit=max(1, room)))
        if room:
            found += page.requests
            at[number] = page.requests[-1].row if page.requests else at[number]
        if page.next is not None or (page.requests and not room):
            return RowsAnswer(requests=tuple(found), next=",".join(map(str, at)))
    return RowsAnswer(requests=tuple(found), next=None)


def sources(states: Iterable[Source]) -> SourcesAnswer:
    """The sources as they are shown."""
    by_name = sorted(states, key=lambda state: state.name)
    return SourcesAnswer(sources=tuple(_shown(state) for state in by_name))


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
