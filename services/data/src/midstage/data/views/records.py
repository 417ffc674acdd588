"""Records as they are asked for and shown: filters, pages, and the cursor between two pages.

A page is sorted by time, source, number and id, which no two records share; so pages one after
another give each record once, whatever comes in meanwhile.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from midstage.contracts.errors import RefusedError
from midstage.contracts.instants import instant
from midstage.contracts.requests import Outcome

MOST_RECORDS = 1000
_HIGHEST = 2**63 - 1
_SEEN = "is not a cursor that this service gave; leave it out to begin anew"


class Order(StrEnum):
    """Which records come first."""

    OLDEST = "oldest"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Records with all of these, from ``since`` up to but without ``until``; None takes all."""

    app: str | None = None
    customer: str | None = None
    outcome: Outcome | None = None
    status: int | None = None
    pod: str | None = None
    revision: str | None = None
    ref: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A record's place in the order of all; ``number`` is 0 where it has none."""

    time: datetime
    source: str
    number: int
    id: str


class _Cursor(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True
):
    order: Order
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    source: str
    number: Annotated[int, msgspec.Meta(ge=0, le=_HIGHEST)]
    id: str


# made before threads are: see the traps in docs/architecture.md
_read_cursor = msgspec.json.Decoder(_Cursor).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsQuery:
    """A page of records: ``limit`` at most, behind ``after`` in the order."""

    filters: Filters
    order: Order = Order.OLDEST
    after: Place | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One request at its end, as its edge told it.

    ``usage`` are units by name as observed; ``partition`` and ``offset`` are its place in the
    topic of requests.
    """

    time: datetime
    source: str
    seq: int | None
    id: str
    app: str
    revision: str
    endpoint: str
    customer: str
    status: int
    outcome: str
    duration_ms: float
    queue_ms: float | None
    ttft_ms: float | None
    bytes_in: int
    bytes_out: int
    usage: Mapping[str, int | float]
    estimated: bool
    labels: Mapping[str, str]
    ref: str
    cluster: str
    pod: str
    trace_id: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsAnswer:
    """A page of records; ``next`` is the ``after`` of the next page, None: this was the last."""

    records: tuple[Record, ...]
    next: str | None


def filters(
    *,
    app: str | None = None,
    customer: str | None = None,
    outcome: str | None = None,
    status: int | None = None,
    pod: str | None = None,
    revision: str | None = None,
    ref: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Filters:
    """The filters that a caller means; RefusedError names what can't be meant."""
    begin = None if since is None else instant("from", since)
    end = None if until is None else instant("to", until)
    if begin is not None and end is not None and begin > end:
        raise RefusedError(f"from={since!r} is after to={until!r}")
    return Filters(
        app=app,
        customer=customer,
        outcome=None if outcome is None else _outcome(outcome),
        status=status,
        pod=pod,
        revision=revision,
        ref=ref,
        since=begin,
        until=end,
    )


def query(filters: Filters, *, order: str, after: str | None, limit: int) -> RecordsQuery:
    """The page that a caller means; RefusedError names what can't be meant."""
    try:
        wanted = Order(order)
    except ValueError as error:
        raise RefusedError(f"order={order!r} is none of {', '.join(Order)}") from error
    place = None if after is None else _place(after, wanted)
    return RecordsQuery(filters=filters, order=wanted, after=place, limit=limit)


def answer(query: RecordsQuery, found: Sequence[Record]) -> RecordsAnswer:
    """``found``, of which one more than the page may hold says that there is a next one."""
    page = found[: query.limit]
    following = _cursor(page[-1], query.order) if len(found) > query.limit else None
    return RecordsAnswer(records=tuple(page), next=following)


def _cursor(last: Record, order: Order) -> str:
    cursor = _Cursor(
        order=order, time=last.time, source=last.source, number=last.seq or 0, id=last.id
    )
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _place(text: str, order: Order) -> Place:
    try:
        padded = text + "=" * (-len(text) % 4)
        content = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        cursor = _read_cursor(content)
        time = cursor.time.astimezone(UTC)
    except (binascii.Error, UnicodeError, msgspec.DecodeError, OverflowError) as error:
        raise RefusedError(f"after={text[:80]!r} {_SEEN}") from error
    if cursor.order is not order:
        raise RefusedError(f"after={text[:80]!r} is of pages in the order {cursor.order.value}")
    return Place(time=time, source=cursor.source, number=cursor.number, id=cursor.id)


def _outcome(name: str) -> Outcome:
    try:
        return Outcome(name)
    except ValueError as error:
        raise RefusedError(f"outcome={name!r} is none of {', '.join(Outcome)}") from error
