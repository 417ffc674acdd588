"""Records of the log as requests: decoded, checked to be genuine, believed from here on.

Whatever names an edge as its source must carry that edge's signature, or a forged number would
keep the true row out. What stats would not count is unreadable here too, so both keep the same.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from midstage.contracts import signature
from midstage.contracts.edges import SOURCE_PREFIX, edge_of
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.requests import RequestCompleted
from midstage.contracts.topics import Topic
from midstage.contracts.units import micros
from midstage.data.model import Arrived
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoder, header
from midstage.eventlog.log import Record

AHEAD = timedelta(hours=24)
"""An event from further in the future is a broken clock: its hour would stay open for long."""
LARGEST_MS = 1e10
LARGEST_BYTES = 2**62


class Reading:
    """Turns a record of the log into the request it tells; UnreadableError for dead letters."""

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

    def __call__(self, record: Record) -> Arrived:
        """The request that the record tells."""
        event = self._decode(record)
        if event.seq is not None or event.source.startswith(SOURCE_PREFIX):
            self._genuine(record, event)
        if event.time - self._now() > AHEAD:
            raise UnreadableError(f"time {event.time.isoformat()} is more than 24 h ahead")
        match event.data:
            case RequestCompleted() as fact:
                return _arrived(record, event, fact)
            case _:
                raise UnreadableError(f"type {event.type[:100]!r} is not one that data keeps")

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


def _arrived(record: Record, event: Event[Fact], fact: RequestCompleted) -> Arrived:
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
