"""Ready means making progress, not just running: every part says why it is not.

A check returns None when its part makes progress, else one sentence. Checks are asked at each
``/readyz``, so they must be quick and must not wait for a neighbour.
"""

from collections.abc import Callable, Mapping

from midstage.contracts.errors import UnavailableError


class Readiness:
    """The checks of one process by name; empty is ready."""

    def __init__(self) -> None:
        """Start without any check."""
        self._checks: dict[str, Callable[[], str | None]] = {}

    def add(self, name: str, check: Callable[[], str | None]) -> None:
        """Ask ``check`` too; ValueError where the name is taken."""
        if name in self._checks:
            raise ValueError(f"readiness check {name!r} is there already")
        self._checks[name] = check

    def reasons(self) -> Mapping[str, str]:
        """Why the process is not ready, by the checks' names; empty when it is."""
        asked = {name: _reason(check) for name, check in self._checks.items()}
        return {name: reason for name, reason in asked.items() if reason is not None}


def _reason(check: Callable[[], str | None]) -> str | None:
    try:
        return check()
    except UnavailableError as e:
        return str(e)
