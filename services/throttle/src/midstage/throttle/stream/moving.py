"""Customers that move to another process, with their counters and their open reservations.

Who leaves writes what counters have in the log and says which requests are open, who comes goes on.
So the end of a request settles what was reserved for it, wherever it was reserved. What is told
again of one that was settled before the move changes nothing. Of very many the youngest move; what
was reserved for the others stays used, and they are charged in full on top.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Final, TypeVar

from midstage.contracts.fact import LONGEST_NAME
from midstage.contracts.spends import (
    LONGEST_REQUEST,
    MOST_RESERVATIONS,
    CustomersLeft,
    OpenReservation,
    ReservationsLeft,
    Reserved,
    SettledRequest,
)
from midstage.throttle.decide.kept import Kept
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.reserving import Reservation, Reservations
from midstage.throttle.model.limits import Key, whose
from midstage.throttle.views.book import Book
from midstage.throttle.views.meters import Meters

M = TypeVar("M")
MOST_MOVED: Final = 10_000
"""Of the open ones, and as many of those that were settled: to write them holds up the checks."""
_LARGEST: Final = 2**63 - 1


class Moving:
    """Belongs to the loop of the checks."""

    def __init__(
        self,
        *,
        book: Book,
        meters: Meters,
        reservations: Reservations[LimitAccount],
        resting: Callable[[], Sequence[Key]],
        monotonic_ns: Callable[[], int],
    ) -> None:
        """What is reserved, of which accounts, by which limits; which counters are ``resting``."""
        self._book = book
        self._meters = meters
        self._reservations = reservations
        self._resting = resting
        self._monotonic_ns = monotonic_ns

    def forget(self, concerned: Callable[[str], bool]) -> None:
        """What was counted for these customers stands in the log: other processes counted too."""
        self._meters.forget(concerned)
        self._reservations.forget(concerned)

    def rooms(self, concerned: Callable[[str], bool]) -> Iterator[Kept]:
        """What these customers' counters have in the log; those at rest are opened for it."""
        resting = [key for key in self._resting() if concerned(key[1])]
        yield from self._meters.rooms(concerned)
        yield from self._meters.woken(resting, self._book, self._monotonic_ns())

    def reserved(
        self, concerned: Callable[[str], bool], left: CustomersLeft
    ) -> Iterator[ReservationsLeft]:
        """What whoever comes next for these customers has to know of their requests."""
        moves = cache(lambda each: 0 < len(each) <= LONGEST_NAME and concerned(each))
        opened = _youngest(
            OpenReservation(
                request=request,
                customer=held.customer,
                taken_ns=held.taken_ns,
                until_ns=held.until_ns,
                of=_reserved(held),
            )
            for request, held in self._reservations.newest_open()
            if moves(held.customer) and len(request) <= LONGEST_REQUEST
        )
        settled = _youngest(
            SettledRequest(request=request, customer=customer, until_ns=until_ns)
            for request, (until_ns, customer) in self._reservations.newest_settled()
            if moves(customer) and len(request) <= LONGEST_REQUEST
        )
        for part, begins in enumerate(range(0, max(len(opened), len(settled)), MOST_RESERVATIONS)):
            ends = begins + MOST_RESERVATIONS
            yield ReservationsLeft(
                partition=left.partition,
                owner=left.owner,
                epoch=left.epoch,
                part=part,
                reservations=opened[begins:ends],
                settled=settled[begins:ends],
                at=left.at,
            )

    def resume(self, facts: Iterable[ReservationsLeft]) -> Collection[str]:
        """Go on with what was left; the requests that are open."""
        now_ns = self._monotonic_ns()
        opened: dict[str, Reservation[LimitAccount]] = {}
        settled: dict[str, tuple[int, str]] = {}
        for fact in facts:
            settled |= {each.request: (each.until_ns, each.customer) for each in fact.settled}
            for each in fact.reservations:
                opened[each.request] = self._opened(each, now_ns)
        self._reservations.resume(opened, settled, now_ns)
        return opened.keys()

    def _opened(self, left: OpenReservation, now_ns: int) -> Reservation[LimitAccount]:
        accounts, units = [], []
        for each in left.of:
            limit = self._book.named(each.limit)
            if limit is not None:
                owner = whose(limit, left.customer, each.key)
                accounts.append(self._meters.account(limit, owner, now_ns))
                units.append(each.units)
        return Reservation(accounts, units, left.taken_ns, left.until_ns, customer=left.customer)


def _reserved(held: Reservation[LimitAccount]) -> tuple[Reserved, ...]:
    taken = zip(held.accounts, held.units, strict=True)
    return tuple(
        Reserved(limit=account.name, key=account.key[2], units=min(max(0, units), _LARGEST))
        for account, units in taken
    )


def _youngest(found: Iterable[M]) -> tuple[M, ...]:
    """The oldest of them first."""
    return tuple(islice(found, MOST_MOVED))[::-1]
