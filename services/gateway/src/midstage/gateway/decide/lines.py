"""One line of Envoy's request log becomes one ``RequestCompleted``: the same line, the same bytes.

Any line gives an event that every reader can read, or an UnreadableError; never something else.
"""

import re
from datetime import UTC, datetime, timedelta

import msgspec

from midstage.contracts.edges import LARGEST_SEQ
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event
from midstage.contracts.requests import (
    KEY_LABEL,
    REQUEST_COMPLETED,
    UNKNOWN_CUSTOMER,
    RequestCompleted,
    outcome_of,
)
from midstage.gateway.decide.endings import ending
from midstage.gateway.decide.usage import UNREADABLE, Said, usage
from midstage.gateway.model.apps import UNKNOWN_APP

LONGEST_LINE = 256 * 1024
"""Bytes; Envoy's own lines are far shorter, because every text in them is cut."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TIME = re.compile(r"(\d{1,11})\.(\d{6})", re.ASCII)
_MICROS = re.compile(r"\d{1,17}", re.ASCII)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_CLOCKS_DIFFER_MS = 1.0
"""The first token's time is a clock's, the duration a stop watch's; more than this is a step."""
_STREAMED = "text/event-stream"
_TOLD = 300


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line as ``views.requestlog`` has Envoy write it; null where Envoy has no value."""

    time: str
    started: str
    id: str | None = None
    app: str | None = None
    prefix: str | None = None
    path: str | None = None
    customer: str | None = None
    key: str | None = None
    ref: str | None = None
    traceparent: str | None = None
    status: int | None = None
    flags: str | None = None
    details: str | None = None
    pod: str | None = None
    replica: str | None = None
    revision: str | None = None
    cluster: str | None = None
    duration: int | None = None
    duration_us: int | None = None
    body_us: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    type: str | None = None
    usage_header: str | None = None
    usage_trailer: str | None = None
    usage: str | None = None
    events: float | None = None
    first: str | None = None
    unread: str | None = None


_decoder = msgspec.json.Decoder(Line)


def parsed(text: bytes) -> Line:
    """The line's fields; UnreadableError where it is not one of Envoy's."""
    if len(text) > LONGEST_LINE:
        raise UnreadableError(f"the line is longer than {LONGEST_LINE} bytes")
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise UnreadableError(f"not a line of the request log: {str(e)[:_TOLD]}") from e


def completed(line: Line, *, source: str, number: int) -> Event[RequestCompleted]:
    """The event of line ``number`` of ``source``; UnreadableError where a figure makes no sense."""
    if not 1 <= number <= LARGEST_SEQ:
        raise UnreadableError(f"line {number} is not between 1 and {LARGEST_SEQ}")
    return Event(
        id=(line.id or f"{source}/{number}")[:256],
        source=source,
        type=REQUEST_COMPLETED,
        time=_moment(line.time),
        subject=_app(line),
        seq=number,
        data=_request(line),
    )


def traceparent(line: Line) -> str | None:
    """The caller's trace context where it is well-formed."""
    given = line.traceparent or ""
    return given if _TRACEPARENT.fullmatch(given) else None


def _request(line: Line) -> RequestCompleted:
    status = line.status or 0
    if not 0 <= status <= 999:
        raise UnreadableError(f"{status} is no HTTP status")
    end = ending(status=status, flags=line.flags or "", details=line.details or "")
    outcome = outcome_of(
        status=status,
        by_gateway=end.by_gateway,
        broke_off=end.broke_off,
        caller_left=end.caller_left,
    )
    bytes_out = _count(line.bytes_out)
    used = usage(_said(line), outcome=outcome, complete=end.complete, delivered=bytes_out > 0)
    duration_ms = _duration_ms(line)
    return RequestCompleted(
        app=_app(line),
        customer=(line.customer or UNKNOWN_CUSTOMER)[:256],
        status=status,
        outcome=outcome,
        duration_ms=duration_ms,
        endpoint=_endpoint(line),
        revision=line.revision or "",
        ttft_ms=_ttft_ms(line, most=duration_ms),
        bytes_in=_count(line.bytes_in),
        bytes_out=bytes_out,
        usage=dict(used.units),
        estimated=used.estimated,
        labels=_labels(line, used.unreadable),
        ref=(line.ref or "")[:256],
        cluster=line.cluster or "",
        pod=line.replica or line.pod or "",
        trace_id=_trace_id(line),
    )


def _said(line: Line) -> Said:
    stated = line.usage_trailer if line.usage_trailer is not None else line.usage_header
    events = line.events or 0.0
    return Said(
        by_replica=stated,
        in_body=line.usage,
        events=int(events) if 0 <= events <= LARGEST_SEQ else 0,
        unread=line.unread,
    )


def _labels(line: Line, unreadable: str | None) -> dict[str, str]:
    said = {KEY_LABEL: (line.key or "")[:256], UNREADABLE: unreadable or ""}
    return {name: text for name, text in said.items() if text}


def _app(line: Line) -> str:
    return (line.app or UNKNOWN_APP)[:256]


def _endpoint(line: Line) -> str:
    path = (line.path or "").partition("?")[0]
    inner = path.removeprefix(line.prefix or "")
    return (inner or "/" if path else "")[:1024]


def _duration_ms(line: Line) -> float:
    """Until the last byte went to the caller; where it never did, until the line was written."""
    if line.duration_us is not None:
        return _count(line.duration_us) / 1000
    passed = (_moment(line.time) - _moment(line.started)) / _MILLISECOND
    return passed if passed >= 0 else float(_count(line.duration))


def _ttft_ms(line: Line, *, most: float) -> float | None:
    """Until the first event with content passed; else, in a stream, the first byte of the body."""
    if line.first is not None and _MICROS.fullmatch(line.first):
        since = timedelta(microseconds=int(line.first)) - (_moment(line.started) - _EPOCH)
        passed = since / _MILLISECOND
        return min(passed, most) if 0 <= passed <= most + _CLOCKS_DIFFER_MS else None
    if line.body_us is not None and (line.type or "").startswith(_STREAMED):
        return _count(line.body_us) / 1000
    return None


def _trace_id(line: Line) -> str:
    match = _TRACEPARENT.fullmatch(line.traceparent or "")
    return match[1] if match else ""


def _moment(text: str) -> datetime:
    match = _TIME.fullmatch(text)
    if match is None:
        raise UnreadableError(f"{text[:40]!r} is no time")
    try:
        return _EPOCH + timedelta(seconds=int(match[1]), microseconds=int(match[2]))
    except OverflowError as e:
        raise UnreadableError(f"{text!r} is no time that a calendar has") from e


def _count(value: int | None) -> int:
    if value is not None and not 0 <= value <= LARGEST_SEQ:
        raise UnreadableError(f"{value} can't be a count")
    return value or 0
