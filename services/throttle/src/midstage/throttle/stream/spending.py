"""The log of counters: what stands in it, what was accepted, and what is to be written.

A claim is accepted when it was read back and its writer held the partition where it stands: so
what a process writes that another one has replaced is nothing, however late it comes. One thread
follows the log; the loop that answers checks writes, and takes what was heard.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec

from midstage.chassis.logs import logger
from midstage.contracts.spends import (
    CustomersLeft,
    CustomersTaken,
    CustomersWanted,
    ReservationsLeft,
    Unanswered,
)
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import Decoder
from midstage.eventlog.current import Current, Since
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Log, Record
from midstage.throttle.decide.holders import Heard
from midstage.throttle.decide.spends import Claimed, Cleared, Said, Spends, Stood, numbers
from midstage.throttle.model.holding import NOTHING_IMPLIED, Holding
from midstage.throttle.model.limits import Key
from midstage.throttle.stream import spent
from midstage.throttle.stream.holdings import Held, Holdings, is_new, taken_by, wanted_by
from midstage.throttle.stream.implied import Implied
from midstage.throttle.stream.own_claims import OwnClaims, Written
from midstage.throttle.stream.resting import BesideClaims
from midstage.throttle.stream.writing import Writing

_log = logger(__name__)
T = TypeVar("T")


class Spending:
    """A chassis Loop, and what ``Rooms`` needs of the log."""

    def __init__(
        self,
        *,
        log: Log,
        topic: Topic,
        owner: str,
        address: str,
        http_address: str,
        now: Callable[[], datetime],
        now_ns: Callable[[], int],
        monotonic: Callable[[], float],
        reached: Failpoint = nothing,
    ) -> None:
        """Connect nothing yet; ``owner`` is the name of this start of the process.

        ``now_ns`` is the clock of the counters: since the epoch, and never back.
        """
        self._topic = topic.name
        self._owner = owner
        self._now = now
        self._reached = reached
        self._spends = Spends()
        self._heard_of: deque[Written | Held | CustomersLeft | CustomersWanted] = deque()
        me = CustomersTaken(
            partition=0,
            owner=owner,
            epoch=1,
            address=address,
            http_address=http_address,
            at=now(),
        )
        self.holdings = Holdings(me)
        self._implied = Implied(now_ns)
        self._writing = Writing(log=log, topic=topic.name, owner=owner)
        changed = threading.Condition()
        self._claims = OwnClaims(
            spends=self._spends,
            changed=changed,
            holdings=self.holdings,
            writing=self._writing,
            partition=self.partition,
            now=now,
        )
        self.clear = self._claims.clear
        self._partitions = 0
        self._heard: Callable[[], None] = lambda: None
        self.reserved: spent.Reserving = lambda _: ()
        """What a successor has to know of requests when their customers are left."""
        self._current: Current[Said] = Current(
            name="spends",
            log=log,
            stream=topic,
            read=spent.Reading(Decoder(topic)),
            apply=self._apply,
            batches=partial(spent.Claims, self._apply_claims),
            since=Since.OLDEST,
            on_change=self._changed,
            changed=changed,
            monotonic=monotonic,
        )
        self.name = self._current.name
        self.beside = BesideClaims(self._spends, changed)

    def run(self, stop: threading.Event) -> None:
        """Follow until ``stop``; raises what is neither unreadable nor unavailable."""
        try:
            self._current.run(stop)
        finally:
            self._writing.close()

    def caught_up(self) -> str | None:
        """Readiness: None while the log is followed, else why not."""
        return self._current.caught_up()

    def closed(self) -> str | None:
        """Why it is not known yet who counts for whom: the log is not folded, or not taken over."""
        reason = self._current.caught_up()
        if reason is None and not self._partitions:
            self._partitions = len(self._current.positions())
        if reason is None and self._heard_of:
            reason = f"{self._topic} is being taken over"
        return reason

    @property
    def partitions(self) -> range:
        """All of them; none before the log is folded."""
        return range(self._partitions)

    @property
    def owner(self) -> str:
        """The name of this start of the process."""
        return self._owner

    def holder(self, customer: str) -> CustomersTaken | None:
        """Who else counts for the customer; None where this process does, or nobody."""
        holder = self.holdings.holder(self.partition(customer))
        return None if holder is None or holder.owner == self._owner else holder

    def answering(self, customer: str) -> CustomersTaken | None:
        """Who else is to be asked about new checks: also who comes next, before it counts."""
        next_one = self.holdings.answering(self.partition(customer))
        return None if next_one is None or next_one.owner == self._owner else next_one

    def want(self, partition: int) -> None:
        """Ask who holds it to leave it to this process."""
        held = self.holdings.holders()[partition]
        _log.info("customers_wanted", partition=partition, of=held.owner)
        fact = wanted_by(self.holdings.me, held, self._now())
        self._writing.tell(fact)

    def assign(self, to: Mapping[int, CustomersTaken]) -> None:
        """Have these count for the partitions from now on, as far as no other one came first."""
        with self._current.changed:
            known = self.holdings.holders()
            epochs = {
                number: self._spends.holders.next_epoch(number)
                for number in to
                if _same(self._spends.holders.get(number), known.get(number))
            }
        to = {number: to[number] for number in epochs}
        for fact in self.holdings.taken(to, epochs, self._now()):
            _log.info("customers_assigned", partition=fact.partition, to=fact.owner)
            self._take(fact)

    def holding(self, customer: str) -> Holding:
        """How long what is implied of the customer's counters may be used; the same object."""
        if not self._partitions:
            return NOTHING_IMPLIED  # and all accounts are made anew when the partitions are taken
        return self._implied.of(self.partition(customer))

    def renew(self) -> None:
        """Say again of all partitions held here that what is implied of them may be used."""
        for number in self.holdings.mine():
            held = self.holdings.holders()[number]
            if self._implied.is_heard(held):
                self._take(msgspec.structs.replace(held, at=self._now()))

    def leave(self, to: Mapping[int, CustomersTaken | None]) -> None:
        """Count no more for these partitions; whoever is named does. All claims are written."""
        for number, successor in to.items():
            left = self.holdings.left(number, successor, self._now())
            if left is None:
                continue
            _log.info("customers_left", partition=number, to=successor and successor.owner)
            self._implied.lost(number)
            for fact in self.reserved(left):
                self._writing.tell(fact)
            self._writing.tell(left)
            if successor is not None:
                self._take(taken_by(successor, number, left.epoch + 1, left.at))

    def stood(self, key: Key) -> Stood | None:
        """How the counter stood in the log when it was last read."""
        return self.folded(lambda log: log.stood(key))

    def unanswered(
        self, partitions: Collection[int]
    ) -> Sequence[tuple[Key, tuple[Unanswered, ...]]]:
        """Of the counters there, the requests that may not have been answered."""
        return self.folded(lambda log: log.unanswered(lambda c: self.partition(c) in partitions))

    def folded(self, read: Callable[[Spends], T]) -> T:
        """What ``read`` says of the log as it was last read; it is not to keep what it is shown."""
        with self._current.changed:
            return read(self._spends)

    def write(self, claims: Sequence[Written]) -> None:
        """Hand them to the log, in order."""
        self._reached("room_claimed")
        nobodys = [each for each in claims if not self._claims.write(each)]
        if nobodys:
            self._heard_of += [msgspec.structs.replace(each, counts=False) for each in nobodys]
            self._heard()
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
                self._claims.heard(each)
                claims.append(each)
                continue
            if isinstance(each, CustomersLeft | CustomersWanted):
                self.holdings.heard(each)
            elif self._took_over(each):
                gained.add(each.fact.partition)
            elif each.fact.owner != self._owner:
                gained.discard(each.fact.partition)
        self._claims.restate()
        return claims, frozenset(gained)

    def partition(self, customer: str) -> int:
        """Where the customer's counters stand; -1 before the log is folded."""
        return spent.placed_in(customer, self._partitions) if self._partitions else -1

    def _took_over(self, held: Held) -> bool:
        """Whether this process counts for the partition from here on, and did not before."""
        fact = held.fact
        begins = is_new(self.holdings.holders().get(fact.partition), fact)
        self.holdings.heard(fact)
        if fact.owner != self._owner:
            self._implied.lost(fact.partition)
            return False
        self._implied.ours(fact, held.before)
        return begins

    def _take(self, fact: CustomersTaken) -> None:
        """Who takes it itself says how long it uses what is implied, no other can."""
        if fact.owner == self._owner:
            until = self._implied.said(fact.partition)
            fact = msgspec.structs.replace(fact, implied_until=until)
        self._writing.tell(fact)

    def _apply(self, fact: Said, record: Record) -> None:
        partition = record.partition.number
        heard = self._spends.apply(fact, partition)
        if isinstance(fact, Cleared):
            self._claims.dispute(partition, fact.key, counts=heard is Heard.COUNTS)
        elif heard is Heard.COUNTS and not isinstance(fact, ReservationsLeft):
            before = self._spends.holders.before(partition)
            self._heard_of.append(
                Held(fact=fact, before=before) if isinstance(fact, CustomersTaken) else fact
            )

    def _apply_claims(self, claims: Sequence[Claimed], partition: int) -> None:
        over = set(map(id, self._spends.claimed(claims, partition)))
        for fact in claims:
            counts = id(fact) not in over  # two may say the same, and one of them counts
            if self._claims.disputes() or not counts:
                self._claims.dispute(partition, fact.counter, counts=counts)
            if fact.owner == self._owner:
                self._heard_of.append(_heard(fact, counts=counts))

    def _changed(self) -> None:
        if self._heard_of or self._claims.disputes():
            self._heard()


def _same(one: CustomersTaken | None, other: CustomersTaken | None) -> bool:
    return other is None if one is None else not is_new(other, one)


def _heard(fact: Claimed, *, counts: bool) -> Written:
    key, name, claim = fact.counter, fact.algorithm, numbers(fact.standing)
    return Written(key=key, algorithm=name, claim=claim, units=fact.units, counts=counts)
