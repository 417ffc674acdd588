"""Records of the log as requests: decoded, checked to be genuine, believed from here on.

Whatever names an edge as its source must carry that edge's signature, or a forged number would
keep the true row out. What stats would not count is unreadable here too, so both keep the same.
A batch is many requests or none; metered work is none: it is billed, and no request to keep.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from midstage.contracts.edges import SOURCE_PREFIX, edge_of
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.metered import Metered
from midstage.contracts.requests import RequestCompleted
from midstage.contracts.topics import Topic
from midstage.contracts.units import micros
from midstage.data.model import Arrived
from midstage.eventlog import arrow
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoder, header
from midstage.eventlog.log import Record
from midstage.eventlog.signed import is_signed

AHEAD = timedelta(hours=24)
"""An event from further in the future is a broken clock: its hour would stay open for long."""
LARGEST_MS = 1e10
LARGEST_BYTES = 2**62


class Reading:
    """Turns a record of the log into the requests it tells; UnreadableError for dead letters."""

    def __init__(
        self,
        *,
        requests: Topic,
        keys: Callable[[], Mapping[str, bytes]],
        now: Callable[[], datetime],
    ) -> None:
        """``keys`` gives the edges' keys as they are now."""
        self._decode = Decoder(requests)
        self._keys = keys
        self._now = now

    def __call__(self, record: Record) -> Sequence[Arrived]:
        """The requests that the record tells, in their order."""
        return self._batch(record) if arrow.is_batch(record) else self._event(record)

    def _event(self, record: Record) -> Sequence[Arrived]:
        event = self._decode(record)
        if event.seq is not None or event.source.startswith(SOURCE_PREFIX):
            edge_of(event.source)
            if header(record, CONTENT_TYPE) != STRUCTURED:  # it covers source and body alone
                raise UnreadableError(
                    "an edge's event must be in structured mode, or nothing signs it"
                )
            self._genuine(record, event.source)
        if event.time > self._latest():
            raise UnreadableError(f"time {event.time.isoformat()} is more than 24 h ahead")
        return _arrived(record, event)

    def _batch(self, record: Record) -> Sequence[Arrived]:
        columns = arrow.decode(record)
        if columns.numbered or columns.source.startswith(SOURCE_PREFIX):
            self._genuine(record, columns.source)
        latest = self._latest()
        found: list[Arrived] = []
        for index, event in enumerate(arrow.events(columns)):
            if event.time > latest:
                raise UnreadableError(f"event {index}: time is more than 24 h ahead")
            found.extend(_arrived(record, event))
        return found

    def _latest(self) -> datetime:
        return self._now() + AHEAD

    def _genuine(self, record: Record, source: str) -> None:
        if not is_signed(record, source=source, keys=self._keys()):
            raise UnreadableError(f"the signature is not that of edge {edge_of(source)!r}")


def _arrived(record: Record, event: Event[Fact]) -> Sequence[Arrived]:
    fact = event.data
    match fact:
        case RequestCompleted():
            return (_kept(record, event, fact),)
        case Metered(units=units):
            for amount in units.values():
                micros(amount)  # what stats would not count is a dead letter here too
            return ()
        case _:
            raise UnreadableError(f"type {event.type[:100]!r} is not one that data keeps")


def _kept(record: Record, event: Event[Fact], fact: RequestCompleted) -> Arrived:
    if max(fact.duration_ms, fact.queue_ms or 0, fact.ttft_ms or 0) > LARGEST_MS:
        raise UnreadableError(f"a request of more than {LARGEST_MS:.0f} ms is a broken clock")
    if max(fact.bytes_in, fact.bytes_out) > LARGEST_BYTES:
        raise UnreadableError(f"more than {LARGEST_BYTES} bytes are a broken counter")
    return Arrived(
        source=event.source,
        id=event.id,
        seq=event.seq,
        time=event.time,
        fact=fact,
        micros={name: micros(value) for name, value in fact.usage.items()},
        partition=record.partition.number,
        offset=record.offset,
    )
