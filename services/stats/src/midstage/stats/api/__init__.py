"""What analysts and operators ask stats over HTTP, of all shards; everything only reads.

A customer's key gives its own rows, everything else needs the operators' token. Answers rest on
what is committed when they are asked. Times are RFC 3339 in UTC.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import APIRouter, Query, Request, Response

from midstage.chassis.audited import Audit
from midstage.contracts.load import LoadObserved
from midstage.stats.api.answered import as_json
from midstage.stats.api.callers import Customers, asker
from midstage.stats.model import Source
from midstage.stats.views import availability
from midstage.stats.views.gauges import complete_until
from midstage.stats.views.newest import LoadAnswer, newest
from midstage.stats.views.promises import Promise
from midstage.stats.views.rows import (
    MOST_ROWS,
    POSITION,
    RowsAnswer,
    RowsQuery,
    SourcesAnswer,
    sources,
)
from midstage.stats.views.status import Standing, StatusAnswer, status

REQUESTS = "/v1/requests"
LONGEST_POSITION = 256


class Shards(Protocol):
    """What all shards answer together; UnavailableError where one of them is away."""

    def tallies(self, query: availability.AvailabilityQuery) -> Sequence[availability.Tally]:
        """Good requests and errors; more than ``MOST_TALLIES`` where there are too many."""
        ...

    def rows(self, query: RowsQuery, *, after: str) -> RowsAnswer:
        """A page of rows behind the position ``after``."""
        ...

    def sources(self) -> Sequence[Source]:
        """Every source's state."""
        ...

    def loads(self) -> Sequence[LoadObserved]:
        """The load facts of the last seconds."""
        ...

    def standings(self) -> Mapping[int, Standing | str]:
        """How each shard stands by its number, or why that is not known."""
        ...


def router(
    shards: Shards,
    *,
    customers: Customers,
    audit: Audit,
    promises: Callable[[], Mapping[str, Promise]],
    now: Callable[[], datetime],
) -> APIRouter:
    """The routes of stats."""
    routes = APIRouter(prefix="/v1", tags=["stats"])
    _availability(routes, shards=shards, promises=promises, now=now)
    _requests(routes, shards=shards, customers=customers, audit=audit)

    @routes.get("/sources", response_model=SourcesAnswer)
    def get_sources() -> Response:
        return as_json(sources(shards.sources()))

    @routes.get("/load", response_model=LoadAnswer)
    def get_load() -> Response:
        return as_json(newest(shards.loads()))

    @routes.get("/status", response_model=StatusAnswer)
    def get_status() -> Response:
        return as_json(status(shards.standings()))

    return routes


def _requests(routes: APIRouter, *, shards: Shards, customers: Customers, audit: Audit) -> None:
    @routes.get("/requests", response_model=RowsAnswer)
    def get_requests(
        request: Request,
        ref_prefix: str = "",
        after: Annotated[str, Query(pattern=POSITION, max_length=LONGEST_POSITION)] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 1000,
    ) -> Response:
        by = asker(request, customers)
        query = RowsQuery(ref_prefix=ref_prefix, customer=by.customer, limit=limit)
        return audit.told(
            request,
            lambda: as_json(shards.rows(query, after=after)),
            route=REQUESTS,
            actor=by.name,
        )


def _availability(
    routes: APIRouter,
    *,
    shards: Shards,
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
        complete = complete_until(shards.sources(), now=now())  # before the sums: they hold it all
        tallies = shards.tallies(query)
        return as_json(
            availability.answer(query, tallies, promises=promises(), complete_until=complete)
        )
