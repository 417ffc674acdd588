"""CloudEvents 1.0: structured JSON written; structured and binary (``ce_*`` headers) read.

Unknown fields are ignored. What is not an event of this topic is an UnreadableError whose text
names what is wrong, never another exception, so that one record can't stop a consumer.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from midstage.contracts import signature
from midstage.contracts.edges import seq_number, seq_text
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event, Fact, Name
from midstage.contracts.topics import EVENT_BYTES, Topic
from midstage.eventlog.log import Headers, Message, Record

F = TypeVar("F", bound=Fact)

CONTENT_TYPE = "content-type"
STRUCTURED = b"application/cloudevents+json"
TRACEPARENT = "traceparent"
STRUCTURED_HEADER = (CONTENT_TYPE, STRUCTURED)
_BINARY_PREFIX = "ce_"
_TOLD = 300  # characters of a foreign library's text that a reason repeats


class _Attributes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    specversion: str
    id: Name
    source: Name
    type: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    subject: str | None = None
    midstageseq: str | None = None


class _Envelope(_Attributes, frozen=True, kw_only=True, omit_defaults=True):
    data: msgspec.Raw


class _Written(_Attributes, frozen=True, kw_only=True, omit_defaults=True):
    datacontenttype: str
    data: Fact


_encoder = msgspec.json.Encoder()
_envelope = msgspec.json.Decoder(_Envelope)


def encode(event: Event[F]) -> bytes:
    """The event in structured mode; the same event always has the same bytes."""
    return _encoder.encode(
        _Written(
            specversion="1.0",
            id=event.id,
            source=event.source,
            type=event.type,
            time=event.time.astimezone(UTC),
            subject=event.subject,
            midstageseq=None if event.seq is None else seq_text(event.seq),
            datacontenttype="application/json",
            data=event.data,
        )
    )


def message(
    event: Event[F],
    *,
    topic: str,
    key: str,
    signing_key: bytes | None = None,
    traceparent: str | None = None,
) -> Message:
    """The event as a message; signed with the header ``ms-sig`` when a key is given."""
    value = encode(event)
    headers: Headers = (STRUCTURED_HEADER,)
    if signing_key is not None:
        mac = signature.sign(key=signing_key, source=event.source, value=value)
        headers = (*headers, (signature.HEADER, mac))
    if traceparent is not None:
        headers = (*headers, (TRACEPARENT, traceparent.encode()))
    return Message(topic=topic, key=key.encode(), value=value, headers=headers)


class Decoder:
    """Turns one topic's records into events whose data is of the topic's own fact types."""

    def __init__(self, topic: Topic, facts: Mapping[str, type[Fact]] | None = None) -> None:
        """Read the fact types of ``topic``, or ``facts`` by event type where they are given."""
        self._topic = topic.name
        known = dict(topic.facts) if facts is None else facts
        self._facts = {name: msgspec.json.Decoder(fact) for name, fact in known.items()}

    def __call__(self, record: Record) -> Event[Fact]:
        """The record's event; UnreadableError for anything else."""
        value = record.value
        if value is None:
            raise UnreadableError("a record without a value (tombstone) is no event")
        if len(value) > EVENT_BYTES:
            raise UnreadableError(f"{len(value)} bytes are above the limit of {EVENT_BYTES}")
        try:
            return self._event(record.headers, value)
        except (msgspec.DecodeError, UnicodeError, OverflowError, RecursionError) as e:
            raise UnreadableError(f"not an event of {self._topic}: {str(e)[:_TOLD]}") from e

    def _event(self, headers: Headers, value: bytes) -> Event[Fact]:
        attributes, data = _opened(headers, value)
        if attributes.specversion != "1.0":
            raise UnreadableError(f"specversion {attributes.specversion[:20]!r} is not 1.0")
        fact = self._facts.get(attributes.type)
        if fact is None:
            raise UnreadableError(f"type {attributes.type[:100]!r} is unknown in {self._topic}")
        seq = attributes.midstageseq
        time = attributes.time
        return Event(
            id=attributes.id,
            source=attributes.source,
            type=attributes.type,
            time=time if time.tzinfo is UTC else time.astimezone(UTC),
            data=fact.decode(data),
            subject=attributes.subject,
            seq=None if seq is None else seq_number(seq),
        )


class Decoders:
    """The same for the records of several topics, as a sequence; nothing of a tombstone."""

    def __init__(self, *topics: Topic) -> None:
        """Each by the facts of its own topic."""
        self._by_topic = {topic.name: Decoder(topic) for topic in topics}

    def __call__(self, record: Record) -> Sequence[Event[Fact]]:
        """The record's event; UnreadableError for what is none."""
        if record.value is None:
            return ()
        return (self._by_topic[record.partition.topic](record),)


def header(record: Record, name: str) -> bytes | None:
    """The first header of that name, whatever its case."""
    for key, value in record.headers:
        if key.lower() == name:
            return value
    return None


def _opened(headers: Headers, value: bytes) -> tuple[_Attributes, msgspec.Raw | bytes]:
    if headers and headers[0] == STRUCTURED_HEADER:  # what we write ourselves: the fast way
        envelope = _envelope.decode(value)
        return envelope, envelope.data
    names = {name.lower(): text for name, text in reversed(headers)}
    content = names.get(CONTENT_TYPE, b"").partition(b";")[0].strip().lower()
    if content != STRUCTURED and f"{_BINARY_PREFIX}specversion" in names:
        return _binary(names, content), value
    if content not in (STRUCTURED, b"application/json", b""):
        raise UnreadableError(f"content type {content[:100]!r} is not one that is read here")
    envelope = _envelope.decode(value)
    return envelope, envelope.data


def _binary(names: Mapping[str, bytes], content: bytes) -> _Attributes:
    if content not in (b"application/json", b""):
        raise UnreadableError(f"content type {content[:100]!r} of a binary event is not JSON")
    texts = {
        name.removeprefix(_BINARY_PREFIX): text.decode()
        for name, text in names.items()
        if name.startswith(_BINARY_PREFIX)
    }
    return msgspec.convert(texts, _Attributes)
