"""The one kind of record in a versioned log: "version n of this key, by this command, these facts".

A CloudEvent of type ``Topic.appended``, keyed by the key it decides about. Facts stay raw until
the fold accepts the record, so that a fact nobody here knows stops one key and not the log.
Beside it stands, where processes share the deciding, who took a partition, and in which epoch.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from midstage.contracts.errors import RefusedError, UnreadableError
from midstage.contracts.fact import Event, Fact, Name
from midstage.contracts.topics import EVENT_BYTES, Topic
from midstage.eventlog.codec import Decoder, message
from midstage.eventlog.log import Message, Record

F = TypeVar("F")

LONGEST_NAME = 256


Epoch = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


class Appended(Fact, frozen=True, kw_only=True):
    """One decision: ``facts`` are the tagged facts, ``engine`` the code that decided.

    ``epoch``: it counts only while the partition is held in that one; unset, it always may.
    """

    key: Name
    version: Annotated[int, msgspec.Meta(ge=1, le=2**62)]
    command_id: Name
    command_hash: str
    engine: str
    facts: msgspec.Raw
    epoch: Epoch | UnsetType = UNSET


class PartitionTaken(Fact, frozen=True, kw_only=True):
    """From here on ``owner`` decides the partition's keys: epoch by epoch, the first one counts."""

    partition: Annotated[int, msgspec.Meta(ge=0)]
    epoch: Epoch
    owner: Name


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


def logged(topic: Topic) -> Callable[[Record], Event[Appended] | Event[PartitionTaken]]:
    """The reader of all that a versioned log holds; UnreadableError for what is none of it."""
    decoder = Decoder(topic, {topic.appended: Appended, topic.taken: PartitionTaken})

    def read(record: Record) -> Event[Appended] | Event[PartitionTaken]:
        event: Event[Fact] = decoder(record)
        match event.data:
            case Appended(key=key) if record.key != key.encode():
                raise UnreadableError(f"the record's key {record.key!r} is not {key!r}")
            case PartitionTaken(partition=number) if record.partition.number != number:
                raise UnreadableError(f"partition {number} is taken in another one")
        return event  # type: ignore[return-value]  # the decoder knows no other type

    return read


def taken(topic: Topic, *, event_id: str, by: PartitionTaken, at: datetime) -> Message:
    """The message that takes a partition, in that very one."""
    event = Event(id=event_id, source=by.owner, type=topic.taken, time=at, data=by)
    sent = message(event, topic=topic.name, key=f"partition/{by.partition}")
    return msgspec.structs.replace(sent, partition=by.partition)


def written(
    topic: Topic,
    *,
    event_id: str,
    by: Command,
    version: int,
    engine: str,
    facts: Sequence[object],
    at: datetime,
    epoch: int | None = None,
) -> Message:
    """The message that says so; RefusedError where readers would not take it."""
    appended = Appended(
        key=by.key,
        version=version,
        command_id=by.id,
        command_hash=by.hash,
        engine=engine,
        facts=msgspec.Raw(msgspec.json.encode(facts)),
        epoch=UNSET if epoch is None else epoch,
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
