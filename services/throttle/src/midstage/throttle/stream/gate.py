"""Limits in from the log, verdicts out to whoever asks.

A check is one step without an ``await`` between reading meters and charging them, on the one
thread of the event loop, so calls at the same time can't take the same token. What only lacks
room in the log waits for it, and what passes a strict limit until the log has it, no longer than it
has; then the failure rules speak. Limits are taken over from the log's fold every ``FOLLOW_S``;
while the log is away, those last known hold.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from midstage.contracts.limits import CustomerPlanned, LimitSet
from midstage.throttle.decide.judging import foreseen, freed, lacking, left_of
from midstage.throttle.decide.lending import LentBucket, MakeLent
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.meters.wall import WallClock
from midstage.throttle.decide.reserving import Reservations
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.checks import Check, Ended, Judged, Left, Meeting
from midstage.throttle.model.later import Later
from midstage.throttle.model.limits import Standing, whose
from midstage.throttle.stream.deciding import Deciding
from midstage.throttle.stream.keeping import Keeping
from midstage.throttle.stream.lending import Lending
from midstage.throttle.stream.moving import Moving
from midstage.throttle.stream.settling import Settling
from midstage.throttle.stream.waiting import Asking, Waiting
from midstage.throttle.views.book import Book
from midstage.throttle.views.leases import Lender
from midstage.throttle.views.meters import MOST_AWAKE, Meters

FOLLOW_S = 0.05
REMEMBERED_S = 300
"""How long a request that was settled is known: whatever is told of it again changes nothing."""
_NS_PER_S = 1_000_000_000
SWEPT_EACH = 1000
"""Meters examined every ``FOLLOW_S`` at most: 20000 a second, more than checks can make."""
SWEPT_AT_ONCE = 100
"""So many, which take 50 us: checks that have come meanwhile wait no longer."""
SWEPT_IN = 200
"""All are examined in so many times ``FOLLOW_S``, where they are not too many."""


class Limits(Protocol):
    """The fold of the limits' log."""

    def changes(self, since: int) -> tuple[int, Mapping[str, Standing]]:
        """The number of the newest change, and what stands by the keys that changed ``since``."""
        ...

    def caught_up(self) -> str | None:
        """None when the whole log is folded, else why not."""
        ...


