"""Fixed windows: aligned to the epoch, from the first hit, by the calendar, or one for ever.

At most ``limit`` in each window. Two windows that meet may pass twice the limit across their edge;
the moving window and the sliding counter do not. Debt goes into the next windows, each of which
pays ``limit`` of it, so that settling late is no way past a limit.
"""

from abc import abstractmethod
from collections.abc import Callable

from midstage.throttle.model.account import Settlement

Period = tuple[int, int]
"""Start and end of a window, in nanoseconds since the epoch; the end is not in it."""


class Window:
    """``used`` since ``start_ns``; what they have in common, but for when the next one begins."""

    __slots__ = ("at_ns", "end_ns", "limit", "start_ns", "used")

    def __init__(self, *, limit: int, now_ns: int) -> None:
        """No window yet: the first question opens it."""
        self.limit = limit
        self.used = 0
        self.at_ns = now_ns
        self.start_ns = self.end_ns = now_ns

    def _follow(self, limit: int, now_ns: int) -> None:
        """Up to ``limit`` from now on, in the window that ``now_ns`` is in by the new terms.

        What was used in this window stays used, and what is more than ``limit`` is no debt.
        """
        self._come_to(now_ns)
        owed = max(0, self.used - self.limit)
        self.limit, self.used = limit, min(self.used, limit + owed)

    def take(self, units: int, now_ns: int, request: str = "") -> bool:  # noqa: ARG002  Meter
        """Count ``units``, all or none."""
        self.at_ns = max(self.at_ns, now_ns)
        if self.at_ns >= self.end_ns:
            self._roll()
        used = self.used + units
        if used > self.limit:
            return False
        self.used = used
        return True

    def undo(self, units: int, request: str = "") -> None:  # noqa: ARG002  Meter
        """Count them back."""
        self.used -= units

    def settle(self, done: Settlement) -> None:
        """What was taken in a window that is over does not come back in this one."""
        self._come_to(done.now_ns)
        more = done.more
        if more >= 0:
            self.used = min(self.used + more, max(self.used, self.limit + done.debt))
        elif done.taken_ns >= self.start_ns:
            self.used = max(0, self.used + more)

    def remaining(self, now_ns: int) -> int:
        """What is left of this window."""
        self._come_to(now_ns)
        return self.limit - self.used

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """To the edge behind which ``units`` fit; debt may take several windows."""
        self._come_to(now_ns)
        if self.used + units <= self.limit:
            return 0
        if units > self.limit or not self.limit:
            return None
        debt, end = self.used - self.limit, self.end_ns
        while debt > self.limit - units:
            debt -= self.limit
            end = self.period(end)[1]
        return end - self.at_ns

    def reset_ns(self, now_ns: int) -> int:
        """To the edge of this window."""
        self._come_to(now_ns)
        return max(0, self.end_ns - self.at_ns)

    def untouched(self, now_ns: int) -> bool:
        """Nothing used."""
        self._come_to(now_ns)
        return not self.used

    @abstractmethod
    def period(self, now_ns: int) -> Period:
        """The window that ``now_ns`` is in."""

    def _come_to(self, now_ns: int) -> None:
        self.at_ns = max(self.at_ns, now_ns)
        if self.at_ns >= self.end_ns:
            self._roll()

    def _roll(self) -> None:
        """Into the window of ``at_ns``; each that passed has paid its part of a debt."""
        debt = self.used - self.limit
        while debt > 0 and self.limit and self.end_ns <= self.at_ns:
            start, end = self.period(self.end_ns)
            if end > self.at_ns:
                break
            debt -= self.limit
            self.start_ns, self.end_ns = start, end
        self.start_ns, self.end_ns = self.period(self.at_ns)
        self.used = max(0, debt)


class FixedWindow(Window):
    """Edges are multiples of the period since the epoch."""

    __slots__ = ("period_ns",)

    def __init__(self, *, limit: int, period_ns: int, now_ns: int) -> None:
        """``limit`` in each ``period_ns``."""
        super().__init__(limit=limit, now_ns=now_ns)
        self.period_ns = period_ns

    def follow(self, *, limit: int, period_ns: int, now_ns: int) -> None:
        """Hold by these terms; what was used of the window that is open stays used."""
        self._follow(limit, now_ns)
        if period_ns != self.period_ns:
            self.period_ns = period_ns
            if self.end_ns > self.start_ns:
                self.start_ns, self.end_ns = self.period(self.at_ns)

    def period(self, now_ns: int) -> Period:
        """The multiples around it."""
        start = now_ns - now_ns % self.period_ns
        return start, start + self.period_ns


