"""Counting again, a day at a time, of all shards, for who has the token: it reads every row."""

from datetime import date
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Query, Request, Response

from midstage.chassis.audited import Audit
from midstage.stats.api.answered import as_json
from midstage.stats.api.between import SHARD, nothing, part
from midstage.stats.views.recount import DayRecounted, WholeRecounted

_day = msgspec.json.Decoder(date).decode


class Recount(Protocol):
    """What counts again."""

    def day(self, after: date) -> DayRecounted:
        """The first day from ``after`` on that has anything."""
        ...

    def whole(self) -> WholeRecounted:
        """What holds over all days."""
        ...


def router(own: Recount, recount: Recount, audit: Audit) -> APIRouter:
    """The routes of the recount by all shards, and of ``own`` by this one."""
    routes = APIRouter(prefix="/v1/recount", tags=["billing"])

    @routes.post("/day", response_model=DayRecounted)
    def post_day(request: Request, after: Annotated[date, Query()] = date.min) -> Response:
        return audit.told(request, lambda: as_json(recount.day(after)), route="/v1/recount/day")

    @routes.post("/whole", response_model=WholeRecounted)
    def post_whole(request: Request) -> Response:
        return audit.told(request, lambda: as_json(recount.whole()), route="/v1/recount/whole")

    between = APIRouter(prefix=f"{SHARD}/recount")
    part(between, "/day", _day, own.day)
    part(between, "/whole", nothing, lambda _: own.whole())
    both = APIRouter()
    both.include_router(routes)
    both.include_router(between)
    return both
