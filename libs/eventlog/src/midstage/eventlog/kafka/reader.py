"""Reads from Kafka by ``assign``: no group, no commits, and an offset that is gone is an error.

What was taken before an error is returned first, the error is raised by the next ``poll``.
A gap is raised by every ``poll`` from then on: only a new reader elsewhere gets past it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import methodcaller
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Got

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.kafka.errors import FatalClientError, meant, of
from midstage.eventlog.log import BEGINNING, GapError, Headers, Partition, Record, Run

SETTINGS: Mapping[str, str | int | bool] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # never skip silently to another offset
    "enable.partition.eof": True,  # only so is a transaction's mark at the end known as read
    # a partition that joins waits for the others' long poll; each costs the broker a look at all
    "fetch.wait.max.ms": 250,
    "fetch.error.backoff.ms": 100,
    "fetch.queue.backoff.ms": 20,
    "fetch.max.bytes": 4 * 1024 * 1024,  # an answer stays in memory while a record of it waits
}
QUEUED_KB = 8 * 1024
_ASK_S = 2.0
UNREADABLE_HEADERS: Headers = (("ms-headers", b"unreadable"),)
"""In place of headers that are none; the record goes on, unsigned."""

# Over a name that is not UTF-8 the client returns a broken list and sets an error. Python sees the
# error in a call that is made so; ``message.headers()``, once hot, does not look, and crashes.
_ask_headers = methodcaller("headers")


class KafkaReader:
    """Implements ``log.Reader``; ``starts`` are resolved, ``oldest`` those that asked for it."""

    def __init__(
        self,
        settings: Mapping[str, object],
        *,
        starts: Mapping[Partition, int],
        ends: Mapping[Partition, int],
        oldest: frozenset[Partition],
        queued_kb: int = QUEUED_KB,
    ) -> None:
        """Assign the partitions; ``ends`` stand in until the broker tells newer ones.

        While more than ``queued_kb`` KiB wait no more is asked for; an answer comes on top of it.
        """
        self._positions = dict(starts)
        self._ends = dict(ends)
        self._known = {(place.topic, place.number): place for place in starts}
        self._gap: GapError | None = None
        self._failure: Exception | None = None
        self._away: str | None = None
        self._consumer = Consumer(
            {
                **settings,
                **SETTINGS,
                "queued.max.messages.kbytes": queued_kb,
                "error_cb": self._error,
            }
        )
        if oldest:
            self._meet_leaders()
        self._consumer.assign(
            [
                TopicPartition(p.topic, p.number, OFFSET_BEGINNING if p in oldest else offset)
                for p, offset in starts.items()
            ]
        )

    def poll(self, *, most: int, timeout_s: float) -> Sequence[Record]:
        """See ``log.Reader.poll``; GapError for an offset that is gone, and FatalClientError."""
        records = self._taken(self._got(most, timeout_s))
        self._answered(is_empty=not records)
        return records

    def runs(self, *, most: int, timeout_s: float) -> Sequence[Run]:
        """See ``log.Reader.runs``; errors as of ``poll``."""
        runs = self._run_together(self._got(most, timeout_s))
        self._answered(is_empty=not runs)
        return runs

    def positions(self) -> Mapping[Partition, int]:
        """See ``log.Reader.positions``."""
        return dict(self._positions)

    def lag(self) -> Mapping[Partition, int]:
        """See ``log.Reader.lag``; from the broker's answers to fetches, without asking it."""
        return {place: max(0, self._end(place) - at) for place, at in self._positions.items()}

    def close(self) -> None:
        """See ``log.Reader.close``."""
        self._consumer.close()

    def _got(self, most: int, timeout_s: float) -> Sequence[Got]:
        """What the client has by then, errors among it."""
        self._raise_failure()
        try:
            first = self._consumer.poll(timeout_s)
            if first is None:
                self._check_reachable()
                return ()
            rest = self._consumer.consume(most - 1, 0) if most > 1 else []
        except KafkaException as e:
            raise meant(of(e), "reading") from e
        return [first, *rest]

    def _answered(self, *, is_empty: bool) -> None:
        """What was taken comes first, then what went wrong."""
        if is_empty:
            self._raise_failure()
        else:
            self._away = None

    def _run_together(self, messages: Sequence[Got]) -> Sequence[Run]:
        """The hottest loop of all: four calls per message, and no object."""
        runs: list[Run] = []
        together: list[Got] = []
        at: Partition | None = None
        for message in messages:
            place = self._known.get((message.topic() or "", message.partition() or 0))
            error = message.error()
            if place is not at or error is not None:
                self._ended(runs, at, together)
                together, at = [], place
            if error is not None or place is None:
                self._note(message, error, place)
                continue
            together.append(message)
        self._ended(runs, at, together)
        return runs

    def _ended(self, runs: list[Run], place: Partition | None, messages: Sequence[Got]) -> None:
        if place is None or not messages:
            return
        values = [message.value() for message in messages]
        runs.append(Run(partition=place, values=values, whole=partial(_nth, messages, place)))
        self._positions[place] = (messages[-1].offset() or 0) + 1

    def _taken(self, messages: Sequence[Got]) -> list[Record]:
        """The records among ``messages``; the hot loop, so one call per message and no more."""
        records: list[Record] = []
        for message in messages:
            place = self._known.get((message.topic() or "", message.partition() or 0))
            error = message.error()
            if error is not None or place is None:
                self._note(message, error, place)
                continue
            record = _record(message, place)
            records.append(record)
            self._positions[place] = record.offset + 1
        return records

    def _note(self, message: Got, error: KafkaError | None, place: Partition | None) -> None:
        if error is None:
            return
        if error.code() == KafkaError._PARTITION_EOF:
            if place is not None:  # behind a transaction's mark, which is no record
                self._positions[place] = max(self._positions[place], message.offset() or 0)
            return
        lost = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
        if error.code() in lost and place is not None:
            self._gap = GapError(place, self._positions[place])
        elif self._failure is None:
            self._failure = meant(error, f"reading {place}")

    def _meet_leaders(self) -> None:
        """Asked for before its leader is known, an oldest offset is only found 0.5 s later."""
        with suppress(KafkaException):  # then it is found later
            self._consumer.list_topics(timeout=_ASK_S)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._gap is not None:
            raise self._gap

    def _check_reachable(self) -> None:
        """Ask the broker, but only after it was reported away: silence alone is no error."""
        self._raise_failure()
        if self._away is None:
            return
        try:
            self._consumer.list_topics(timeout=_ASK_S)
        except KafkaException as e:
            raise UnavailableError(f"Kafka can't be asked: {self._away}") from e
        self._away = None

    def _end(self, place: Partition) -> int:
        cached = self._consumer.get_watermark_offsets(
            TopicPartition(place.topic, place.number), cached=True
        )
        heard = cached[1] if cached is not None else -1
        return max(heard, self._ends.get(place, 0))

    def _error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._failure = FatalClientError(f"reading: {error.str()}")
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._away = error.str()


def _nth(messages: Sequence[Got], place: Partition, number: int) -> Record:
    return _record(messages[number], place)


def _record(message: Got, place: Partition) -> Record:
    return Record(
        partition=place,
        offset=message.offset() or 0,
        key=message.key(),
        value=message.value(),
        headers=_headers(message),
        timestamp_ms=message.timestamp()[1],
    )


def _headers(message: Got) -> Headers:
    try:
        headers: list[tuple[str, bytes | None]] = _ask_headers(message) or []
    except (SystemError, UnicodeError):  # a name in them is not UTF-8
        return UNREADABLE_HEADERS
    for _, value in headers:
        if value is None:
            return tuple([(n, v or b"") for n, v in headers])
    return tuple(cast("list[tuple[str, bytes]]", headers))  # to make them anew took long


def oldest(starts: Mapping[Partition, int]) -> frozenset[Partition]:
    """The partitions that are to be read from the oldest record still held."""
    return frozenset(place for place, offset in starts.items() if offset == BEGINNING)
