"""Looks at dead letters in the log, whoever refused them; nothing is moved, written or remembered.

One look is bounded in records, time and memory, and only a few people look at once: counting and
usage are not to wait for them.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.topics import TOPICS, Topic
from midstage.eventlog.codec import CONTENT_TYPE
from midstage.eventlog.dead_letters import Letter, opened
from midstage.eventlog.log import Headers, Log, Partition, Record
from midstage.eventlog.newest import Bounds, newest
from midstage.stats.views.dead_letters import (
    Asked,
    DeadLetter,
    DeadLetters,
    Held,
    Place,
    WholeDeadLetter,
    cursor,
    excerpt,
    moment,
    said_in,
)

REFUSED = tuple(topic for topic in TOPICS if topic.refusers)
"""All topics of the platform that have dead letters."""
AT_ONCE = 2
"""Looks at the same time: each may hold some 30 MB of letters that were read ahead."""
_REASON_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A topic of dead letters: of which topic, and who could not read what is in it."""

    topic: str
    refuser: str


class Looking:
    """Where dead letters are asked for; safe to share by threads."""

    def __init__(
        self,
        *,
        log: Log,
        topics: Sequence[Topic],
        bounds: Bounds | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look into the dead letters of these topics; connect nothing yet."""
        self._log = log
        self._bounds = bounds or Bounds()
        self._monotonic = monotonic
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._refused: Mapping[str, Refused] = {
            topic.dead_letters(refuser): Refused(topic=topic.name, refuser=refuser)
            for topic in topics
            for refuser in topic.refusers
        }

    def found(self, asked: Asked) -> DeadLetters:
        """The newest of those asked for; UnavailableError when the broker is away."""
        names = self._names(asked)
        with self._turn():
            places = [place for name in names for place in self._log.partitions(name)]
            floors, tops = self._span(places, asked)
            below = tops if asked.below is None else _below(asked.below, tops)
            found = newest(
                self._log,
                {place: (floors[place], top) for place, top in below.items()},
                keep=lambda record: self._kept(record, asked),
                most=asked.limit,
                bounds=self._bounds,
                monotonic=self._monotonic,
            )
        return DeadLetters(
            dead_letters=tuple(found.items),
            held=tuple(self._held(name, floors, tops) for name in names),
            looked_at=found.looked_at,
            next=cursor(_place(place, at) for place, at in found.below.items()),
        )

    def one(self, place: Place) -> WholeDeadLetter:
        """The dead letter at its place, whole; RefusedError (404) where none stands there."""
        nothing = RefusedError(f"there is no dead letter {place}", status=404)
        if place.topic not in self._refused:
            raise nothing
        with self._turn():
            partition = Partition(topic=place.topic, number=place.partition)
            if partition not in self._log.partitions(place.topic):
                raise nothing
            held = self._log.beginnings([partition])[partition]
            if not held <= place.offset < self._log.ends([partition])[partition]:
                raise nothing
            found = newest(
                self._log,
                {partition: (place.offset, place.offset + 1)},
                keep=lambda record: record,
                most=1,
                bounds=self._bounds,
                monotonic=self._monotonic,
            )
        for record in found.items:
            letter = opened(record)
            return WholeDeadLetter(
                dead_letter=self._shown(record, letter),
                key=record.key,
                headers=tuple(
                    (name, text.decode(errors="replace")) for name, text in letter.headers
                ),
                content=letter.value,
            )
        raise nothing

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise UnavailableError(f"{AT_ONCE} others look at dead letters just now; ask again")
        try:
            yield
        finally:
            self._free.release()

    def _names(self, asked: Asked) -> list[str]:
        """The topics of dead letters that may hold what is asked for."""
        for name, given, known in (
            ("topic", asked.topic, {one.topic for one in self._refused.values()}),
            ("refuser", asked.refuser, {one.refuser for one in self._refused.values()}),
            *(("before", one.topic, set(self._refused)) for one in asked.below or ()),
        ):
            if given is not None and given not in known:
                there = ", ".join(sorted(known))
                raise RefusedError(
                    f"{name}: {given!r} has no dead letters; there are {there}", status=400
                )
        return sorted(
            name
            for name, one in self._refused.items()
            if asked.topic in (None, one.topic) and asked.refuser in (None, one.refuser)
        )

    def _span(
        self, places: Sequence[Partition], asked: Asked
    ) -> tuple[Mapping[Partition, int], Mapping[Partition, int]]:
        if asked.since is None:
            floors = self._log.beginnings(places)
        else:
            floors = self._log.offsets_at(places, asked.since)
        return floors, self._log.ends(places)

    def _held(
        self, name: str, floors: Mapping[Partition, int], tops: Mapping[Partition, int]
    ) -> Held:
        one = self._refused[name]
        return Held(
            topic=one.topic,
            refuser=one.refuser,
            dead_letters=sum(
                max(0, top - floors[place]) for place, top in tops.items() if place.topic == name
            ),
        )

    def _kept(self, record: Record, asked: Asked) -> DeadLetter | None:
        shown = self._shown(record, opened(record))
        return shown if shown.is_meant(asked) else None

    def _shown(self, record: Record, letter: Letter) -> DeadLetter:
        refused = self._refused[record.partition.topic]
        attributes = _by_name(letter.headers)
        said = said_in(letter.value, attributes=attributes, key=record.key)
        content = attributes.get(CONTENT_TYPE)
        stood = letter.partition is not None and letter.offset is not None
        return DeadLetter(
            id=str(_place(record.partition, record.offset)),
            at=moment(record.timestamp_ms),
            topic=refused.topic,
            refuser=refused.refuser,
            reason=letter.reason[:_REASON_CHARACTERS],
            source=letter.source or said.source,
            seq=letter.seq,
            event_id=said.event_id,
            type=said.type,
            customer=said.customer,
            app=said.app,
            record=f"{refused.topic}/{letter.partition}/{letter.offset}" if stood else None,
            written=moment(letter.timestamp_ms),
            content_type=None if content is None else content[:100].decode(errors="replace"),
            bytes=len(letter.value or b"") if letter.cut is None else letter.cut,
            cut=letter.cut is not None,
            excerpt=excerpt(letter.value),
        )


def _place(partition: Partition, offset: int) -> Place:
    return Place(topic=partition.topic, partition=partition.number, offset=offset)


def _below(below: Sequence[Place], tops: Mapping[Partition, int]) -> dict[Partition, int]:
    """Where to go on; nothing is left of a partition that is not named."""
    named = {Partition(topic=one.topic, number=one.partition): one.offset for one in below}
    return {place: min(at, tops[place]) for place, at in named.items() if place in tops}


def _by_name(headers: Headers) -> Mapping[str, bytes]:
    return {name.lower(): text for name, text in reversed(headers)}
