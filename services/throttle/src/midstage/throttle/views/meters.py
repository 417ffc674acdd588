"""The meters of all limits, one for each limit and customer, made when they are first asked for.

A meter is forgotten when a new one would answer alike, or when its limit stands no longer; no other
is, so strangers can't push out what a customer has used.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from midstage.contracts.limits import LimitSet
from midstage.throttle.decide.kept import Kept
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.meters.wall import WallClock
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.strict import Strict
from midstage.throttle.model.checks import Meeting
from midstage.throttle.model.limits import MeterKey
from midstage.throttle.views.book import Book

Opened = Callable[[LimitAccount, MeterKey, int], None]


class Meters:
    """Accounts by whose they are, and a ring of their keys, examined in turn."""

    def __init__(self, wall: WallClock, opened: Opened) -> None:
        """Nothing is counted yet; ``wall`` is set by whoever knows the time.

        ``opened`` is shown each account that is new here or holds by other terms, before it is
        asked: it may have been counted elsewhere before.
        """
        self.wall = wall
        self._opened = opened
        self._accounts: dict[MeterKey, LimitAccount] = {}
        self._ring: deque[MeterKey] = deque()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._accounts)

    def of(self, meeting: Meeting, now_ns: int) -> Sequence[LimitAccount]:
        """The accounts of a meeting, in its order; each holds by its limit from now on."""
        found = []
        accounts = self._accounts
        for limit, key in zip(meeting.limits, meeting.keys, strict=True):
            account = accounts.get(key)
            if account is None or account.limit is not limit:
                account = self.account(limit, key, now_ns)
            found.append(account)
        return found

    def account(self, limit: LimitSet, key: MeterKey, now_ns: int) -> LimitAccount:
        """The one of that key; it holds by ``limit`` from now on."""
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = LimitAccount(limit, key, now_ns, self.wall)
            self._ring.append(key)
            self._opened(account, key, now_ns)
        elif account.limit is not limit:
            self._follow(account, limit, key, now_ns)
        return account

    def kept(self, key: MeterKey) -> LimitAccount | None:
        """The account of that key; None where none is remembered."""
        return self._accounts.get(key)

    def seen(self, meeting: Meeting, now_ns: int) -> Sequence[LimitAccount]:
        """The same for a look: what is not there is made and not kept."""
        found = []
        for limit, key in zip(meeting.limits, meeting.keys, strict=True):
            account = self._accounts.get(key)
            if account is None:
                account = LimitAccount(limit, key, now_ns, self.wall)
                self._opened(account, key, now_ns)
            elif account.limit is not limit:
                self._follow(account, limit, key, now_ns)
            found.append(account)
        return found

    def live(self, account: LimitAccount, book: Book, now_ns: int) -> LimitAccount:
        """The account that counts now for whom ``account`` was: a new one if it was forgotten.

        Another process may have counted since. Of a limit that stands no longer, or is over all
        customers, the old one counts, for nobody.
        """
        held = self._accounts.get(account.key)
        if held is not None:
            return held
        limit = None if account.limit.aggregate else book.named(account.limit.limit)
        return account if limit is None else self.account(limit, account.key, now_ns)

    def rooms(self, concerned: Callable[[str], bool]) -> Iterator[tuple[MeterKey, Kept]]:
        """What these customers' counters have in the log."""
        for key, account in self._accounts.items():
            if isinstance(account.meter, Room | Strict) and concerned(key[1]):
                yield key, account.meter

    def forget(self, concerned: Callable[[str], bool]) -> None:
        """Begin anew with the accounts of these customers, whatever they count."""
        self._accounts = {
            key: account for key, account in self._accounts.items() if not concerned(key[1])
        }
        self._ring = deque(key for key in self._ring if key in self._accounts)

    def sweep(self, book: Book, *, now_ns: int, most: int) -> None:
        """Examine the next ``most``: forget those that may be, bring the others up to their limit.

        So that a changed limit soon counts though nobody asks.
        """
        for _ in range(min(most, len(self._ring))):
            key = self._ring.popleft()
            limit = book.named(key[0])
            account = self._accounts[key]
            if limit is not None and account.limit is not limit:
                self._follow(account, limit, key, now_ns)
            if limit is None or account.untouched(now_ns):
                del self._accounts[key]
                continue
            self._ring.append(key)

    def _made(self, limit: LimitSet, key: MeterKey, now_ns: int) -> LimitAccount:
        account = self._accounts[key] = LimitAccount(limit, key, now_ns, self.wall)
        self._ring.append(key)
        self._opened(account, key, now_ns)
        return account

    def _follow(self, account: LimitAccount, limit: LimitSet, key: MeterKey, now_ns: int) -> None:
        account.follow(limit, now_ns)
        self._opened(account, key, now_ns)
