"""Dead letters as operators look at them: what they ask for, and what is known of each.

Whoever wrote it may have written anything: what is known of its event is what its headers, its key
or JSON say in a readable way, cut to what a person reads. Nothing here believes any of it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from midstage.contracts.errors import RefusedError
from midstage.contracts.instants import instant

MOST_LETTERS = 1_000
EXCERPT_CHARACTERS = 500
_NAME_CHARACTERS = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_PLACE = re.compile(r"([^/,\s]{1,249})/([0-9]{1,9})/([0-9]{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a dead letter stands; as text it is its id."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """As it is asked for."""
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which dead letters; what is None is not asked for. ``below`` goes on where a page ended."""

    topic: str | None = None
    refuser: str | None = None
    source: str | None = None
    customer: str | None = None
    reason: str | None = None
    since: datetime | None = None
    below: Sequence[Place] | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One dead letter; null is what is not known.

    ``at`` is when it was refused, by ``refuser``; ``record`` is where the original stood and
    ``written`` since when. ``source`` to ``app`` are what it says of itself. ``bytes`` is the
    length of the original, ``cut`` says that only its beginning was kept.
    """

    id: str
    at: datetime | None
    topic: str
    refuser: str
    reason: str
    source: str | None
    seq: int | None
    event_id: str | None
    type: str | None
    customer: str | None
    app: str | None
    record: str | None
    written: datetime | None
    content_type: str | None
    bytes: int
    cut: bool
    excerpt: str

    def is_meant(self, asked: Asked) -> bool:
        """Whether it is one of those asked for; what is not known is none."""
        return (
            asked.source in (None, self.source)
            and asked.customer in (None, self.customer)
            and (asked.reason is None or asked.reason.casefold() in self.reason.casefold())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeDeadLetter:
    """A dead letter with all that is left of its record; ``key`` and ``content`` as base64."""

    dead_letter: DeadLetter
    key: bytes | None
    headers: tuple[tuple[str, str], ...]
    content: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How many dead letters a topic holds since the time that was asked for, read or not."""

    topic: str
    refuser: str
    dead_letters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """The newest first; ``next`` is ``before`` of the next page, null where nothing is left.

    A page may have fewer than were asked for, or none, and a next one: so many were looked at.
    """

    dead_letters: tuple[DeadLetter, ...]
    held: tuple[Held, ...]
    looked_at: int
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an event says of itself."""

    source: str | None = None
    event_id: str | None = None
    type: str | None = None
    customer: str | None = None
    app: str | None = None


def asked(
    *,
    since: str | None,
    before: str | None,
    limit: int,
    topic: str | None = None,
    refuser: str | None = None,
    source: str | None = None,
    customer: str | None = None,
    reason: str | None = None,
) -> Asked:
    """What a caller means; RefusedError (400) says what it can't be."""
    return Asked(
        topic=topic,
        refuser=refuser,
        source=source,
        customer=customer,
        reason=reason,
        since=None if since is None else instant("from", since, status=400),
        below=None if before is None else tuple(place(one) for one in before.split(",")),
        limit=limit,
    )


def place(text: str) -> Place:
    """The place that an id names; RefusedError (400) where it names none."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise RefusedError(
            f"{text[:_NAME_CHARACTERS]!r} is not the place of a dead letter, like "
            "midstage.requests.v1.stats.dlq/0/17",
            status=400,
        )
    return Place(topic=found[1], partition=int(found[2]), offset=int(found[3]))


def cursor(below: Iterable[Place]) -> str | None:
    """The ``before`` of the next page."""
    return ",".join(sorted(map(str, below))) or None


def said_in(value: bytes | None, *, attributes: Mapping[str, bytes], key: bytes | None) -> Said:
    """What it says: ``attributes`` are its headers by lower-case name, JSON says the rest.

    The source of what is no event is its key: that is what keys are in topics with dead letters.
    """
    event, binary = _event(value), "ce_specversion" in attributes
    data = event if binary else _event(event.get("data"))
    header = {name: _name(attributes.get(f"ce_{name}")) for name in ("source", "id", "type")}
    own = dict[str, msgspec.Raw]() if binary else event
    return Said(
        source=_text(own.get("source")) or header["source"] or _name(key),
        event_id=_text(own.get("id")) or header["id"],
        type=_text(own.get("type")) or header["type"],
        customer=_text(data.get("customer")),
        app=_text(data.get("app")),
    )


def excerpt(value: bytes | None) -> str:
    """The beginning as text."""
    shown = (value or b"")[: 4 * EXCERPT_CHARACTERS].decode(errors="replace")
    return shown[:EXCERPT_CHARACTERS]


def moment(timestamp_ms: int | None) -> datetime | None:
    """The broker's or a forger's milliseconds as a time, where there is such a one."""
    if timestamp_ms is None or not 0 <= timestamp_ms <= _LAST_MS:
        return None
    return _EPOCH + timedelta(milliseconds=timestamp_ms)


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def _event(value: bytes | msgspec.Raw | None) -> Mapping[str, msgspec.Raw]:
    """The fields of a JSON object; none where it is something else."""
    try:
        return {} if value is None else _fields.decode(value)
    except _UNREADABLE:
        return {}


def _text(raw: msgspec.Raw | None) -> str | None:
    try:
        return None if raw is None else _string.decode(raw)[:_NAME_CHARACTERS] or None
    except _UNREADABLE:
        return None


def _name(text: bytes | None) -> str | None:
    return None if not text else text.decode(errors="replace")[:_NAME_CHARACTERS]
