"""The meters of all limits, one for each limit and customer, made when they are first asked for.

A meter is forgotten when a new one would answer alike, when its limit stands no longer, or when the
log keeps it as it is; no other is, so strangers can't push out what a customer has used.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from midstage.contracts.limits import ANY, LimitSet
from midstage.throttle.decide.kept import Kept
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.meters.wall import WallClock
from midstage.throttle.decide.opening import as_new
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.spends import Stood
from midstage.throttle.decide.strict import NAMED_NS, Strict
from midstage.throttle.model.checks import Meeting
from midstage.throttle.model.limits import Key, Whose, customer_of, whose
from midstage.throttle.views.book import Book

CLOCKS_NS: Final = 10_000_000_000
"""By so much less do the clocks of two processes differ."""

Opened = Callable[[LimitAccount, int], None]
Rest = Callable[[Sequence[LimitAccount], int], Sequence[bool]]
MOST_AWAKE: Final = 50_000
"""Of so many no account is let go of to save memory: to make it again takes longer than a check."""


class Meters:
    """Accounts by limit and whose they are, and a ring of them, examined in turn."""

    def __init__(
        self, wall: WallClock, opened: Opened, rest: Rest | None = None, *, awake: int = MOST_AWAKE
    ) -> None:
        """Nothing is counted yet; ``wall`` is set by whoever knows the time.

        ``opened`` is shown each account that is new here or holds by other terms, before it is
        asked: it may have been counted elsewhere before. ``rest`` is shown accounts where there are
        more than ``awake``, and says which ``opened`` would have go on as they are.
        """
        self.wall = wall
        self._opened = opened
        self._rest = rest
        self._awake = awake
        self._accounts: dict[str, dict[Whose, LimitAccount]] = {}
        self._ring: deque[LimitAccount] = deque()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._ring)

    def of(self, meeting: Meeting, customer: str, key: str, now_ns: int) -> Sequence[LimitAccount]:
        """Whose account of each limit it is, in order; each holds by its limit from now on."""
        found = []
        accounts = self._accounts
        for limit in meeting.limits:
            own = limit.limit if limit.aggregate else customer
            owner = (own, key) if limit.key == ANY else own  # as whose; a call costs more
            try:
                account = accounts[limit.limit][owner]
            except KeyError:
                account = self.account(limit, owner, now_ns)
            if account.limit is not limit:
                self._follow(account, limit, now_ns)
            found.append(account)
        return found

    def account(self, limit: LimitSet, owner: Whose, now_ns: int) -> LimitAccount:
        """That one; it holds by ``limit`` from now on."""
        account = self.kept(limit, owner)
        if account is None:
            account = self._made(limit, owner, now_ns)
            self._keep(account)
        elif account.limit is not limit:
            self._follow(account, limit, now_ns)
        return account

    def kept(self, limit: LimitSet, owner: Whose) -> LimitAccount | None:
        """That account; None where none is remembered."""
        try:
            return self._accounts[limit.limit].get(owner)
        except KeyError:
            return None

    def seen(
        self, limits: Sequence[LimitSet], customer: str, key: str, now_ns: int
    ) -> Sequence[LimitAccount]:
        """The same for a look: what is not there is made and not kept."""
        found = []
        for limit in limits:
            owner = whose(limit, customer, key)
            account = self.kept(limit, owner)
            if account is None:
                account = self._made(limit, owner, now_ns)
            elif account.limit is not limit:
                self._follow(account, limit, now_ns)
            found.append(account)
        return found

    def live(self, account: LimitAccount, book: Book, now_ns: int) -> LimitAccount:
        """The account that counts now for whom ``account`` was: a new one if it was forgotten.

        Another process may have counted since. Of a limit that stands no longer, or is over all
        customers, the old one counts, for nobody.
        """
        held = self.kept(account.limit, account.whose)
        if held is not None:
            return held
        limit = None if account.limit.aggregate else book.named(account.name)
        return account if limit is None else self.account(limit, account.whose, now_ns)

    def rooms(self, concerned: Callable[[str], bool]) -> Iterator[Kept]:
        """What these customers' counters have in the log."""
        for account in tuple(self._ring):  # meanwhile others may come
            if isinstance(account.meter, Room | Strict) and concerned(customer_of(account.whose)):
                yield account.meter

    def woken(self, resting: Iterable[Key], book: Book, now_ns: int) -> Iterator[Kept]:
        """Of these, which were let go of to rest."""
        for name, customer, own in resting:
            limit = book.named(name)
            if limit is None:
                continue
            meter = self.account(limit, whose(limit, customer, own), now_ns).meter
            if isinstance(meter, Room | Strict):
                yield meter

    def forget(self, concerned: Callable[[str], bool]) -> None:
        """Begin anew with the accounts of these customers, whatever they count."""
        ring, self._ring, self._accounts = self._ring, deque(), {}
        for account in ring:
            if not concerned(customer_of(account.whose)):
                self._keep(account)
            elif isinstance(account.meter, Room | Strict):
                account.meter.retire()

    def sweep(self, book: Book, *, now_ns: int, most: int) -> None:
        """Examine the next ``most``: forget those that may be, bring the others up to their limit.

        So that a changed limit soon counts though nobody asks.
        """
        may_rest = self._rest is not None and len(self._ring) > self._awake
        idle: list[LimitAccount] = []
        for _ in range(min(most, len(self._ring))):
            account = self._ring.popleft()
            limit = book.named(account.name)
            if limit is not None and account.limit is not limit:
                self._follow(account, limit, now_ns)
            if limit is None or account.untouched(now_ns):
                self._let_go(account)
            elif may_rest and not limit.aggregate:
                idle.append(account)
            else:
                self._ring.append(account)
        if self._rest is not None and idle:
            self._have_rest(idle, self._rest(idle, now_ns))

    def is_new(self, key: Key, stood: Stood, book: Book, now_ns: int) -> bool:
        """Whether a counter that stands so equals a new one for whoever may count next.

        Not while it is counted here, nor while it names requests that may come back, and not before
        ``CLOCKS_NS`` ago it would have: the clock of another process may be behind. Of a limit that
        stands no longer nobody can say it.
        """
        name, customer, own = key
        limit = book.named(name)
        if limit is None or self.kept(limit, whose(limit, customer, own)) is not None:
            return False
        at_ns = now_ns - CLOCKS_NS
        if any(at_ns - named.taken_ns < NAMED_NS for named in stood.unanswered):
            return False
        return as_new(limit, stood, at_ns, self.wall)

    def _made(self, limit: LimitSet, owner: Whose, now_ns: int) -> LimitAccount:
        account = LimitAccount(limit, owner, now_ns, self.wall)
        self._opened(account, now_ns)
        return account

    def _keep(self, account: LimitAccount) -> None:
        self._accounts.setdefault(account.name, {})[account.whose] = account
        self._ring.append(account)

    def _have_rest(self, idle: Sequence[LimitAccount], rests: Sequence[bool]) -> None:
        for account, does in zip(idle, rests, strict=True):
            if does:
                self._let_go(account)
            else:
                self._ring.append(account)

    def _let_go(self, account: LimitAccount) -> None:
        """Out of the table; it is out of the ring."""
        accounts = self._accounts[account.name]
        del accounts[account.whose]
        if not accounts:
            del self._accounts[account.name]
        if isinstance(account.meter, Room | Strict):
            account.meter.retire()

    def _follow(self, account: LimitAccount, limit: LimitSet, now_ns: int) -> None:
        account.follow(limit, now_ns, self.wall)
        self._opened(account, now_ns)
