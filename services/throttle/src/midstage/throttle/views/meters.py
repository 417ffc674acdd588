"""The meters of all limits, one for each limit and customer, made when they are first asked for.

A meter is forgotten when a new one would answer alike, or when its limit stands no longer; no other
is, so strangers can't push out what a customer has used.
"""

from collections import deque
from collections.abc import Callable, Sequence

from midstage.contracts.limits import LimitSet
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.meters.wall import WallClock
from midstage.throttle.decide.room import Room
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
            if account is None:
                account = accounts[key] = LimitAccount(limit, key, now_ns, self.wall)
                self._ring.append(key)
                self._opened(account, key, now_ns)
            elif account.limit is not limit:
                self._follow(account, limit, key, now_ns)
            found.append(account)
        return found

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

    def live(self, account: LimitAccount, book: Book) -> LimitAccount:
        """The account that counts now for whom ``account`` was: itself if it was forgotten since.

        Of a limit that stands no longer it counts for nobody.
        """
        held = self._accounts.get(account.key)
        if account.limit.aggregate:  # another process may count for it by now
            return held or account
        if held is None and book.named(account.limit.limit) is not None:
            held = self._accounts[account.key] = account
            if isinstance(account.meter, Room):
                account.meter.changed()  # another one may have claimed since
            self._ring.append(account.key)
        return held or account

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

    def _follow(self, account: LimitAccount, limit: LimitSet, key: MeterKey, now_ns: int) -> None:
        account.follow(limit, now_ns)
        self._opened(account, key, now_ns)
