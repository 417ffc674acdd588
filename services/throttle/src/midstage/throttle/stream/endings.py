"""Requests that are over, as the edges tell them: from the log to the loop that settles them.

All partitions are read, without a group, from what is written since the start: what was reserved
before is not known any more. A fact, or a batch of them, that names an edge is believed with that
edge's signature alone, as in the ledger. One told twice is settled once; the gate sees to it.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from midstage.contracts.edges import SOURCE_PREFIX
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.requests import RequestCompleted
from midstage.contracts.topics import REQUESTS, Topic
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoder, header
from midstage.eventlog.current import Current
from midstage.eventlog.log import Log, Record
from midstage.eventlog.signed import is_signed
from midstage.throttle.decide.settling import ended
from midstage.throttle.model.checks import Ended

MOST_WAITING: Final = 100_000
"""As many are settled in seconds; of more, the oldest are left to the end of their time."""
MOST_AT_ONCE: Final = 2_000
"""No check waits for more of them to be settled; a batch may hold far more."""


class Endings:
    """``loop`` reads them in a thread; calling it takes those that came since."""

    def __init__(
        self,
        *,
        log: Log,
        keys: Callable[[], Mapping[str, bytes]],
        topic: Topic = REQUESTS,
    ) -> None:
        """Read nothing yet; ``keys`` gives the edges' keys as they are now."""
        self.loop = Current(
            name="endings",
            log=log,
            stream=topic,
            read=Genuine(topic=topic, keys=keys),
            apply=self._apply,
        )
        self._waiting: deque[Ended] = deque(maxlen=MOST_WAITING)

    def earlier(self, ended: Ended) -> None:
        """One that stood in the log before, to be given with the others."""
        self._waiting.append(ended)

    def __call__(self) -> Iterator[Ended]:
        """Each once, in the order in which they were read; some of them, if there are many."""
        for _ in range(min(MOST_AT_ONCE, len(self._waiting))):
            yield self._waiting.popleft()

    def _apply(self, event: Event[Fact], _: Record) -> None:
        told = told_by(event)
        if told is not None:
            self._waiting.append(told)


def told_by(event: Event[Fact]) -> Ended | None:
    """The end that it tells of; None where it tells of none."""
    if not isinstance(event.data, RequestCompleted):
        return None
    return ended(event.id, event.data, names_replicas=event.source.startswith(SOURCE_PREFIX))


class Genuine:
    """The events of a record that is the edge's that it names; else none.

    One that names none has nothing to prove.
    """

    def __init__(self, *, topic: Topic, keys: Callable[[], Mapping[str, bytes]]) -> None:
        """``keys`` gives the edges' keys as they are now."""
        self._decode = Decoder(topic)
        self._keys = keys

    def __call__(self, record: Record) -> Sequence[Event[Fact]]:
        """UnreadableError where it can't be read."""
        if record.value is None:
            return ()
        is_structured = header(record, CONTENT_TYPE) == STRUCTURED
        if not is_structured:
            from midstage.eventlog import arrow  # noqa: PLC0415  40 MiB that few need

            if arrow.is_batch(record):
                columns = arrow.decode(record)
                nameless = not (columns.numbered or columns.source.startswith(SOURCE_PREFIX))
                if nameless or self._is_signed(record, columns.source):
                    return tuple(arrow.events(columns))
                return ()
        event = self._decode(record)
        if event.seq is None and not event.source.startswith(SOURCE_PREFIX):
            return (event,)
        if not is_structured:  # a signature covers source and body alone
            return ()
        return (event,) if self._is_signed(record, event.source) else ()

    def _is_signed(self, record: Record, source: str) -> bool:
        try:
            return is_signed(record, source=source, keys=self._keys())
        except UnreadableError:
            return False
