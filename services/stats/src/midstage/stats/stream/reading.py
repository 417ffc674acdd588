"""Records as arrivals: decoded, checked to be genuine, believed from here on.

Whatever names an edge as its source must carry that edge's signature, or a forged number would
make the true row vanish. Everything that can't be counted exactly is unreadable, here and nowhere
later, so that no record can stop the consumer. The rows of a chunk come out as columns.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from midstage.contracts.edges import SOURCE_PREFIX, SourceBeat, SourceClosed, edge_of
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.metered import Metered
from midstage.contracts.requests import BILLED, Outcome, RequestCompleted
from midstage.contracts.topics import Topic
from midstage.contracts.units import micros
from midstage.eventlog import arrow
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoder, header
from midstage.eventlog.log import Record
from midstage.eventlog.signed import is_signed
from midstage.stats.model import NO_ROWS, Arrivals, Beat, Beaten, Closing, Ended, Rows
from midstage.stats.stream.batches import rows_in
from midstage.stats.stream.lines import LARGEST_BYTES, LARGEST_MS, Line, rows_of
from midstage.stats.stream.signed import Signed

AHEAD = timedelta(hours=24)
"""An event from further in the future is a broken clock: it would be billed in a wrong period."""
AT_ONCE = 8_192
"""Events that are objects at the same time; as columns they take a fifth of the room."""
HEAVIEST = 20_000
"""Events of Arrow batches that are read at once."""
GATHERED = 80_000
"""Of one transaction while many wait: more has fewer sums an event, and takes more room."""
_TIMES = ("duration_ms", "queue_ms", "ttft_ms")
_BYTES = ("bytes_in", "bytes_out")
STRUCTURED_HEADERS = ((CONTENT_TYPE, STRUCTURED),)


class Reading:
    """Turns records of either topic into what they say; the unreadable ones are put aside."""

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
        self._requests = requests.name
        self._keys = keys
        self._now = now
        self._billed = billed
        self._signed = Signed(topic=requests.name, billed=billed)

    def __call__(self, records: Sequence[Record], put: Callable[[Record, str], None]) -> Arrivals:
        """What the records say together: first what is plain, then the rest in its order."""
        parts, left = self._signed(records, keys=self._keys(), latest=self._now() + AHEAD)
        lines: list[Line] = []
        said: list[Beaten | Ended] = []
        for record in left:
            try:
                found = self._read(record)
            except UnreadableError as e:
                put(record, str(e))
                continue
            match found:
                case Line():
                    lines.append(found)
                case Rows():
                    parts += [rows_of(lines, billed=self._billed), found]
                    lines = []
                case _:
                    said.append(found)
        parts.append(rows_of(lines, billed=self._billed))
        rows = Rows.joined([part for part in parts if len(part)] or [NO_ROWS])
        return Arrivals(rows=rows, said=tuple(said))

    def _read(self, record: Record) -> Line | Rows | Beaten | Ended:
        if record.headers[:1] != STRUCTURED_HEADERS and arrow.is_batch(record):
            return self._batch(record)
        event = self._decoders[record.partition.topic](record)
        if event.seq is not None or event.source.startswith(SOURCE_PREFIX):
            self._structured(record, event)
        if event.time - self._now() > AHEAD:
            raise UnreadableError(f"time {event.time.isoformat()} is more than 24 h ahead")
        return arrival(event)

    def _batch(self, record: Record) -> Rows:
        if record.partition.topic != self._requests:
            raise UnreadableError("a batch is of requests or metered work, which belong elsewhere")
        return rows_in(
            record,
            genuine=lambda source: self._genuine(record, source),
            latest=self._now() + AHEAD,
            billed=self._billed,
        )

    def _structured(self, record: Record, event: Event[Fact]) -> None:
        """The signature covers source and body; so the number must stand in the body too."""
        edge_of(event.source)
        if header(record, CONTENT_TYPE) != STRUCTURED:
            raise UnreadableError("an edge's event must be in structured mode, or nothing signs it")
        self._genuine(record, event.source)

    def _genuine(self, record: Record, source: str) -> None:
        if not is_signed(record, source=source, keys=self._keys()):
            raise UnreadableError(f"the signature is not that of edge {edge_of(source)!r}")


def arrivals(events: Sequence[Event[Fact]], *, billed: frozenset[Outcome] = BILLED) -> Arrivals:
    """What the events mean to the ledger; UnreadableError where one can't be counted exactly."""
    found = [arrival(event) for event in events]
    return Arrivals(
        rows=rows_of([each for each in found if isinstance(each, Line)], billed=billed),
        said=tuple(each for each in found if not isinstance(each, Line)),
    )


def arrival(event: Event[Fact]) -> Line | Beaten | Ended:
    """What one event means to the ledger; UnreadableError where it can't be counted exactly."""
    fact = event.data
    match fact:
        case RequestCompleted() | Metered():
            return _line(event, fact)
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


def _line(event: Event[Fact], fact: RequestCompleted | Metered) -> Line:
    if isinstance(fact, RequestCompleted):
        if max(fact.duration_ms, fact.queue_ms or 0, fact.ttft_ms or 0) > LARGEST_MS:
            why = f"more than {LARGEST_MS:.0f} ms are a broken clock"
            raise UnreadableError(f"{why} - at `$.{_largest(fact, _TIMES)}`")
        if max(fact.bytes_in, fact.bytes_out) > LARGEST_BYTES:
            why = f"more than {LARGEST_BYTES} bytes are a broken counter"
            raise UnreadableError(f"{why} - at `$.{_largest(fact, _BYTES)}`")
        usage = fact.usage
    else:
        usage = fact.units
    return Line(
        source=event.source,
        id=event.id,
        seq=event.seq or 0,
        time=event.time,
        fact=fact,
        units={name: micros(value) for name, value in usage.items()},
    )


def _largest(fact: RequestCompleted, names: Sequence[str]) -> str:
    return max(names, key=lambda name: getattr(fact, name) or 0)


def _own(event: Event[Fact], edge: str) -> str:
    if edge != edge_of(event.source):
        raise UnreadableError(f"edge {edge!r} speaks for source {event.source[:100]!r}")
    return edge
