"""The one kind of record in a versioned log: "version n of this key, by this command, these facts".

A CloudEvent of type ``Topic.appended``, keyed by the key it decides about. Facts stay raw until
the fold accepts the record, so that a fact nobody here knows stops one key and not the log.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec

from midstage.contracts.errors import RefusedError, UnreadableError
from midstage.contracts.fact import Event, Fact, Name
from midstage.contracts.topics import EVENT_BYTES, Topic
from midstage.eventlog.codec import Decoder, message
from midstage.eventlog.log import Message, Record

F = TypeVar("F")

LONGEST_NAME = 256


class Appended(Fact, frozen=True, kw_only=True):
    """One decision: ``facts`` are the tagged facts, ``engine`` the code that decided."""

    key: Name
    version: Annotated[int, msgspec.Meta(ge=1, le=2**62)]
    command_id: Name
    command_hash: str
    engine: str
    facts: msgspec.Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[F]):
    """What became of a command: the facts that it made, and the version that holds them.

    ``repeated``: the log knew the command already, this is its first outcome. No facts: there was
    nothing to do, and ``version`` is the one that the decision saw.
    """

    key: str
    version: int
    command_id: str
    facts: tuple[F, ...]
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Who asks: the caller's id, and the hash of what is asked for."""

    key: str
    id: str
    hash: str


def command(*, key: str, command_id: str, payload: bytes) -> Command:
    """A command to be executed; RefusedError where the key or the id is no name."""
    for what, name in (("key", key), ("command id", command_id)):
        if not 1 <= len(name) <= LONGEST_NAME:
            raise RefusedError(f"a {what} has 1 to {LONGEST_NAME} characters, not {len(name)}")
    digest = hashlib.sha256(key.encode() + b"\0" + payload).hexdigest()
    return Command(key=key, id=command_id, hash=digest)


def opened(topic: Topic) -> Callable[[Record], Event[Appended]]:
    """The reader of the log's records; UnreadableError for what is none."""
    decoder = Decoder(topic, {topic.appended: Appended})

    def read(record: Record) -> Event[Appended]:
        event: Event[Fact] = decoder(record)
        appended = event.data
        assert isinstance(appended, Appended)
        if record.key != appended.key.encode():
            raise UnreadableError(f"the record's key {record.key!r} is not {appended.key!r}")
        return event  # type: ignore[return-value]  # its data was just looked at

    return read


def written(
    topic: Topic,
    *,
    event_id: str,
    by: Command,
    version: int,
    engine: str,
    facts: Sequence[object],
    at: datetime,
) -> Message:
    """The message that says so; RefusedError where readers would not take it."""
    appended = Appended(
        key=by.key,
        version=version,
        command_id=by.id,
        command_hash=by.hash,
        engine=engine,
        facts=msgspec.Raw(msgspec.json.encode(facts)),
    )
    event = Event(id=event_id, source=engine, type=topic.appended, time=at, data=appended)
    sent = message(event, topic=topic.name, key=by.key)
    size = len(sent.value or b"")
    if size > EVENT_BYTES:
        raise RefusedError(f"the decision has {size} bytes; ask for less", status=413)
    return sent


class Facts(Generic[F]):
    """Reads the tagged facts of one versioned log."""

    def __init__(self, topic: Topic) -> None:
        """Know the topic's union."""
        self._decoder: msgspec.json.Decoder[tuple[F, ...]] = msgspec.json.Decoder(
            tuple[topic.union, ...]  # type: ignore[name-defined]  # a union kept as a value
        )

    def __call__(self, raw: bytes | msgspec.Raw) -> tuple[F, ...]:
        """The facts; UnreadableError where one is not known here."""
        try:
            return self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
            raise UnreadableError(str(e)) from e
