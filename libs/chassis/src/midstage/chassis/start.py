"""How every service begins: logs first, then its composition, then it runs until told to stop."""

from collections.abc import Callable
from typing import Protocol

from midstage.chassis import logs
from midstage.chassis.garbage import collected_seldom
from midstage.contracts.errors import MidstageError


class Runs(Protocol):
    """What a composition gives."""

    def run(self) -> int:
        """Run until told to stop; the exit code."""
        ...


def start(service: str, compose: Callable[[], Runs]) -> int:
    """The exit code: 1, with one sentence in the log, where the service can't even be composed.

    So a setting that is missing is named, and its reader need not find it in a traceback.
    """
    logs.configure(service=service)
    try:
        process = compose()
    except MidstageError as error:
        logs.logger(__name__).error("not_started", reason=str(error))
        return 1
    collected_seldom()
    return process.run()
