"""The log of counters: what stands in it, what was accepted, and what is to be written.

A claim is accepted when it was read back and its writer held the partition where it stands: so
what a process writes that another one has replaced is nothing, however late it comes. One thread
follows the log; the loop that answers checks writes, and takes what was heard.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from midstage.chassis.logs import logger
from midstage.contracts.spends import CustomersTaken, RoomTaken
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import Decoder
from midstage.eventlog.current import Current, Since
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Log, Message, Record, Writer
from midstage.eventlog.murmur2 import partition_of
from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.spends import Claimed, Cleared, Heard, Spends, Stood, numbers
from midstage.throttle.model.limits import Key
from midstage.throttle.stream import spent

_log = logger(__name__)

IN_TURNS: Final = 10_000
"""All counters are looked at in so many turns, twenty of which are in a second."""


class Written(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A claim that is to be written, or what became of it: ``counts``, or for nobody."""

    key: Key
    algorithm: str
    claim: Standing
    units: int = 0
    counts: bool = True


class Spending:
    """A chassis Loop, and what ``Rooms`` needs of the log."""

    def __init__(
        self,
        *,
        log: Log,
        topic: Topic,
        owner: str,
        address: str,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        reached: Failpoint = nothing,
    ) -> None:
        """Connect nothing yet; ``owner`` is the name of this start of the process."""
        self._log = log
        self._topic = topic.name
        self._owner, self._address = owner, address
        self._now = now
        self._reached = reached
        self._spends = Spends()
        self._disputed: set[tuple[int, Key]] = set()
        self._heard_of: deque[Written | CustomersTaken] = deque()
        self._holders: dict[int, CustomersTaken] = {}
        self._taking: dict[int, int] = {}
        self._writer: Writer | None = None
        self._number = 0
        self._partitions = 0
        self._heard: Callable[[], None] = lambda: None
        self._current: Current[Claimed | Cleared | CustomersTaken] = Current(
            name="spends",
            log=log,
            stream=topic,
            read=spent.Reading(Decoder(topic)),
            apply=self._apply,
            since=Since.OLDEST,
            on_change=self._changed,
            monotonic=monotonic,
        )
        self.name = self._current.name

    def run(self, stop: threading.Event) -> None:
        """Follow until ``stop``; raises what is neither unreadable nor unavailable."""
        try:
            self._current.run(stop)
        finally:
            if self._writer is not None:
                self._writer.close()

    def caught_up(self) -> str | None:
        """Readiness: None while the log is followed, else why not."""
        return self._current.caught_up()

    def closed(self) -> str | None:
        """Why nothing may be counted yet: the log is not folded, or not taken.

        Takes all partitions, once; whoever takes one after us has it.
        """
        reason = self._current.caught_up()
        if reason is not None:
            return reason
        if not self._taking:
            self._take()
        known = {number: holder.epoch for number, holder in self._holders.items()}
        missing = [p for p, epoch in self._taking.items() if known.get(p, 0) < epoch]
        return f"partitions {missing} of {self._topic} are being taken" if missing else None

    def holder(self, customer: str) -> CustomersTaken | None:
        """Who else counts for the customer; None where this process does."""
        holder = self._holders.get(self.partition(customer))
        return None if holder is None or holder.owner == self._owner else holder

    def take_from(self, holder: CustomersTaken) -> None:
        """Count for the customers of its partition from now on, if it still holds it."""
        number = holder.partition
        with self._current.changed:
            if self._spends.holders.get(number) != holder:
                return
            epoch = self._spends.next_epoch(number)
        if self._taking.get(number, 0) < epoch:
            _log.info("customers_taken", partition=number, held_by=holder.owner)
            self._take_one(number, epoch)

    def stood(self, key: Key) -> Stood | None:
        """How the counter stood in the log when it was last read."""
        with self._current.changed:
            return self._spends.stood(key)

    def write(self, claims: Sequence[Written]) -> None:
        """Hand them to the log, in order."""
        self._reached("room_claimed")
        for each in claims:
            self._send(each)
        self._reached("room_sent")

    def on_heard(self, call: Callable[[], None]) -> None:
        """Have ``call`` called on the thread that follows, when there is something to take."""
        self._heard = call

    def heard(self) -> tuple[Sequence[Written], frozenset[int]]:
        """What became of claims since, in order, and the partitions that this process has taken.

        What others disputed of ours is written again. From here on ``holder`` knows of it.
        """
        self._reached("room_accepted")
        claims: list[Written] = []
        gained: set[int] = set()
        while self._heard_of:
            each = self._heard_of.popleft()
            if isinstance(each, Written):
                claims.append(each)
                continue
            self._holders[each.partition] = each
            (gained.add if each.owner == self._owner else gained.discard)(each.partition)
        self._restate()
        return claims, frozenset(gained)

    def partition(self, customer: str) -> int:
        """Where the customer's counters stand."""
        return partition_of(customer.encode(), self._partitions)

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """Let go in the log of counters of ours that equal new ones; each is looked at in turn.

        ``is_new`` says which, and of none that is counted here: so no claim of it is under way, and
        what is claimed after the mark comes after it in the log.
        """
        if not self._taking:
            return
        with self._current.changed:
            found = self._spends.in_turn(1 + len(self._spends) // IN_TURNS)
        for key, stood in found:
            holder = self._holders.get(self.partition(key[1]))
            if holder is not None and holder.owner == self._owner and is_new(key, stood):
                self._mark(key)

    def _restate(self) -> None:
        if not self._disputed:
            return
        with self._current.changed:
            mine = {n for n, taken in self._spends.holders.items() if taken.owner == self._owner}
            again = [each for each in self._disputed if each[0] in mine]
            self._disputed.difference_update(again)
            stood = [(key, self._spends.stood(key)) for _, key in again]
        for key, each in stood:
            if each is None:
                self._mark(key)
            else:
                self._send(Written(key=key, algorithm=each.algorithm, claim=each.claim))

    def _take(self) -> None:
        """The partitions are known: the log was folded."""
        with self._current.changed:
            self._partitions = len(self._current.positions())
            numbers = range(self._partitions)
            epochs = {number: self._spends.next_epoch(number) for number in numbers}
        for number, epoch in epochs.items():
            self._take_one(number, epoch)

    def _take_one(self, number: int, epoch: int) -> None:
        at = self._now()
        self._taking[number] = epoch
        fact = CustomersTaken(
            partition=number, owner=self._owner, epoch=epoch, address=self._address, at=at
        )
        self._hand_over(spent.taking(fact, id_=self._next_id(), topic=self._topic))

    def _send(self, each: Written) -> None:
        limit, customer, api_key = each.key
        at = self._now()
        partition = self.partition(customer)
        fact = RoomTaken(
            limit=limit,
            customer=customer,
            key=api_key,
            units=each.units,
            algorithm=each.algorithm,
            standing=tuple(str(number) for number in each.claim),
            owner=self._owner,
            epoch=self._taking[partition],
            at=at,
        )
        self._hand_over(
            spent.claim(fact, id_=self._next_id(), topic=self._topic, partition=partition)
        )

    def _mark(self, key: Key) -> None:
        partition = self.partition(key[1])
        cleared = Cleared(key=key, owner=self._owner, epoch=self._taking[partition])
        self._hand_over(spent.mark(cleared, topic=self._topic, partition=partition))

    def _next_id(self) -> str:
        self._number += 1
        return f"{self._owner}/{self._number}"

    def _hand_over(self, written: Message) -> None:
        if self._writer is None:
            self._writer = self._log.writer()
        self._writer.send(written)

    def _apply(self, fact: Claimed | Cleared | CustomersTaken, record: Record) -> None:
        partition = record.partition.number
        heard = self._spends.apply(fact, partition)
        if isinstance(fact, CustomersTaken):
            if heard is Heard.COUNTS:
                self._heard_of.append(fact)
            return
        if heard is Heard.UNREADABLE:
            _log.warning("room_unreadable", offset=record.offset)
            return
        counts = heard is Heard.COUNTS
        if self._disputed or not counts:
            (self._disputed.discard if counts else self._disputed.add)((partition, _key(fact)))
        if isinstance(fact, Claimed) and fact.owner == self._owner:
            self._heard_of.append(
                Written(
                    key=_key(fact),
                    algorithm=fact.algorithm,
                    claim=numbers(fact.standing),
                    units=fact.units,
                    counts=counts,
                )
            )

    def _changed(self) -> None:
        if self._heard_of or self._disputed:
            self._heard()


def _key(fact: Claimed | Cleared) -> Key:
    return fact.key if isinstance(fact, Cleared) else (fact.limit, fact.customer, fact.key)
