"""A clock that stands still until a test moves it; structurally chassis' ``Clock``."""

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class FrozenClock:
    """Tells ``now`` until ``advance``; the monotonic clock starts at 0 and moves along."""

    def __init__(self, now: datetime = NOON) -> None:
        """Stand at ``now``; ValueError where it has no time zone."""
        if now.tzinfo is None:
            raise ValueError("a clock's time is aware; give it a time zone")
        self._start = now.astimezone(UTC)
        self._passed = timedelta(0)

    def now(self) -> datetime:
        """The time of day, UTC and aware."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._passed.total_seconds()

    def advance(self, by: timedelta | float) -> datetime:
        """Move on by a span or by seconds, never back; the new time."""
        span = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if span < timedelta(0):
            raise ValueError(f"a clock does not go back: {span}")
        self._passed += span
        return self.now()
