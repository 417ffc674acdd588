"""Questions that no limit judged: each is counted, and one a minute is logged of either kind.

Whoever asks so has a route whose requests are not limited, or all fail: somebody should hear of it,
and a caller who does nothing else should not fill the log.
"""

from collections.abc import Callable
from typing import Final

from midstage.chassis.logs import logger
from midstage.throttle.metrics import Metrics

LOGGED_EACH_S: Final = 60.0

_log = logger(__name__)


class Unjudged:
    """What the port has no verdict for; belongs to its event loop."""

    def __init__(self, *, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        """None so far."""
        self._metrics = metrics
        self._foreign = _Told("checks_foreign", monotonic)
        self._malformed = _Told("checks_malformed", monotonic)

    def foreign(self) -> None:
        """One of another domain, and there are no imported rules: it passed."""
        self._metrics.foreign.inc()
        self._foreign.told("another domain than midstage, and no folder of rules is set")

    def malformed(self, why: str) -> None:
        """One that could not be judged: it was answered with an error, that Envoy counts too."""
        self._metrics.malformed.inc()
        self._malformed.told(why)


class _Told:
    """One event, logged at most each ``LOGGED_EACH_S``, with how many there were since."""

    def __init__(self, event: str, monotonic: Callable[[], float]) -> None:
        self._event = event
        self._monotonic = monotonic
        self._again_at = monotonic()
        self._count = 0

    def told(self, reason: str) -> None:
        self._count += 1
        now = self._monotonic()
        if now >= self._again_at:
            _log.warning(self._event, reason=reason, count=self._count)
            self._again_at, self._count = now + LOGGED_EACH_S, 0
