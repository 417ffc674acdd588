"""Requests that are over, as the edges tell them: from the log to the loop that settles them.

All partitions are read, without a group, from what is written since the start: what was reserved
before is not known any more. A fact that names an edge is believed with that edge's signature
alone, as in the ledger. One told twice is settled once; the gate sees to it.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from midstage.contracts.edges import SOURCE_PREFIX
from midstage.contracts.errors import UnreadableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.requests import RequestCompleted
from midstage.contracts.topics import REQUESTS, Topic
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoders, header
from midstage.eventlog.current import Current
from midstage.eventlog.log import Log, Record
from midstage.eventlog.signed import is_signed
from midstage.throttle.decide.settling import ended
from midstage.throttle.model.checks import Ended

MOST_WAITING: Final = 100_000
"""As many are settled in seconds; of more, the oldest are left to the end of their time."""


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
            name="endings", log=log, stream=topic, read=Decoders(topic), apply=self._apply
        )
        self._keys = keys
        self._waiting: deque[Ended] = deque(maxlen=MOST_WAITING)

    def __call__(self) -> Iterator[Ended]:
        """Each once, in the order in which they were read."""
        for _ in range(len(self._waiting)):
            yield self._waiting.popleft()

    def _apply(self, event: Event[Fact], record: Record) -> None:
        if isinstance(event.data, RequestCompleted) and self._genuine(event, record):
            self._waiting.append(ended(event.id, event.data))

    def _genuine(self, event: Event[Fact], record: Record) -> bool:
        """Whether it is the edge's that it names; one that names none has nothing to prove."""
        if event.seq is None and not event.source.startswith(SOURCE_PREFIX):
            return True
        if header(record, CONTENT_TYPE) != STRUCTURED:  # a signature covers source and body alone
            return False
        try:
            return is_signed(record, source=event.source, keys=self._keys())
        except UnreadableError:
            return False
