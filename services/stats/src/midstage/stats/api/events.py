"""Events posted to be counted: acknowledged when Kafka has all of them, or nothing is claimed.

204 means that every event of the body is on all in-sync replicas. 400 names each fault by the
event's position and JSON pointer, 413 is too much at once, and nothing of the body was taken. 503:
what may have been written is harmless, because a second attempt has the same ids.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol
from urllib.parse import unquote, urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.datastructures import Headers

from midstage.chassis import problems
from midstage.chassis.audited import Audit
from midstage.contracts import signature
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.stats.api.answered import JSON, as_json
from midstage.stats.api.callers import Customers, asker
from midstage.stats.api.encodings import decoded
from midstage.stats.api.events_described import BODY, MANY, ONE, RESPONSES
from midstage.stats.views.ingest import (
    WHOLE,
    Mode,
    NotTakenError,
    Posted,
    Receipt,
    Told,
    is_json,
    said,
)

PATH = "/v1/events"
AT_ONCE = 8
"""Bodies that are worked on; each waits for Kafka in a thread of its own."""
MOST_WAITING = 64

_MODES = {ONE: Mode.ONE, MANY: Mode.MANY, JSON: Mode.EITHER}
_PREFIX = "ce-"
_UTF8 = ("utf-8", "utf8", "us-ascii")
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


class Taking(Protocol):
    """Where bodies are taken."""

    def take(self, posted: Posted, *, each: bool) -> Receipt:
        """What became of the body; NotTakenError, or UnavailableError where that is not known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Who may post, and what a request holds: a customer's key takes its own events alone."""

    taking: Taking
    customers: Customers
    audit: Audit

    def take(self, request: Request, body: bytes, *, detail: bool) -> Response:
        """The answer to a body; told to the audit with its size, not with what is in it."""
        by = asker(request, self.customers)
        return self.audit.told(
            request,
            lambda: self._taken(request, body, detail=detail, customer=by.customer),
            route=PATH,
            query=_asked(request, body),
            actor=by.name,
        )

    def _taken(
        self, request: Request, body: bytes, *, detail: bool, customer: str | None
    ) -> Response:
        posted = _posted(request.headers, body, customer=customer)
        try:
            receipt = self.taking.take(posted, each=detail)
        except NotTakenError as not_taken:
            return _refused(not_taken, str(getattr(request.state, "request_id", "")))
        if not detail:
            return Response(status_code=204)
        return as_json(receipt)


def router(door: Door) -> APIRouter:
    """The route that takes events."""
    routes = APIRouter(prefix="/v1", tags=["events"])
    turns = _Turns()

    @routes.post(
        "/events",
        status_code=204,
        response_class=Response,
        responses=RESPONSES,
        openapi_extra=BODY,
    )
    async def post_events(
        request: Request, *, detail: Annotated[bool, Query(description="tell each event")] = False
    ) -> Response:
        body = await request.body()
        return await turns.have(lambda: door.take(request, body, detail=detail))

    return routes


class _Turns:
    """A few bodies at once, some more that wait, and no more."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._here = 0

    async def have(self, work: Callable[[], Response]) -> Response:
        """What ``work`` gives, done in a thread; UnavailableError where too many wait."""
        if self._here >= AT_ONCE + MOST_WAITING:
            raise UnavailableError("too many bodies wait here; send it again in a moment")
        self._here += 1
        try:
            async with self._free:
                return await run_in_threadpool(work)
        finally:
            self._here -= 1


def _asked(request: Request, body: bytes) -> str:
    said = {"content-type": request.headers.get("content-type", ""), "bytes": len(body)}
    asked = urlencode(said, safe="/+;=")
    return f"{request.url.query}&{asked}" if request.url.query else asked


def _posted(headers: Headers, body: bytes, *, customer: str | None) -> Posted:
    content = decoded(body, headers.get("content-encoding", ""))
    mode = _mode(headers)
    sent = headers.get(signature.HEADER)
    return Posted(
        mode=mode,
        content=content,
        attributes=_attributes(headers) if mode is Mode.DATA else {},
        signature=None if sent is None else sent.encode("latin-1"),
        customer=customer,
    )


def _mode(headers: Headers) -> Mode:
    """How the body holds its events; RefusedError (415) where it is nothing that is read here."""
    given = headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    charset = _CHARSET.search(given)
    if charset is not None and charset[1].lower() not in _UTF8:
        raise RefusedError(f"charset {charset[1][:40]!r} is not UTF-8", status=415)
    beside = f"{_PREFIX}specversion" in headers and kind not in (ONE, MANY)
    if beside and (not kind or is_json(kind)):
        return Mode.DATA
    mode = _MODES.get(kind)
    if mode is None:
        raise RefusedError(
            f"content-type {given[:100]!r} is none of {', '.join(_MODES)}", status=415
        )
    return mode


def _attributes(headers: Headers) -> Mapping[str, str]:
    """Quoted or not, and percent-encoded, as CloudEvents' binding to HTTP says (3.1.3.2)."""
    found: dict[str, str] = {}
    for header, text in headers.items():
        if not header.startswith(_PREFIX):
            continue
        name = header.removeprefix(_PREFIX)
        if name == "data" or name in found or not text.isascii():
            raise _wrong(header, "twice, not ASCII, or no attribute")
        try:
            found[name] = unquote(_plain(text), errors="strict")
        except UnicodeDecodeError as e:
            raise _wrong(header, "not UTF-8 once its percents are decoded") from e
    return found


def _plain(text: str) -> str:
    """What a quoted string holds (RFC 9110, 5.6.4), as older senders write what has blanks."""
    quoted = _QUOTED.fullmatch(text)
    return _ESCAPED.sub(r"\1", quoted[1]) if quoted else text


def _wrong(header: str, why: str) -> RefusedError:
    return RefusedError(f"header {header[:100]}: {why}", status=400)


def _refused(not_taken: NotTakenError, request_id: str) -> Response:
    first = not_taken.refused[0]
    return problems.problem(
        status=not_taken.status,
        detail=f"{said(first)}; nothing was taken",
        request_id=request_id,
        errors=[_error(one) for one in not_taken.refused],
    )


def _error(told: Told) -> dict[str, object]:
    place = {} if told.index == WHOLE else {"index": told.index}
    return {**place, "pointer": told.pointer, "detail": told.detail}
