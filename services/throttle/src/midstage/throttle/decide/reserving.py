"""Reserve and settle: a request takes an estimate, and then what it really was.

More becomes debt, bounded by the account's own bound; less comes back; never settled, the whole
estimate comes back when its time is up. Idempotent by request id: whatever is told twice, in
whatever order, charges once. A settlement whose reservation is not known (it expired, or was made
elsewhere) is charged in full. Ids are remembered for ``remember_ns`` after they were settled. Both
move with the customer, so what a request reserved is settled by whoever counts when it ends.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from midstage.throttle.decide.charging import admitted
from midstage.throttle.model.account import Account, Settlement

A = TypeVar("A", bound=Account)


class Reservation(Generic[A]):
    """``units`` of ``accounts``, taken at ``taken_ns``, open until ``until_ns`` or settled."""

    __slots__ = ("accounts", "customer", "taken_ns", "units", "until_ns")

    def __init__(
        self,
        accounts: Sequence[A],
        units: Sequence[int],
        taken_ns: int,
        until_ns: int,
        customer: str = "",
    ) -> None:
        """An open one of a customer's request."""
        self.accounts = accounts
        self.units = units
        self.taken_ns = taken_ns
        self.until_ns = until_ns
        self.customer = customer


class Reservations(Generic[A]):
    """Those of one owner of customers, by request id."""

    def __init__(self, *, ttl_ns: int, remember_ns: int) -> None:
        """``ttl_ns`` has to be longer than the longest request."""
        self._ttl_ns = ttl_ns
        self._remember_ns = remember_ns
        self._open: OrderedDict[str, Reservation[A]] = OrderedDict()
        self._settled: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self._now_ns = 0

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def reserve(
        self, request: str, accounts: Sequence[A], units: Sequence[int], now_ns: int
    ) -> Account | None:
        """None when the request may go on, else the account that refused it.

        A request of 0 units is paid for afterwards: it needs at least one unit to be left. One that
        has a reservation, or was settled before its reservation came, goes on and takes nothing.
        """
        if self.knows(request, now_ns):
            return None
        for account, wanted in zip(accounts, units, strict=True):
            if not wanted and not account.shadow and account.meter.remaining(now_ns) <= 0:
                return account
        refused = admitted(accounts, units, self._now_ns, request)
        if refused is None:
            self.hold(request, accounts, units, now_ns)
        return refused

    def knows(self, request: str, now_ns: int) -> bool:
        """Whether the request has a reservation, or was settled before its reservation came."""
        self._come_to(now_ns)
        return bool(request) and (request in self._open or request in self._settled)

    def hold(
        self,
        request: str,
        accounts: Sequence[A],
        units: Sequence[int],
        now_ns: int,
        customer: str = "",
    ) -> None:
        """Keep what was just taken for ``request``, if it has an id."""
        now_ns = self._come_to(now_ns)
        if request:
            until_ns = now_ns + self._ttl_ns
            self._open[request] = Reservation(accounts, units, now_ns, until_ns, customer)

    def opened(self, request: str) -> Reservation[A] | None:
        """The reservation of ``request`` that is open."""
        return self._open.get(request)

    def cancel(self, request: str) -> None:
        """What was taken for it was given back: it holds nothing, and may ask again."""
        self._open.pop(request, None)

    def settle(
        self,
        request: str,
        accounts: Sequence[A],
        actual: Sequence[int],
        now_ns: int,
        customer: str = "",
    ) -> None:
        """Charge ``actual``; ``accounts`` matter where the reservation is not known."""
        now_ns = self._come_to(now_ns)
        if request in self._settled:
            return
        self._settled[request] = now_ns + self._remember_ns, customer
        held = self._open.pop(request, None)
        if held is None:  # nothing was reserved for it, so all of it is charged
            held = Reservation(accounts, [0] * len(accounts), now_ns, now_ns)
        _close(request, held, actual, now_ns)

    def expire(self, now_ns: int) -> None:
        """Give back what was reserved for requests whose time is up."""
        self._come_to(now_ns)

    def newest_open(self) -> Iterator[tuple[str, Reservation[A]]]:
        """The open ones by request, the youngest first."""
        return reversed(self._open.items())

    def newest_settled(self) -> Iterator[tuple[str, tuple[int, str]]]:
        """Until when which request is known to be settled, and whose it is; the last one first."""
        return reversed(self._settled.items())

    def forget(self, concerned: Callable[[str], bool]) -> None:
        """Others have counted for these customers: what is known of their requests is old."""
        whose = {held.customer for held in self._open.values()}
        whose.update(customer for _, customer in self._settled.values())
        gone = {customer for customer in whose if concerned(customer)}
        if not gone:
            return
        opened = [each for each in self._open.items() if each[1].customer not in gone]
        settled = [each for each in self._settled.items() if each[1][1] not in gone]
        self._open, self._settled = OrderedDict(opened), OrderedDict(settled)

    def resume(
        self,
        opened: Mapping[str, Reservation[A]],
        settled: Mapping[str, tuple[int, str]],
        now_ns: int,
    ) -> None:
        """Go on with what somebody else has reserved and settled."""
        if not opened and not settled:
            return
        known = {**settled, **self._settled}  # what was settled is reserved no more
        self._settled = OrderedDict(sorted(known.items(), key=lambda each: each[1]))
        held = {request: each for request, each in opened.items() if request not in known}
        held.update(self._open)
        self._open = OrderedDict(sorted(held.items(), key=lambda each: each[1].until_ns))
        self._come_to(now_ns)

    def _come_to(self, now_ns: int) -> int:
        self._now_ns = now_ns = max(now_ns, self._now_ns)
        while self._open:
            request, held = next(iter(self._open.items()))
            if held.until_ns > now_ns:
                break
            del self._open[request]
            _close(request, held, [0] * len(held.units), now_ns)
        while self._settled and next(iter(self._settled.values()))[0] <= now_ns:
            self._settled.popitem(last=False)
        return now_ns


def _close(request: str, held: Reservation[A], actual: Sequence[int], now_ns: int) -> None:
    for account, reserved, units in zip(held.accounts, held.units, actual, strict=True):
        account.meter.settle(
            Settlement(
                reserved=reserved,
                actual=units,
                taken_ns=held.taken_ns,
                now_ns=now_ns,
                debt=account.debt,
                request=request,
            )
        )
