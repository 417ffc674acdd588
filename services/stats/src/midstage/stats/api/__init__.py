"""What analysts and operators ask stats over HTTP; everything only reads.

Answers rest on what is committed when they are asked. Times are RFC 3339 in UTC.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Query, Response

from midstage.contracts import sketch
from midstage.contracts.load import LoadObserved
from midstage.stats.model import Source
from midstage.stats.views import availability
from midstage.stats.views.gauges import complete_until
from midstage.stats.views.promises import Promise
from midstage.stats.views.rows import (
    MOST_ROWS,
    Recorded,
    RowsAnswer,
    RowsQuery,
    SourcesAnswer,
    StatusAnswer,
    sources,
    status,
)

RECENT = timedelta(minutes=1)
LARGEST_ROW = 2**62


class Books(Protocol):
    """What the ledger answers."""

    def tallies(self, query: availability.AvailabilityQuery) -> Sequence[availability.Tally]:
        """Good requests and errors, in order; one more than ``MOST_TALLIES`` at most."""
        ...

    def rows(self, query: RowsQuery) -> RowsAnswer:
        """A page of rows."""
        ...

    def sources(self) -> Sequence[Source]:
        """Every source's state."""
        ...

    def recorded(self, *, since: datetime) -> Recorded:
        """How many rows there are, and how fresh those since then came in."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadShown:
    """The newest second of one application; None: unknown."""

    app: str
    second: datetime
    revision: int
    complete_until: datetime | None
    outcomes: Mapping[str, int]
    units: Mapping[str, int]
    in_flight: int | None
    pending: int | None
    latency_ms_p50: float | None
    latency_ms_p99: float | None
    ttft_ms_p50: float | None
    ttft_ms_p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadAnswer:
    """The newest load of each application, by name; units in micro-units."""

    load: tuple[LoadShown, ...]


def router(
    *,
    books: Books,
    load: Callable[[], Mapping[str, LoadObserved]],
    promises: Callable[[], Mapping[str, Promise]],
    lag: Callable[[], int | None],
    now: Callable[[], datetime],
) -> APIRouter:
    """The routes of stats."""
    routes = APIRouter(prefix="/v1", tags=["stats"])
    _availability(routes, books=books, promises=promises, now=now)

    @routes.get("/sources", response_model=SourcesAnswer)
    def get_sources() -> Response:
        return _json(sources(books.sources()))

    @routes.get("/requests", response_model=RowsAnswer)
    def get_requests(
        ref_prefix: str = "",
        after: Annotated[int, Query(ge=0, le=LARGEST_ROW)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 1000,
    ) -> Response:
        query = RowsQuery(ref_prefix=ref_prefix, after=after, limit=limit)
        return _json(books.rows(query))

    @routes.get("/load", response_model=LoadAnswer)
    def get_load() -> Response:
        newest = load()
        return _json(LoadAnswer(load=tuple(_shown(newest[app]) for app in sorted(newest))))

    @routes.get("/status", response_model=StatusAnswer)
    def get_status() -> Response:
        recorded = books.recorded(since=now() - RECENT)
        return _json(status(recorded, lag_records=lag()))

    return routes


def _availability(
    routes: APIRouter,
    *,
    books: Books,
    promises: Callable[[], Mapping[str, Promise]],
    now: Callable[[], datetime],
) -> None:
    @routes.get("/availability", response_model=availability.AvailabilityAnswer)
    def get_availability(
        app: str | None = None,
        since: Annotated[str | None, Query(alias="from")] = None,
        until: Annotated[str | None, Query(alias="to")] = None,
        by: str = "app",
    ) -> Response:
        query = availability.query(app=app, since=since, until=until, by=by)
        complete = complete_until(books.sources(), now=now())  # before the sums: they hold it all
        tallies = books.tallies(query)
        return _json(
            availability.answer(query, tallies, promises=promises(), complete_until=complete)
        )


def _json(answer: object) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _shown(fact: LoadObserved) -> LoadShown:
    return LoadShown(
        app=fact.app,
        second=fact.second,
        revision=fact.revision,
        complete_until=fact.complete_until,
        outcomes=fact.outcomes,
        units=fact.units,
        in_flight=fact.in_flight,
        pending=fact.pending,
        latency_ms_p50=sketch.quantile(fact.latency_ms, 0.5),
        latency_ms_p99=sketch.quantile(fact.latency_ms, 0.99),
        ttft_ms_p50=sketch.quantile(fact.ttft_ms, 0.5),
        ttft_ms_p99=sketch.quantile(fact.ttft_ms, 0.99),
    )
