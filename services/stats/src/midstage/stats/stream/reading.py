"""Records as arrivals: decoded, checked to be genuine, believed from here on.

Whatever names an edge as its source must carry that edge's signature, or a forged number would
make the true row vanish. Everything that can't be counted exactly is unreadable, here and nowhere
later, so that no record can stop the consumer.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from midstage.contracts import signature
from midstage.contracts.edges import SOURCE_PREFIX, SourceBeat, SourceClosed, edge_of
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.requests import BILLED, Outcome, RequestCompleted, billable
from midstage.contracts.topics import Topic
from midstage.contracts.units import NO_UNITS, micros
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoder, header
from midstage.eventlog.log import Record
from midstage.stats.model import Arrival, Beat, Beaten, Closing, Counted, Ended

AHEAD = timedelta(hours=24)
"""An event from further in the future is a broken clock: it would be billed in a wrong period."""
LARGEST_MS = 1e10
LARGEST_BYTES = 2**62


class Reading:
    """Turns a record of either topic into what it says; UnreadableError for the dead letters."""

    def __init__(
        self,
        *,
        requests: Topic,
        edges: Topic,
        keys: Callable[[], Mapping[str, bytes]],
        now: Callable[[], datetime],
        billed: frozenset[Outcome] = BILLED,
    ) -> None:
        """``keys`` gives the edges' keys as they are now."""
        self._decoders = {topic.name: Decoder(topic) for topic in (requests, edges)}
        self._keys = keys
        self._now = now
        self._billed = billed

    def __call__(self, record: Record) -> Arrival:
        """What the record says."""
        event = self._decoders[record.partition.topic](record)
        if event.seq is not None or event.source.startswith(SOURCE_PREFIX):
            self._genuine(record, event)
        if event.time - self._now() > AHEAD:
            raise UnreadableError(f"time {event.time.isoformat()} is more than 24 h ahead")
        return arrival(event, billed=self._billed)

    def _genuine(self, record: Record, event: Event[Fact]) -> None:
        """The signature covers source and body; so the number must stand in the body too."""
        edge = edge_of(event.source)
        if header(record, CONTENT_TYPE) != STRUCTURED:
            raise UnreadableError("an edge's event must be in structured mode, or nothing signs it")
        if not signature.genuine(
            keys=self._keys(),
            edge=edge,
            source=event.source,
            value=record.value or b"",
            signature=header(record, signature.HEADER),
        ):
            raise UnreadableError(f"the signature is not that of edge {edge!r}")


def arrival(event: Event[Fact], *, billed: frozenset[Outcome] = BILLED) -> Arrival:
    """What the event means to the ledger; UnreadableError where it can't be counted exactly."""
    fact = event.data
    match fact:
        case RequestCompleted():
            return _counted(event, fact, billed)
        case SourceBeat():
            return Beaten(
                source=event.source,
                edge=_own(event, fact.edge),
                beat=Beat(
                    at=event.time,
                    highest=fact.highest,
                    complete_until=fact.complete_until,
                    newest=fact.newest,
                    gauges=fact.gauges,
                ),
            )
        case SourceClosed():
            return Ended(
                source=event.source,
                edge=_own(event, fact.edge),
                closing=Closing(at=event.time, highest=fact.highest, torn=fact.torn),
            )
        case _:
            raise UnreadableError(f"type {event.type[:100]!r} is not one that stats counts")


def _counted(event: Event[Fact], fact: RequestCompleted, billed: frozenset[Outcome]) -> Counted:
    if max(fact.duration_ms, fact.queue_ms or 0, fact.ttft_ms or 0) > LARGEST_MS:
        raise UnreadableError(f"a request of more than {LARGEST_MS:.0f} ms is a broken clock")
    if max(fact.bytes_in, fact.bytes_out) > LARGEST_BYTES:
        raise UnreadableError(f"more than {LARGEST_BYTES} bytes are a broken counter")
    units = {name: micros(value) for name, value in fact.usage.items()}
    return Counted(
        source=event.source,
        id=event.id,
        seq=event.seq,
        time=event.time,
        fact=fact,
        units=units,
        billed=units if billable(fact, billed) else NO_UNITS,
    )


def _own(event: Event[Fact], edge: str) -> str:
    if edge != edge_of(event.source):
        raise UnreadableError(f"edge {edge!r} speaks for source {event.source[:100]!r}")
    return edge
