"""Facts about counters on their way to the log, in the order in which they are told.

Each has an id that this start of the process gives once. Nobody waits for the broker here: whether
a fact counts is known when it was read back. The first fact opens the connection.
"""

from typing import assert_never

from midstage.contracts.spends import (
    CustomersLeft,
    CustomersTaken,
    CustomersWanted,
    ReservationsLeft,
    RoomTaken,
)
from midstage.eventlog.log import Log, Message, Writer
from midstage.throttle.decide.spends import Cleared
from midstage.throttle.stream import spent


class Writing:
    """Writes one topic under the name of one start of the process."""

    def __init__(self, *, log: Log, topic: str, owner: str) -> None:
        """``owner`` is in no other process's ids."""
        self._log = log
        self._topic = topic
        self._owner = owner
        self._writer: Writer | None = None
        self._number = 0

    def claim(self, fact: RoomTaken, partition: int) -> None:
        """What stands of a counter from now on."""
        id_ = self._next_id()
        self._send(spent.claim(fact, id_=id_, topic=self._topic, partition=partition))

    def mark(self, cleared: Cleared, partition: int) -> None:
        """Nothing stands of a counter any more."""
        self._send(spent.mark(cleared, topic=self._topic, partition=partition))

    def tell(
        self, fact: CustomersTaken | CustomersLeft | CustomersWanted | ReservationsLeft
    ) -> None:
        """Who counts for a partition, no more, or would; or what whoever comes next has to know."""
        id_ = self._next_id()
        match fact:
            case CustomersTaken():
                self._send(spent.taking(fact, id_=id_, topic=self._topic))
            case CustomersLeft():
                self._send(spent.leaving(fact, id_=id_, topic=self._topic))
            case CustomersWanted():
                self._send(spent.wanting(fact, id_=id_, topic=self._topic))
            case ReservationsLeft():
                self._send(spent.reserved(fact, id_=id_, topic=self._topic))
            case _:
                assert_never(fact)

    def close(self) -> None:
        """Let go of the connection, if there is one."""
        if self._writer is not None:
            self._writer.close()

    def _next_id(self) -> str:
        self._number += 1
        return f"{self._owner}/{self._number}"

    def _send(self, written: Message) -> None:
        if self._writer is None:
            self._writer = self._log.writer()
        self._writer.send(written)
