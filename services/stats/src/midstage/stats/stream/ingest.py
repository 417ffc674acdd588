"""What is posted goes into the log; it is acknowledged when all in-sync replicas have it.

Nothing is kept here: no id is remembered, so a second attempt after a lost first one is written.
What was written without an answer is harmless: the ledger counts each ``(source, id)`` once. One
writer is shared; what it holds is bounded, so it never makes a caller wait beyond the deadline.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import structs

from midstage.contracts.errors import MidstageError, UnavailableError
from midstage.contracts.fact import Event, Fact
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Delivered, Delivery, Log, Message, Writer
from midstage.stats.stream.incoming.checking import Checking
from midstage.stats.stream.incoming.documents import FaultError, split
from midstage.stats.views.ingest import (
    NotTakenError,
    Posted,
    Receipt,
    State,
    Told,
    receipt,
)

MOST_HELD = 40_000
MOST_HELD_BYTES = 32 * 1024 * 1024
"""Below what the client queues before it blocks."""

_LOOK_S = 0.25
_FLUSH_S = 2.0
_NAMED = 20
_UNSURE = "whether it was in the ledger already is not known: the shard that counts it is away"


class Held(Protocol):
    """What the ledger holds."""

    def __call__(self, events: Sequence[Event[Fact]]) -> Sequence[bool | None]:
        """Of each event whether it is there; None where that is not known."""
        ...


class Ingest:
    """Takes bodies from any number of threads; a loop that watches its writer and flushes it."""

    name = "ingest"

    def __init__(
        self,
        *,
        log: Log,
        check: Checking,
        held: Held,
        counted: Callable[[State, int], None],
        within_s: float,
        reached: Failpoint = nothing,
    ) -> None:
        """Connect nothing before the first event; ``counted`` hears how many became what."""
        self._log = log
        self._check = check
        self._held = held
        self._counted = counted
        self._within_s = within_s
        self._reached = reached
        self._lock = threading.Lock()
        self._writer: Writer | None = None
        self._closed = False
        self._messages = self._bytes = 0

    def take(self, posted: Posted, *, each: bool) -> Receipt:
        """What became of the body, once Kafka has acknowledged what was taken of it.

        Without ``each`` it is taken as a whole or NotTakenError; with it what is refused is told
        and the others are taken. UnavailableError: not acknowledged, send all of it again.
        """
        told, taken = self._read(posted)
        refused = tuple(one for one in told if one.state is State.REFUSED)
        if refused and not each:
            self._counted(State.REFUSED, len(refused))
            raise NotTakenError(refused[:_NAMED])
        if each:
            known = self._held([event for event, _ in taken.values()])
            marked = dict(zip(taken, known, strict=True))
            told = [_marked(one, held=marked.get(one.index, False)) for one in told]
        self.append([message for _, message in taken.values()])
        found = receipt(tuple(told))
        for state, count in (
            (State.ACCEPTED, found.accepted),
            (State.KNOWN, found.known),
            (State.REFUSED, found.refused),
        ):
            self._counted(state, count)
        return found

    def append(self, messages: Sequence[Message]) -> None:
        """Return when the log has them all; UnavailableError where it does not say so in time."""
        if not messages:
            return
        size = sum(len(message.value or b"") for message in messages)
        waiting = _Waiting(len(messages))
        writer = self._room_for(len(messages), size)
        for at, message in enumerate(messages):
            try:
                writer.send(message, self._told(waiting, len(message.value or b"")))
            except MidstageError:
                self._let_go(messages[at:])
                raise
        self._reached("ingest:sent")
        if not waiting.done.wait(self._within_s) or waiting.failed:
            why = waiting.failed or f"no answer within {self._within_s:g} s"
            raise UnavailableError(
                f"not acknowledged: {why}; send all of it again, with the same ids"
            )
        self._reached("ingest:acknowledged")

    def run(self, stop: threading.Event) -> None:
        """Watch the writer until ``stop`` is set: what breaks it for good is raised here."""
        while not stop.wait(_LOOK_S):
            if self._writer is not None:
                self._writer.flush(0)
        with self._lock:
            writer, self._closed = self._writer, True
        if writer is not None:
            writer.flush(_FLUSH_S)
            writer.close()

    def _read(self, posted: Posted) -> tuple[list[Told], dict[int, tuple[Event[Fact], Message]]]:
        try:
            parts = split(posted.content, posted.mode)
        except FaultError as fault:
            raise NotTakenError((_refused(fault.index, fault),), status=fault.status) from fault
        told: list[Told] = []
        taken: dict[int, tuple[Event[Fact], Message]] = {}
        for index, content in enumerate(parts):
            try:
                taken[index] = self._check(content, posted)
            except FaultError as fault:
                told.append(_refused(index, fault))
            else:
                told.append(Told(index=index, state=State.ACCEPTED, id=taken[index][0].id))
        return told, taken

    def _room_for(self, count: int, size: int) -> Writer:
        with self._lock:
            if self._messages and (
                self._messages + count > MOST_HELD or self._bytes + size > MOST_HELD_BYTES
            ):
                raise UnavailableError("too much waits for Kafka; send it again in a moment")
            if self._closed:
                raise UnavailableError("this process is stopping; send it again, to its successor")
            if self._writer is None:
                self._writer = self._log.writer()
            self._messages += count
            self._bytes += size
            return self._writer

    def _told(self, waiting: "_Waiting", size: int) -> Callable[[Delivery], None]:
        def done(delivery: Delivery) -> None:
            self._let_go_of(1, size)
            waiting.note(delivery)

        return done

    def _let_go(self, messages: Sequence[Message]) -> None:
        self._let_go_of(len(messages), sum(len(message.value or b"") for message in messages))

    def _let_go_of(self, count: int, size: int) -> None:
        with self._lock:
            self._messages -= count
            self._bytes -= size


class _Waiting:
    """The acknowledgements of one body; they come on the writer's thread."""

    def __init__(self, count: int) -> None:
        self.done = threading.Event()
        self.failed = ""
        self._left = count

    def note(self, delivery: Delivery) -> None:
        """One message was delivered, or not."""
        if not isinstance(delivery, Delivered):
            self.failed = delivery.reason or "refused by the log"
        self._left -= 1
        if self._left == 0:
            self.done.set()


def _marked(told: Told, *, held: bool | None) -> Told:
    """``told`` of an event of which it is known, or not known, whether the ledger has it."""
    if held is None:
        return structs.replace(told, detail=_UNSURE)
    return structs.replace(told, state=State.KNOWN) if held else told


def _refused(index: int, fault: FaultError) -> Told:
    return Told(index=index, state=State.REFUSED, pointer=fault.pointer, detail=fault.detail)