class FirstHitWindow(FixedWindow):
    """A window begins with the first hit after the last one's end; a question opens none."""

    __slots__ = ()

    def period(self, now_ns: int) -> Period:
        """From now on."""
        return now_ns, now_ns + self.period_ns

    def take(self, units: int, now_ns: int, request: str = "") -> bool:
        """Open a window where none is."""
        taken = super().take(units, now_ns, request)
        self._open_or_close()
        return taken

    def undo(self, units: int, request: str = "") -> None:
        """And close the window that it opened."""
        super().undo(units, request)
        self._open_or_close()

    def settle(self, done: Settlement) -> None:
        """What was used without being asked for opens one too."""
        super().settle(done)
        self._open_or_close()

    def _roll(self) -> None:
        super()._roll()
        self._open_or_close()

    def _open_or_close(self) -> None:
        if not self.used:
            self.end_ns = self.start_ns
        elif self.end_ns == self.start_ns:
            self.start_ns, self.end_ns = self.period(self.at_ns)


class RefilledBucket(FixedWindow):
    """Gubernator's token bucket: refilled whole when its duration is over.

    Any question begins one, and a changed limit moves what is left by the difference.
    """

    __slots__ = ()

    def period(self, now_ns: int) -> Period:
        """From now on."""
        return now_ns, now_ns + self.period_ns

    def follow(self, *, limit: int, period_ns: int, now_ns: int) -> None:
        """Hold by these terms; what was used stays used, but not more than there is."""
        self._come_to(now_ns)
        self.limit, self.used = limit, min(self.used, limit)
        if period_ns != self.period_ns:
            self.period_ns = period_ns
            self.end_ns = self.start_ns + period_ns
            if self.end_ns <= self.at_ns:
                self.start_ns, self.end_ns = self.period(self.at_ns)
                self.used = 0

    def untouched(self, now_ns: int) -> bool:
        """Its time is over, and so is its debt; a window that nobody used holds until then."""
        self.at_ns = max(self.at_ns, now_ns)
        return self.at_ns >= self.end_ns and self.used <= self.limit

    def credit(self, units: int, now_ns: int) -> None:
        """Give ``units`` back, above the limit too, until this bucket is over."""
        self._come_to(now_ns)
        self.used -= units


class CalendarQuota(Window):
    """A quota for each day, week, month or year of a time zone, as ``calendar`` has them."""

    __slots__ = ("_calendar",)

    def __init__(self, *, limit: int, calendar: Callable[[int], Period], now_ns: int) -> None:
        """``calendar`` gives the period of a time."""
        super().__init__(limit=limit, now_ns=now_ns)
        self._calendar = calendar

    def follow(self, *, limit: int, calendar: Callable[[int], Period], now_ns: int) -> None:
        """Hold by these terms; what was used of the period that is open stays used."""
        self._follow(limit, now_ns)
        self._calendar = calendar
        self.start_ns, self.end_ns = self.period(self.at_ns)

    def period(self, now_ns: int) -> Period:
        """By the calendar."""
        return self._calendar(now_ns)


class LifetimeQuota:
    """So many, once; a quota that is used up stays so."""

    __slots__ = ("limit", "used")

    def __init__(self, *, limit: int, now_ns: int = 0) -> None:  # noqa: ARG002  as the others
        """Nothing used yet."""
        self.limit = limit
        self.used = 0

    def follow(self, *, limit: int) -> None:
        """What was used stays used."""
        self.limit = limit

    def take(self, units: int, now_ns: int, request: str = "") -> bool:  # noqa: ARG002  Meter
        """Count ``units``, all or none."""
        used = self.used + units
        if used > self.limit:
            return False
        self.used = used
        return True

    def undo(self, units: int, request: str = "") -> None:  # noqa: ARG002  Meter
        """Count them back."""
        self.used -= units

    def settle(self, done: Settlement) -> None:
        """Exactly what was used, up to the debt."""
        used = max(0, self.used + done.more)
        self.used = min(used, max(self.used, self.limit + done.debt))

    def remaining(self, now_ns: int) -> int:  # noqa: ARG002  Meter
        """What is left for ever."""
        return self.limit - self.used

    def wait_ns(self, units: int, now_ns: int) -> int | None:  # noqa: ARG002  Meter
        """Nothing comes back."""
        return 0 if self.used + units <= self.limit else None

    def untouched(self, now_ns: int) -> bool:  # noqa: ARG002  Meter
        """Nothing used."""
        return not self.used
