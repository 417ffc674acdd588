"""One posted event as the message that the log takes, or what is wrong with it and where.

What passes is read at last as every consumer will read it, so it is no dead letter there. Numbers
and edges' sources need the edge's signature over the exact body, which forwards with it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal, DecimalException, InvalidOperation, Underflow, localcontext

import msgspec

from midstage.contracts import signature
from midstage.contracts.edges import SOURCE_PREFIX, edge_of
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.metered import METERED
from midstage.contracts.requests import REQUEST_COMPLETED
from midstage.contracts.topics import EVENT_BYTES, Topic
from midstage.contracts.units import BLUR, MICROS_PER_UNIT, micros
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoder
from midstage.eventlog.log import Headers, Message, Partition, Record
from midstage.stats.stream.incoming.documents import (
    FaultError,
    Value,
    Written,
    document,
    pointed,
)
from midstage.stats.stream.reading import AHEAD, arrival
from midstage.stats.views.ingest import Mode, Posted, is_json

OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
"""An event from before is a broken clock."""
CUSTOMERS = "customers/"
"""A customer's own sources begin with this and its name, so it can't take another's ids."""

_NAME = 256
_HEADERS: Headers = ((CONTENT_TYPE, STRUCTURED),)
_UNITS = {REQUEST_COMPLETED: "usage", METERED: "units"}
_TEXTS = ("specversion", "id", "source", "type", "time")
_OPTIONAL_TEXTS = ("subject", "datacontenttype", "dataschema", "midstageseq")
_PATH = re.compile(r" - at `\$([^`]*)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_TOO_FINE = "more than six decimals"
_EXACTLY = Context(prec=40, traps=[InvalidOperation, Underflow])
"""Digits enough to tell any written amount from the double next to it."""


class Checking:
    """Turns posted events into messages for the topic of requests."""

    def __init__(
        self,
        *,
        topic: Topic,
        keys: Callable[[], Mapping[str, bytes]],
        now: Callable[[], datetime],
    ) -> None:
        """``keys`` gives the edges' keys as they are now."""
        self._topic = topic
        self._decode = Decoder(topic)
        self._keys = keys
        self._now = now

    def __call__(self, content: bytes, posted: Posted) -> tuple[Event[Fact], Message]:
        """The event in ``content`` and its message; FaultError says where and why not."""
        if len(content) > EVENT_BYTES:
            raise FaultError(
                "", f"{len(content)} bytes are above an event's limit of {EVENT_BYTES}"
            )
        found = document(content)
        if posted.mode is Mode.DATA:
            found = {**posted.attributes, "data": found}
            content = msgspec.json.encode({**posted.attributes, "data": msgspec.Raw(content)})
        self._attributes(found)
        self._data(found)
        headers = (*_HEADERS, *self._signature(found, content, posted))
        message = Message(
            topic=self._topic.name,
            key=str(found["source"]).encode(),
            value=content,
            headers=headers,
        )
        event = self._as_read(message)
        if posted.customer is not None:
            _own(found, posted.customer)
        return event, message

    def _attributes(self, found: Mapping[str, Value]) -> None:
        for name in _TEXTS:
            if name not in found:
                raise FaultError(pointed(name), "missing")
        for name in (*_TEXTS, *_OPTIONAL_TEXTS):
            if not isinstance(found.get(name, ""), str):
                raise FaultError(pointed(name), "not a text")
        for name, why in _unfit(found):
            raise FaultError(pointed(name), why)
        self._time(str(found["time"]))

    def _time(self, text: str) -> None:
        try:
            time = msgspec.convert(text, datetime)
        except msgspec.ValidationError as e:
            raise FaultError("/time", "not a time as RFC 3339 writes it") from e
        if time.tzinfo is None:
            raise FaultError("/time", "without a zone; end it with Z or an offset")
        if time - self._now() > AHEAD:
            raise FaultError("/time", "more than 24 h ahead")
        if time < OLDEST:
            raise FaultError("/time", f"before {OLDEST.year}")

    def _data(self, found: Mapping[str, Value]) -> None:
        data = found.get("data")
        if not isinstance(data, dict):
            raise FaultError("/data", "missing" if "data" not in found else "not an object")
        name = _UNITS[str(found["type"])]
        units = data.get(name, {})
        if not isinstance(units, dict):
            raise FaultError(pointed("data", name), "not an object")
        for unit, amount in units.items():
            _counted(pointed("data", name, unit), amount)

    def _signature(self, found: Mapping[str, Value], content: bytes, posted: Posted) -> Headers:
        source = str(found["source"])
        numbered = "midstageseq" in found
        if not numbered and not source.startswith(SOURCE_PREFIX):
            return ()
        pointer = "/midstageseq" if numbered else "/source"
        if content is not posted.content:  # one of many, or its attributes came beside it
            raise FaultError(pointer, "an edge's event is posted alone, in structured mode, signed")
        try:
            edge = edge_of(source)
        except UnreadableError as e:
            raise FaultError("/source", str(e)) from e
        if posted.signature is None or not signature.genuine(
            keys=self._keys(), edge=edge, source=source, value=content, signature=posted.signature
        ):
            raise FaultError(pointer, f"without the signature of edge {edge!r} over this body")
        return ((signature.HEADER, posted.signature),)

    def _as_read(self, message: Message) -> Event[Fact]:
        place = Partition(topic=message.topic, number=0)
        record = Record(
            partition=place, offset=0, key=message.key, value=message.value, headers=message.headers
        )
        try:
            event = self._decode(record)
            arrival(event)
        except UnreadableError as e:
            raise FaultError(*_placed(str(e))) from e
        return event


def _unfit(found: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    for name in ("id", "source"):
        if not 1 <= len(str(found[name])) <= _NAME:
            yield name, f"not 1 to {_NAME} characters"
    if found["specversion"] != "1.0":
        yield "specversion", "not 1.0"
    if found["type"] not in _UNITS:
        yield "type", f"none of {', '.join(_UNITS)}"
    if not is_json(str(found.get("datacontenttype", "application/json"))):
        yield "datacontenttype", "not JSON"
    if "data_base64" in found:
        yield "data_base64", "data has to be JSON"


def _counted(pointer: str, amount: Value) -> None:
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise FaultError(pointer, "not a number")
    try:
        counted = micros(amount)
    except UnreadableError as e:
        raise FaultError(pointer, str(e)) from e
    if isinstance(amount, Written):
        _as_written(pointer, amount.text, counted)


def _as_written(pointer: str, text: str, counted: int) -> None:
    """What is counted is what was written, but for the blur of a sum of doubles."""
    with localcontext(_EXACTLY):
        try:
            written = Decimal(text) * MICROS_PER_UNIT
            off = abs(written - counted)
        except DecimalException as e:
            raise FaultError(pointer, _TOO_FINE) from e
        if off and written == written.to_integral_value():
            read = counted / MICROS_PER_UNIT
            raise FaultError(pointer, f"too many digits for a double, it would count as {read!r}")
        if off > Decimal(BLUR) * counted:
            raise FaultError(pointer, _TOO_FINE)


def _own(found: Mapping[str, Value], customer: str) -> None:
    data, source = found["data"], f"{found['source']}/"
    if not isinstance(data, dict) or data.get("customer") != customer:
        raise FaultError("/data/customer", f"not {customer!r}, whose key this is")
    own = f"{CUSTOMERS}{customer.replace('%', '%25').replace('/', '%2F')}"  # a/b is not below a
    if not source.startswith(f"{own}/"):
        raise FaultError("/source", f"not below {own}, which this key may use")


def _placed(reason: str) -> tuple[str, str]:
    """The pointer that a decoder's reason names, and the reason without it."""
    at = _PATH.search(reason)
    steps = [name or number for name, number in _STEP.findall(at[1])] if at else []
    missing = _MISSING.search(reason)
    if missing:
        steps.append(missing[1])
    of_data = steps[:1] not in ([name] for name in (*_TEXTS, *_OPTIONAL_TEXTS, "data"))
    told = reason[: at.start()] if at else reason
    return pointed(*(["data", *steps] if steps and of_data else steps)), told
