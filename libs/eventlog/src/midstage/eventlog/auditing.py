"""What was asked leaves for the audit, in its order, a moment after it was answered.

An answer never waits for the log: facts stand in a queue that this loop sends. What the queue has
no room for, what was not delivered when the loop ends, and what comes later, is told as lost, once.
"""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from midstage.contracts.audit import QUERIED, Queried
from midstage.contracts.fact import Event
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import message
from midstage.eventlog.log import Delivered, Delivery, Log, Writer

MOST_WAITING = 10_000
_TICK_S = 0.25
_FLUSH_S = 5.0


class Auditing:
    """A loop that writes facts; they come in from the threads of the API."""

    name = "auditing"

    def __init__(
        self,
        *,
        log: Log,
        topic: Topic,
        source: str,
        new_id: Callable[[], str],
        lost: Callable[[int, str], None],
    ) -> None:
        """Write as ``source``; ``lost`` hears how many facts are not in the log, and why."""
        self._log = log
        self._topic = topic
        self._source = source
        self._new_id = new_id
        self._lost = lost
        self._waiting: queue.Queue[Queried] = queue.Queue(MOST_WAITING)
        self._ending = threading.Lock()  # or a fact could come in behind the last look
        self._is_over = False

    def note(self, fact: Queried) -> None:
        """Have it written soon; never waits."""
        reason = self._unheard(fact)
        if reason is not None:
            self._lost(1, reason)

    def run(self, stop: threading.Event) -> None:
        """Write what comes in until ``stop`` is set, then what is left."""
        writer = self._log.writer()
        try:
            while not stop.is_set():
                with suppress(queue.Empty):
                    self._send(writer, self._waiting.get(timeout=_TICK_S))
            self._end()
            while not self._waiting.empty():
                self._send(writer, self._waiting.get_nowait())
        finally:
            self._end()
            left = self._waiting.qsize() + writer.flush(_FLUSH_S)
            if left:
                self._lost(left, "not delivered when the process ended")
            writer.close()

    def _unheard(self, fact: Queried) -> str | None:
        """Why it is not in the queue; None where it is."""
        with self._ending:
            if self._is_over:
                return "it came after the end"
            try:
                self._waiting.put_nowait(fact)
            except queue.Full:
                return "the queue is full"
        return None

    def _end(self) -> None:
        with self._ending:
            self._is_over = True

    def _send(self, writer: Writer, fact: Queried) -> None:
        event = Event(
            id=self._new_id(),
            source=self._source,
            type=QUERIED,
            time=fact.at,
            subject=fact.actor,
            data=fact,
        )
        writer.send(message(event, topic=self._topic.name, key=fact.actor), self._delivered)

    def _delivered(self, delivery: Delivery) -> None:
        if not isinstance(delivery, Delivered):
            self._lost(1, delivery.reason)
