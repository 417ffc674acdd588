"""Usage over HTTP: asked by GET or POST, answered in pages of JSON or whole as a file.

The operators' token sees all, a customer's key its own usage alone, nobody else anything. Each
question of somebody known is told to the audit, also one that is refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from midstage.chassis.audited import Audit
from midstage.contracts.errors import RefusedError
from midstage.stats.api.answered import JSON, as_json
from midstage.stats.api.between import Threads
from midstage.stats.api.callers import Customers, asker
from midstage.stats.views.asker import Asker
from midstage.stats.views.usage import accepting, answer, asking, cursor
from midstage.stats.views.usage.answer import Column
from midstage.stats.views.usage.asker import allowed, told
from midstage.stats.views.usage.parts import Group, Part, Standing, Wished, merged
from midstage.stats.views.usage.question import LABEL, Dimension, Question, Window

PATH = "/v1/usage"

Encoders = Mapping[str, Callable[[Sequence[Column], Standing], bytes]]


class Shards(Protocol):
    """Every shard's part of an answer."""

    def parts(
        self, question: Question, *, versions: Mapping[int, int] | None, now: datetime
    ) -> Sequence[Part]:
        """The parts, of those versions where they are given; UnavailableError without one shard."""
        ...


class Shard(Protocol):
    """This shard alone."""

    def part(
        self, question: Question, *, versions: Mapping[int, int] | None, now: datetime
    ) -> Part:
        """Its part, to be added to those of the others."""
        ...


_asking = msgspec.json.Decoder(Wished).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where questions about usage are answered.

    ``files`` makes an answer of each media type but JSON.
    """

    shards: Shards
    own: Shard
    customers: Customers
    files: Encoders
    audit: Audit
    secret: bytes
    now: Callable[[], datetime]

    def answer(self, request: Request, query: str, meant: Callable[[], asking.Meant]) -> Response:
        """The answer in the form that is accepted; told to the audit."""
        by = asker(request, self.customers)
        return self.audit.told(
            request,
            lambda: self._answer(by, meant(), request.headers.get("accept")),
            route=PATH,
            query=query,
            actor=by.name,
        )

    def _answer(self, by: Asker, meant: asking.Meant, accept: str | None) -> Response:
        question = allowed(meant.question, by)
        form = accepting.accepted(accept, (JSON, *self.files))
        if form == JSON:
            return self._page(question, meant, by)
        if meant.limit is not None or meant.after is not None:
            raise RefusedError(
                "limit: a file holds every group; leave it and after out", status=400
            )
        groups, standing = self._whole(question, None)
        content = self.files[form](answer.columns(question, groups), told(standing, by))
        return Response(content, media_type=form, headers=_headers(told(standing, by)))

    def _page(self, question: Question, meant: asking.Meant, by: Asker) -> Response:
        at, shown = None, 0
        if meant.after is not None:
            begin = cursor.opened(meant.after, question=question, secret=self.secret)
            at, shown = begin.standing, begin.shown
        groups, found = self._whole(question, at)
        standing = told(at or found, by)
        until = shown + (meant.limit or asking.DEFAULT_ROWS)
        following = cursor.of(question, shown=until, standing=standing)
        return as_json(
            answer.page(
                question,
                groups[shown:until],
                standing,
                following=(
                    cursor.sealed(following, secret=self.secret) if until < len(groups) else None
                ),
            )
        )

    def _whole(self, question: Question, at: Standing | None) -> tuple[list[Group], Standing]:
        versions = None if at is None else at.versions
        found = merged(self.shards.parts(question, versions=versions, now=self.now()))
        return answer.ordered(question, found.groups), found.standing

    def part(self, body: bytes) -> Response:
        """What this shard alone has, for another one."""
        try:
            asked = _asking(body)
        except msgspec.MsgspecError as error:
            raise RefusedError(f"not the question of a shard: {error}", status=400) from error
        part = self.own.part(asked.question, versions=asked.versions, now=self.now())
        return as_json(part)


def router(desk: Desk) -> APIRouter:
    """The routes of usage."""
    threads = Threads()
    routes = APIRouter(prefix="/v1", tags=["usage"])

    @routes.get("/usage", openapi_extra=_GET, response_class=Response)
    def get_usage(request: Request) -> Response:
        given = request.query_params.multi_items()
        return desk.answer(
            request, request.url.query, lambda: asking.from_parameters(given, now=desk.now())
        )

    @routes.post("/usage", openapi_extra=_POST, response_class=Response)
    async def post_usage(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(
            desk.answer,
            request,
            body.decode(errors="replace"),
            lambda: asking.from_body(body, now=desk.now()),
        )

    @routes.post("/usage/part", include_in_schema=False)
    async def post_part(request: Request) -> Response:
        body = await request.body()
        return await threads.run(desk.part, body)

    return routes


def _headers(standing: Standing) -> dict[str, str]:
    """What a file rests on."""
    said = {
        "midstage-versions": msgspec.json.encode(standing.versions).decode(),
        "midstage-positions": msgspec.json.encode(standing.positions).decode(),
    }
    if standing.complete_until is not None:
        said["midstage-complete-until"] = standing.complete_until.isoformat()
    return said


def _parameter(name: str, about: str, schema: Mapping[str, object]) -> dict[str, object]:
    return {"name": name, "in": "query", "description": about, "schema": schema}


_TEXT: Mapping[str, object] = {"type": "string"}
_TEXTS: Mapping[str, object] = {"type": "array", "items": _TEXT}
_LIMIT: Mapping[str, object] = {"type": "integer", "minimum": 1, "maximum": asking.MOST_ROWS}
_FIELDS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "from": ("RFC 3339", _TEXT),
    "to": ("RFC 3339, not itself in", _TEXT),
    "window": ("a group for each", {"type": "string", "enum": [*Window, "none"]}),
    "zone": ("of windows, IANA", _TEXT),
    "group_by": ("dimensions, label.<name>", _TEXTS),
    "measures": ("requests, units.<name>, latency_ms.p99, ...", _TEXTS),
    "order": ("names, falling with - before them", _TEXTS),
    "limit": ("groups of a page", _LIMIT),
    "after": ("next of the page before", _TEXT),
}
_ONLY = "only these, given again for more"
_LABELS: Mapping[str, object] = {
    "type": "object",
    "patternProperties": {rf"^{re.escape(LABEL)}.": _TEXTS},
    "additionalProperties": False,
}
_GET: dict[str, object] = {
    "parameters": [
        *(_parameter(name, about, schema) for name, (about, schema) in _FIELDS.items()),
        *(_parameter(name, _ONLY, _TEXTS) for name in Dimension),
        _parameter(f"{LABEL}<name>", f"of this label {_ONLY}", _LABELS),
    ],
}
_POST: dict[str, object] = {
    "requestBody": {
        "content": {
            JSON: {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        **{name: schema for name, (_, schema) in _FIELDS.items()},
                        "where": {"type": "object", "additionalProperties": {"type": "array"}},
                    },
                }
            }
        }
    },
}
