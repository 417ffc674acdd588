"""Facts leave through the ledger: written in a commit as bytes, sent in order, then said to be.

So after a crash the same bytes are sent again, never others under the same id. ``Telling`` is the
ledger as counting sees it: what tells facts hears each commit before the next one, so that a fact
and the mark of what it rests on are exact.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Protocol

from midstage.chassis.logs import logger
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.fact import Event, Fact
from midstage.eventlog.backoff import Backoff
from midstage.eventlog.codec import message
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Delivered, Delivery, Log, Message, Partition, Writer
from midstage.stats.model import Batch, Committed, Hashes, Outgoing, Source
from midstage.stats.stream.counting import Ledger

TICK_S = 0.25
MOST = 5_000
"""Of one round of sending."""
_FLUSH_S = 1.0
_LONGEST_ID = 256
_log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What leaves now, and how far everything has been told when it has left.

    ``marks`` are kept among the ledger's positions, as partitions of the topic that is written.
    """

    outgoing: tuple[Outgoing, ...] = ()
    marks: Mapping[Partition, int] = field(default_factory=dict)


NOTHING_DUE = Due()


class Teller(Protocol):
    """Makes facts of what the ledger holds; called by one thread at a time."""

    def absorb(self, batch: Batch, committed: Committed) -> None:
        """This has just become durable."""
        ...

    def due(self, now: datetime) -> Due:
        """What is to be written now; each is handed out once."""
        ...


class Telling:
    """Implements ``counting.Ledger``; commits and tellers' turns never overlap."""

    def __init__(
        self, ledger: Ledger, *, tellers: Sequence[Teller], now: Callable[[], datetime]
    ) -> None:
        """Commit to ``ledger``."""
        self._ledger = ledger
        self._tellers = tellers
        self._now = now
        self._turn = threading.Lock()
        self.waiting = threading.Event()
        self.waiting.set()  # what an earlier process left

    def positions(self) -> Mapping[Partition, int]:
        """See ``counting.Ledger``."""
        return self._ledger.positions()

    def sources(self, names: frozenset[str]) -> Mapping[str, Source]:
        """See ``counting.Ledger``."""
        return self._ledger.sources(names)

    def row(self) -> int:
        """See ``counting.Ledger``."""
        return self._ledger.row()

    def unnumbered(self, after_row: int) -> Hashes:
        """See ``counting.Ledger``."""
        return self._ledger.unnumbered(after_row)

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        """See ``counting.Ledger``; the tellers have heard of it afterwards."""
        with self._turn:
            committed = self._ledger.commit(batch, begins=begins, ends=ends)
            for teller in self._tellers:
                teller.absorb(batch, committed)
        if batch.outgoing:
            self.waiting.set()
        return committed

    def unsent(self, most: int) -> Sequence[tuple[int, Outgoing]]:
        """See ``counting.Ledger``."""
        return self._ledger.unsent(most)

    def sent(self, upto: int) -> None:
        """See ``counting.Ledger``."""
        self._ledger.sent(upto)

    def tell(self) -> int:
        """Put what is due into the outbox, in a commit of its own; how many messages."""
        with self._turn:
            now = self._now()
            dues = [teller.due(now) for teller in self._tellers]
            outgoing = tuple(each for due in dues for each in due.outgoing)
            if outgoing:
                marks = {place: at for due in dues for place, at in due.marks.items()}
                self._ledger.commit(Batch(outgoing=outgoing), begins={}, ends=marks)
        if outgoing:
            self.waiting.set()
        return len(outgoing)


class Facts:
    """A loop: each quarter of a second what is due goes into the outbox."""

    name = "facts"

    def __init__(self, telling: Telling) -> None:
        """Tell through ``telling``."""
        self._telling = telling

    def run(self, stop: threading.Event) -> None:
        """Tell until ``stop`` is set."""
        while not stop.wait(TICK_S):
            self._telling.tell()


class Sending:
    """A loop: what waits in the outbox goes into the log, in order, then is said to be sent."""

    name = "outbox"

    def __init__(self, *, ledger: Telling, log: Log, reached: Failpoint = nothing) -> None:
        """Connect nothing yet."""
        self._ledger = ledger
        self._log = log
        self._reached = reached

    def run(self, stop: threading.Event) -> None:
        """Send until ``stop`` is set."""
        writer = self._log.writer()
        backoff = Backoff()
        try:
            while not stop.is_set():
                if not self._ledger.waiting.wait(TICK_S):
                    continue
                self._ledger.waiting.clear()
                try:
                    while not stop.is_set() and self._round(writer, stop):
                        backoff.reset()
                except UnavailableError as e:
                    _log.warning("facts_wait", reason=str(e))
                    self._ledger.waiting.set()
                    backoff.wait(stop)
        finally:
            writer.close()

    def _round(self, writer: Writer, stop: threading.Event) -> bool:
        """Send some; whether more may wait. UnavailableError: all of them have to be sent again."""
        waiting = self._ledger.unsent(MOST)
        if not waiting:
            return False
        failed: list[Delivery] = []

        def done(delivery: Delivery) -> None:
            if not isinstance(delivery, Delivered):
                failed.append(delivery)

        for _, outgoing in waiting:
            _send(writer, outgoing, done)
        while writer.flush(_FLUSH_S):
            if stop.is_set():
                return False
        if failed:
            raise UnavailableError(f"{len(failed)} facts are not in the log yet")
        self._reached("outbox:delivered")
        self._ledger.sent(waiting[-1][0])
        self._reached("outbox:sent")
        return len(waiting) == MOST


def outgoing(event: Event[Fact], *, topic: str, key: str) -> Outgoing:
    """The event as it leaves."""
    made = message(event, topic=topic, key=key)
    return Outgoing(
        topic=topic, key=made.key or b"", value=made.value or b"", headers=tuple(made.headers)
    )


def event_id(of: str, *told: str) -> str:
    """An id of what is told of ``of``: of at most 256 characters however long the name is."""
    rest = "/".join(told)
    if len(of) + 1 + len(rest) <= _LONGEST_ID:
        return f"{of}/{rest}"
    return f"{blake2b(of.encode(), digest_size=16).hexdigest()}/{rest}"


def _send(writer: Writer, outgoing: Outgoing, done: Callable[[Delivery], None]) -> None:
    """A message that no broker takes would keep all others back: it is named in the log."""
    try:
        writer.send(
            Message(
                topic=outgoing.topic,
                key=outgoing.key,
                value=outgoing.value,
                headers=outgoing.headers,
            ),
            done,
        )
    except RefusedError as e:
        _log.error("fact_refused", topic=outgoing.topic, reason=str(e))
