"""GCRA, as throttled and redis-cell have it: a theoretical arrival time (TAT) instead of a level.

Times are scaled by the units of a period, so that an emission interval of 1/3 s is a whole number.
Admits what a token bucket of that burst and rate admits.
"""

from midstage.throttle.model.account import Settlement


class Gcra:
    """``units`` in each ``period_ns``, at most ``burst`` at once."""

    __slots__ = ("at_ns", "period_ns", "tat", "tolerance", "units")

    def __init__(self, *, units: int, period_ns: int, burst: int, now_ns: int) -> None:
        """Nothing used yet; a unit is emitted every ``period_ns / units``."""
        self.units = units
        self.period_ns = period_ns
        self.tolerance = period_ns * burst
        self.at_ns = now_ns
        self.tat = now_ns * units

    def follow(self, *, units: int, period_ns: int, burst: int, now_ns: int) -> None:
        """Hold by these terms; what was used and has not come back stays used.

        What is more than ``burst`` of it is no debt, but for what was one before.
        """
        self._come_to(now_ns)
        used = self.tat - self.at_ns * self.units  # in units x the old period
        owed = max(0, used - self.tolerance)
        used = min(
            -(-used * period_ns // self.period_ns),
            period_ns * burst - (-owed * period_ns // self.period_ns),
        )
        self.units, self.period_ns, self.tolerance = units, period_ns, period_ns * burst
        self.tat = self.at_ns * units + used

    def take(self, units: int, now_ns: int, request: str = "") -> bool:  # noqa: ARG002  Meter
        """Move the TAT by ``units`` emission intervals, or leave it."""
        self._come_to(now_ns)
        tat = self.tat + units * self.period_ns
        if tat - self.tolerance > self.at_ns * self.units:
            return False
        self.tat = tat
        return True

    def undo(self, units: int, request: str = "") -> None:  # noqa: ARG002  Meter
        """Move it back."""
        self.tat -= units * self.period_ns

    def settle(self, done: Settlement) -> None:
        """Never below what nobody used, never above the debt."""
        self._come_to(done.now_ns)
        now = self.at_ns * self.units
        most = max(self.tat, now + self.tolerance + done.debt * self.period_ns)
        self.tat = max(now, min(self.tat + done.more * self.period_ns, most))

    def remaining(self, now_ns: int) -> int:
        """Whole units that fit into the tolerance."""
        self._come_to(now_ns)
        return (self.tolerance - self.tat + self.at_ns * self.units) // self.period_ns

    def wait_ns(self, units: int, now_ns: int) -> int | None:
        """What is more than the tolerance never passes."""
        self._come_to(now_ns)
        increment = units * self.period_ns
        if increment > self.tolerance:
            return None
        early = self.tat + increment - self.tolerance - self.at_ns * self.units
        return -(-early // self.units) if early > 0 else 0

    def reset_ns(self, now_ns: int) -> int:
        """Until everything is there again."""
        self._come_to(now_ns)
        return -(-(self.tat - self.at_ns * self.units) // self.units)

    def untouched(self, now_ns: int) -> bool:
        """The TAT has passed."""
        self._come_to(now_ns)
        return self.tat == self.at_ns * self.units

    def _come_to(self, now_ns: int) -> None:
        if now_ns > self.at_ns:
            self.at_ns = now_ns
            now = now_ns * self.units
            self.tat = max(self.tat, now)