class Gate:
    """Answers checks from the limits in force; belongs to one event loop.

    ``moving`` and ``lending`` count by the same meters.
    ``wall_ns`` is for limits whose periods are the calendar's, ``monotonic_ns`` for all others: it
    too has to go on where the last process was, so it begins with the time since the epoch.
    """

    name = "gate"

    def __init__(
        self,
        *,
        limits: Limits,
        keeping: Keeping,
        monotonic_ns: Callable[[], int],
        wall_ns: Callable[[], int],
        metrics: Metrics,
        caller_timeout_s: float,
        late_below_s: float,
        reserved_for_s: float = 3600.0,
        ended: Callable[[], Iterable[Ended]] = tuple,
        lent_bucket: MakeLent = LentBucket,
        ours: Callable[[str], bool] = lambda _: True,
        most_awake: int = MOST_AWAKE,
    ) -> None:
        """A check with less than ``late_below_s`` of its time left gets the failure rules.

        ``ended`` gives the requests that are over since it was asked last; what was reserved for
        one that never ends comes back after ``reserved_for_s``. ``ours``: whether this process
        counts for a customer; what others' customers have used is not charged here. Of more than
        ``most_awake`` counters those that nobody asks for rest in the log.
        """
        self._limits = limits
        self._keeping = keeping
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._metrics = metrics
        self._caller_timeout_s = caller_timeout_s
        self._late_below_s = late_below_s
        self._changes = 0
        self._book = Book()
        wall = WallClock(wall_ns() - monotonic_ns())
        self._meters = Meters(wall, keeping.open, keeping.rest, awake=most_awake)
        self._ended = ended
        self._reservations: Reservations[LimitAccount] = Reservations(
            ttl_ns=int(reserved_for_s * _NS_PER_S), remember_ns=REMEMBERED_S * _NS_PER_S
        )
        self._settling = Settling(
            book=self._book,
            meters=self._meters,
            reservations=self._reservations,
            keeping=keeping,
            ours=ours,
            metrics=metrics,
        )
        self.moving = Moving(
            book=self._book,
            meters=self._meters,
            reservations=self._reservations,
            resting=keeping.resting,
            monotonic_ns=monotonic_ns,
        )
        # serial numbers go on after a restart
        lender = Lender(book=self._book, meters=self._meters, serial=wall_ns(), bucket=lent_bucket)
        self.lending = Lending(
            lender=lender, waits=keeping, metrics=metrics, monotonic_ns=monotonic_ns
        )
        self._deciding = Deciding(
            meters=self._meters,
            reservations=self._reservations,
            metrics=metrics,
            monotonic_ns=monotonic_ns,
        )
        self._waiting = Waiting(
            waits=keeping,
            met=self._met,
            deciding=self._deciding,
            reservations=self._reservations,
            metrics=metrics,
            monotonic_ns=monotonic_ns,
        )

    def check(
        self, check: Check, remaining_s: float | None
    ) -> Judged | Later[Judged | None] | None:
        """The verdict, or None where no limit holds; ``remaining_s`` None is not in a hurry."""
        meeting = self._met(check)
        is_late = remaining_s is not None and self._is_late(remaining_s)
        if meeting is None:
            self._metrics.unlimited.inc()
            return None
        now_ns = self._monotonic_ns()
        accounts = self._deciding.accounts(meeting, check, now_ns)
        if check.over or is_late:
            return self._uncounted(meeting, accounts, check, now_ns)
        before = _would_refuse(accounts) if meeting.shadowed else 0
        known = meeting.strict and self._deciding.known(meeting, check, now_ns)
        answer = self._deciding.decided(meeting, accounts, check, now_ns)
        if not answer.admitted and not answer.violated:
            lacks = lacking(meeting, accounts, check, now_ns)
            if lacks:
                asking = self._asking(meeting, accounts, check, remaining_s)
                return self._waiting.told(asking, lacks)
        if meeting.shadowed and _would_refuse(accounts) > before:
            self._metrics.shadowed.inc()
        if meeting.strict and answer.admitted:
            asking = self._asking(meeting, accounts, check, remaining_s)
            taken = asking.passes(answer, now_ns, known=known)
            if taken.lacks:
                return self._waiting.told(asking, taken.lacks)
        return self._deciding.counted(answer)

    def settle(self, ended: Ended) -> None:
        """Charge what the request really used, once; whatever was reserved for it is free."""
        self._settling.settle(ended, self._monotonic_ns())

    def account(self, limit: str) -> LimitAccount | None:
        """That of a limit over all customers, as it counts here; None where there is none."""
        found = self._book.named(limit)
        if found is None or not found.aggregate:
            return None
        return self._meters.account(found, whose(found, "", ""), self._monotonic_ns())

    def look(self, check: Check) -> Judged | None:
        """What ``check`` would say now; charges nothing, and counts in no metric."""
        meeting = self._met(check)
        if meeting is None:
            return None
        now_ns = self._monotonic_ns()
        accounts = self._meters.seen(meeting.limits, check.customer, check.key, now_ns)
        return foreseen(meeting, accounts, check, now_ns)

    def left(self, customer: str, app: str | None, key: str) -> Sequence[tuple[LimitSet, Left]]:
        """The limits that requests of a customer may meet, and what is left of each."""
        limits = self._book.concerning(customer, key, app)
        now_ns = self._monotonic_ns()
        accounts = self._meters.seen(limits, customer, key, now_ns)
        return [(account.limit, left_of(account, now_ns)) for account in accounts]

    def plan(self, customer: str) -> CustomerPlanned | None:
        """The plan that a customer is on; None where it is on none."""
        return self._book.plan(customer)

    def closed(self) -> str | None:
        """Why no check can be answered yet; None when the limits of the whole log hold here."""
        reason = self._limits.caught_up()
        if reason is None:
            self.follow()
        return reason

    def follow(self) -> None:
        """Take over what the log and the wall clock say now, and examine some meters."""
        now_ns = self._monotonic_ns()
        self._meters.wall.ahead_ns = self._wall_ns() - now_ns
        number, changed = self._limits.changes(self._changes)
        if number != self._changes:
            self._changes = number
            self._book.take_over(changed)
            self._metrics.limits.set(len(self._book))
        for ended in self._ended():
            self.settle(ended)
        self._reservations.expire(now_ns)
        self._sweep(now_ns)
        self._keeping.clear(lambda key, stood: self._meters.is_new(key, stood, self._book, now_ns))
        self._metrics.reservations.set(len(self._reservations))
        self._metrics.meters.set(len(self._meters))

    def _met(self, check: Check) -> Meeting | None:
        return self._book.met(check.customer, check.key, check.app, check.labels)

    def _is_late(self, remaining_s: float) -> bool:
        self._metrics.answer_seconds.observe(max(0.0, self._caller_timeout_s - remaining_s))
        return remaining_s < self._late_below_s

    def _uncounted(
        self, meeting: Meeting, accounts: Sequence[LimitAccount], check: Check, now_ns: int
    ) -> Judged:
        """For the end of a request, or a question that comes too late for an answer by count."""
        if check.over:
            return freed(meeting, accounts, check, now_ns)
        return self._deciding.late(meeting, accounts, check)

    def _asking(
        self,
        meeting: Meeting,
        accounts: Sequence[LimitAccount],
        check: Check,
        remaining_s: float | None,
    ) -> Asking:
        within_s = self._caller_timeout_s - self._late_below_s
        if remaining_s is not None:
            within_s = min(within_s, remaining_s - self._late_below_s)
        return Asking(meeting=meeting, accounts=accounts, check=check, within_s=within_s)

    def _sweep(self, now_ns: int) -> None:
        self._meters.sweep(self._book, now_ns=now_ns, most=SWEPT_AT_ONCE)

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the log until ``stop``; checks come between the parts of a long sweep."""
        while not stop.is_set():
            for _ in self.tend():
                await asyncio.sleep(0)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), FOLLOW_S)

    def tend(self) -> Iterator[None]:
        """What is due each ``FOLLOW_S``, in parts between which checks may come."""
        self.follow()
        most = min(SWEPT_EACH, len(self._meters) // SWEPT_IN)
        for _ in range(most // SWEPT_AT_ONCE):
            yield
            self._sweep(self._monotonic_ns())


def _would_refuse(accounts: Sequence[LimitAccount]) -> int:
    return sum(each.would_refuse for each in accounts)
