"""How Envoy says that a request ended."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Who ended a request, as ``contracts.requests.outcome_of`` asks it."""

    by_gateway: bool
    broke_off: bool
    caller_left: bool

    @property
    def complete(self) -> bool:
        """Whether the caller got an answer to its end, whoever gave it."""
        return not (self.broke_off or self.caller_left)
