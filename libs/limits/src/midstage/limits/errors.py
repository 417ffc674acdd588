"""What callers have to deal with; each says what to do about it."""

from collections.abc import Sequence


class LimitsError(Exception):
    """The base of all of them."""


class QuotaExceededError(LimitsError):
    """Limits don't let the request pass now: ``violated`` names them.

    ``retry_after_s``: in how many seconds they would; None: never, it asks for more than a burst.
    """

    def __init__(self, violated: Sequence[str], retry_after_s: float | None) -> None:
        """The names, and the longest wait."""
        when = "never" if retry_after_s is None else f"in {retry_after_s:.3f} s"
        super().__init__(f"{', '.join(violated)}: passes {when}")
        self.violated = tuple(violated)
        self.retry_after_s = retry_after_s


class LimitsUnavailableError(LimitsError):
    """It is not known whether the request may pass, and no limit's failure rule is ``open``."""


class NotLeasedError(LimitsError):
    """Nothing was lent for this customer and application: ``await limits.acquire`` asks."""


class CircuitOpenError(LimitsError):
    """The circuit lets no call pass; ``retry_after_s``: until the next probe may.

    None: all probes are under way, and what becomes of them decides.
    """

    def __init__(self, circuit: str, retry_after_s: float | None) -> None:
        """The circuit's name."""
        when = (
            "probes are under way" if retry_after_s is None else f"probe in {retry_after_s:.3f} s"
        )
        super().__init__(f"circuit {circuit} is open: {when}")
        self.circuit = circuit
        self.retry_after_s = retry_after_s


class OwnerAwayError(LimitsError):
    """Throttle gave no answer, or none that can be read."""


class NotTakenError(OwnerAwayError):
    """Throttle refuses what it is told, so telling it again is in vain."""
