"""Lines become events: a full CloudEvent, or bare request data, one JSON object a line.

What a line leaves out of id, time, source, type and specversion is filled in; what it says, known
fields or not, is kept to the byte. Each line is read as every consumer will read it, so what
passes here is not a dead letter there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from midstage.client.times import rfc3339
from midstage.contracts.edges import SOURCE_PREFIX
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.metered import Metered
from midstage.contracts.requests import REQUEST_COMPLETED, RequestCompleted
from midstage.contracts.topics import REQUESTS
from midstage.contracts.units import micros
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoder
from midstage.eventlog.log import Message, Partition, Record

Parts = dict[str, msgspec.Raw]

HEADERS = ((CONTENT_TYPE, STRUCTURED),)
_LIFTED = ("id", "time", "source")
_lines = msgspec.json.Decoder(Parts)
_raw = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What fills the gaps of a line."""

    source: str
    now: Callable[[], datetime]
    new_id: Callable[[], str]


class Reading:
    """Turns lines into messages for the requests topic."""

    def __init__(self, filling: Filling, *, topic: str = REQUESTS.name) -> None:
        """Fill gaps from ``filling``; the messages are for ``topic``."""
        self._filling = filling
        self._topic = topic
        self._decode = Decoder(REQUESTS)

    def __call__(self, line: bytes) -> Message:
        """The line's message; UnreadableError says what is wrong with it."""
        value = filled(line, self._filling)
        event = self._decode(_record(value))
        _unnumbered(event)
        return Message(topic=self._topic, key=event.source.encode(), value=value, headers=HEADERS)


def filled(line: bytes, filling: Filling) -> bytes:
    """The line as a CloudEvent without gaps; UnreadableError where it is no JSON object."""
    try:
        parts = _lines.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise UnreadableError(f"not a JSON object: {e}") from e
    gaps = {
        "specversion": "1.0",
        "id": filling.new_id(),
        "source": filling.source,
        "type": REQUEST_COMPLETED,
        "time": rfc3339(filling.now()),
    }
    return _raw.encode({**{name: _text(value) for name, value in gaps.items()}, **_event(parts)})


def _event(parts: Parts) -> Parts:
    """The parts of a CloudEvent; bare data may name its own id, time and source."""
    if "data" in parts or "specversion" in parts:
        return parts
    attributes = {name: parts[name] for name in _LIFTED if name in parts}
    data = {name: value for name, value in parts.items() if name not in attributes}
    return {**attributes, "data": msgspec.Raw(_raw.encode(data))}


def _unnumbered(event: Event[Fact]) -> None:
    if event.seq is not None:
        raise UnreadableError("midstageseq is an edge's own; leave it out")
    if event.source.startswith(SOURCE_PREFIX):
        raise UnreadableError(f"source {event.source!r} is an edge's own; take another")
    match event.data:
        case RequestCompleted(usage=units) | Metered(units=units):
            for name, amount in units.items():
                _counted(name, amount)
        case _:
            raise UnreadableError(f"type {event.type!r} is none that can be sent")


def _counted(name: str, amount: float) -> None:
    try:
        micros(amount)
    except UnreadableError as e:
        raise UnreadableError(f"usage of {name}: {e}") from e


def _record(value: bytes) -> Record:
    nowhere = Partition(topic=REQUESTS.name, number=0)
    return Record(partition=nowhere, offset=0, key=None, value=value, headers=HEADERS)


def _text(value: str) -> msgspec.Raw:
    return msgspec.Raw(_raw.encode(value))
