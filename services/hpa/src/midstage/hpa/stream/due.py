"""Which applications are to be evaluated now: soon after load, spec or orders came, or each 5 s."""

from collections.abc import Mapping, Sequence
from typing import Final

AT_MOST_EVERY_S: Final = 0.5
AT_LEAST_EVERY_S: Final = 5.0
_ASK_ALL_EVERY_S: Final = 0.25


class Due:
    """When each application was evaluated, and of which load has come since."""

    def __init__(self) -> None:
        """Nothing was evaluated yet."""
        self._done: dict[str, float] = {}
        self._heard: set[str] = set()
        self._asked: Mapping[str, object] = {}
        self._asked_all = float("-inf")

    def heard(self, app: str) -> None:
        """Load of ``app`` has come."""
        self._heard.add(app)

    def done(self, app: str, now: float) -> None:
        """It was evaluated, or tried, at ``now``."""
        self._done[app] = now
        self._heard.discard(app)

    def soon(self) -> bool:
        """Whether load of some application waits for its turn."""
        return bool(self._heard)

    def asks_all(self, now: float) -> bool:
        """Whether it is time to look at all applications; at most some times a second."""
        if now - self._asked_all < _ASK_ALL_EVERY_S:
            return False
        self._asked_all = now
        return True

    def of_heard(self, now: float) -> Sequence[str]:
        """Those whose load came, and whose last evaluation is long enough ago."""
        return sorted(app for app in self._heard if now - self._last(app) >= AT_MOST_EVERY_S)

    def of_all(self, asked: Mapping[str, object], now: float) -> Sequence[str]:
        """Those not evaluated for too long, and those that ask for something else than before.

        ``asked``: by application what is asked for, equal until that changes, and cheap to compare.
        All others are forgotten.
        """
        before, self._asked = self._asked, dict(asked)
        self._heard &= asked.keys()
        self._done = {app: at for app, at in self._done.items() if app in asked}
        return sorted(
            app
            for app, spec in asked.items()
            if before.get(app) != spec or now - self._last(app) >= AT_LEAST_EVERY_S
        )

    def _last(self, app: str) -> float:
        return self._done.get(app, float("-inf"))
