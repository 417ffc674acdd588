"""Ready means making progress, not just running: what a loop did last, seen by another thread.

A loop is not ready before it started, while it backs off, when records waited for some seconds
and nothing moved, when it has not come round for some seconds, and after it ended.
"""

from collections.abc import Callable

STUCK_AFTER_S = 5.0


class Progress:
    """Told by the loop's thread, asked by the readiness check's."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Not ready: nothing has started yet."""
        self._monotonic = monotonic
        self._trouble: str | None = "not started yet"
        self._waiting_since: float | None = None
        self._seen_at = monotonic()

    def came_round(self, *, lag: int) -> None:
        """The loop polled and found nothing to do; ``lag`` records wait at the broker."""
        self._seen_at = self._monotonic()
        self._trouble = None
        if lag == 0:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = self._seen_at

    def has_records(self) -> None:
        """There is something to do now."""
        self._seen_at = self._monotonic()
        if self._waiting_since is None:
            self._waiting_since = self._seen_at

    def went_on(self) -> None:
        """More was read of what there is to do; trouble of others stays."""
        self._seen_at = self._monotonic()
        if self._waiting_since is not None:
            self._waiting_since = self._seen_at

    def moved(self) -> None:
        """What there was to do is done."""
        self._seen_at = self._monotonic()
        self._waiting_since = None
        self._trouble = None

    def backs_off(self, reason: str) -> None:
        """Something is unavailable."""
        self._seen_at = self._monotonic()
        self._trouble = reason

    def ended(self) -> None:
        """The loop runs no more."""
        self._trouble = "the loop has ended"

    def reason(self) -> str | None:
        """None while there is progress, else why not."""
        now = self._monotonic()
        waiting_since = self._waiting_since
        if self._trouble is not None:
            return self._trouble
        if waiting_since is not None and now - waiting_since > STUCK_AFTER_S:
            return f"records wait and nothing moved for {now - waiting_since:.0f} s"
        if now - self._seen_at > STUCK_AFTER_S:
            return f"the loop has not come round for {now - self._seen_at:.0f} s"
        return None
