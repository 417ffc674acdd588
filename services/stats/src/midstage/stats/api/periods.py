"""Periods over HTTP: closed by who has the token, and shown to him with their statements.

Closing is idempotent by the period's name: asked again, after a crash or at the same time, it
answers what stands. The routes under ``/v1/shard`` are what one shard asks another.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from midstage.chassis.audited import Audit
from midstage.chassis.commands import GivenId
from midstage.contracts.billing import PERIOD, OpenGap, PeriodClosed, period_key
from midstage.contracts.errors import RefusedError
from midstage.stats.api.answered import as_json
from midstage.stats.api.between import SHARD, part
from midstage.stats.decide.billing import Account, Part
from midstage.stats.decide.periods import Accepted, Period, meant
from midstage.stats.views.statements import (
    PeriodShown,
    one_shown,
    shown,
    table,
)

NOT_FOUND = 404
Name = Annotated[str, Path(pattern=f"^{PERIOD}$")]
Text = Annotated[str | None, Field(max_length=64)]

_seal = msgspec.json.Decoder(tuple[Period, Accepted, str | None]).decode
_wanted = msgspec.json.Decoder(tuple[str, bool]).decode
_period = msgspec.json.Decoder(Period).decode


class Form(StrEnum):
    """How a statement is given."""

    JSON = "json"
    CSV = "csv"


class CloseBody(BaseModel):
    """From ``from`` up to but without ``to``, dates of ``zone`` or times; none: the month named."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    since: Text = Field(default=None, alias="from")
    until: Text = Field(default=None, alias="to")
    zone: str = Field(default="UTC", max_length=64)
    accept_gaps: StrictBool = False
    by: str = Field(default="", max_length=128)
    why: str = Field(default="", max_length=500)


class Closing(Protocol):
    """What closes periods."""

    def close(self, period: Period, accepted: Accepted, command_id: str) -> PeriodClosed:
        """Close it, or give what stands."""
        ...

    def statement(self, name: str, *, from_rows: bool) -> bytes:
        """A closed period's canonical bytes."""
        ...


class Own(Protocol):
    """This shard's periods."""

    def gaps(self, period: Period) -> tuple[OpenGap, ...]:
        """What it may lack."""
        ...

    def seal(self, period: Period, accepted: Accepted, after: str | None) -> Part:
        """Seal after the one that was closed last, or give what was sealed."""
        ...

    def part(self, name: str) -> Part | None:
        """What was kept."""
        ...

    def remade(self, name: str) -> Part | None:
        """The same from raw rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where periods are closed and asked for; ``accounts`` is the fold of the log of billing."""

    closing: Closing
    own: Own
    accounts: Callable[[], Mapping[str, Account]]

    def one(self, name: str) -> PeriodShown:
        """A closed period; RefusedError (404) where it is none."""
        closed = self.accounts().get(period_key(name), Account()).closed
        if closed is None:
            raise RefusedError(f"there is no closed period {name!r}", status=NOT_FOUND)
        return one_shown(closed)

    def close(self, name: str, body: CloseBody, given_id: str | None) -> PeriodShown:
        """Close a period."""
        period = meant(name=name, since=body.since, until=body.until, zone=body.zone)
        accepted = Accepted(gaps=body.accept_gaps, by=body.by.strip(), why=body.why.strip())
        command_id = given_id.strip('"') if given_id else uuid.uuid4().hex
        return one_shown(self.closing.close(period, accepted, command_id))


def router(desk: Desk, audit: Audit) -> APIRouter:
    """The routes of periods; they block while shards and log answer, so they run in threads."""
    routes = APIRouter(tags=["billing"])

    @routes.get("/v1/periods")
    def get_periods() -> Response:
        return as_json(shown(desk.accounts().values()))

    @routes.get("/v1/periods/{name}")
    def get_period(name: Name) -> Response:
        return as_json(desk.one(name))

    @routes.post("/v1/periods/{name}/close")
    def post_close(
        request: Request, name: Name, body: CloseBody, idempotency_key: GivenId = None
    ) -> Response:
        return audit.told(
            request,
            lambda: as_json(desk.close(name, body, idempotency_key)),
            route=f"/v1/periods/{name}/close",
            query=body.model_dump_json(by_alias=True, exclude_defaults=True),
        )

    @routes.get("/v1/periods/{name}/statement")
    def get_statement(
        request: Request, name: Name, *, form: Form = Form.JSON, from_rows: bool = False
    ) -> Response:
        return audit.told(
            request,
            lambda: _statement(desk.closing.statement(name, from_rows=from_rows), form),
            route=f"/v1/periods/{name}/statement",
        )

    _between_shards(routes, desk.own)
    return routes


def _between_shards(routes: APIRouter, own: Own) -> None:
    def parted(said: tuple[str, bool]) -> Part | None:
        name, from_rows = said
        return own.remade(name) if from_rows else own.part(name)

    part(routes, f"{SHARD}/gaps", _period, own.gaps)
    part(routes, f"{SHARD}/seal", _seal, lambda said: own.seal(*said))
    part(routes, f"{SHARD}/part", _wanted, parted)


def _statement(statement: bytes, form: Form) -> Response:
    if form is Form.CSV:
        return Response(table(statement), media_type="text/csv")
    return Response(statement, media_type="application/json")
