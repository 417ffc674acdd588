"""People's files into Envoy's: read each second, checked as a whole, written when they changed.

A file that is refused changes nothing: what was configured before goes on, and log, metric and,
where nothing was configured yet, readiness say why.
"""

import threading
from collections.abc import Sequence
from typing import Protocol

from midstage.chassis.logs import logger
from midstage.contracts.errors import RefusedError
from midstage.gateway.metrics import Metrics
from midstage.gateway.model.apps import Routing, Setup
from midstage.gateway.views.watched import steps

LOOK_EVERY_S = 1.0

_log = logger(__name__)


class Wanted(Protocol):
    """What people want."""

    def read(self) -> Routing:
        """Applications and keys as they are now; RefusedError naming the fault."""
        ...


class Watched(Protocol):
    """The directory that Envoy watches."""

    def replace(self, name: str, content: bytes) -> bool:
        """Make the file hold ``content``; whether it was another one before."""
        ...


class Configuration:
    """A chassis Loop."""

    name = "configuration"

    def __init__(self, *, setup: Setup, wanted: Wanted, watched: Watched, metrics: Metrics) -> None:
        """Write nothing before ``run``."""
        self._setup = setup
        self._wanted = wanted
        self._watched = watched
        self._metrics = metrics
        self._holds: Routing | None = None
        self._refused: str | None = "not read yet"

    def run(self, stop: threading.Event) -> None:
        """Look each second until ``stop`` is set."""
        while not stop.is_set():
            self.turn()
            stop.wait(LOOK_EVERY_S)

    def progress(self) -> str | None:
        """Why Envoy has no configuration yet; None once it has one."""
        return None if self._holds is not None else self._refused

    def turn(self) -> None:
        """Look once."""
        try:
            wanted = self._wanted.read()
        except RefusedError as e:
            self._refuse(str(e))
            return
        self._refused = None
        self._metrics.config_rejected.set(0)
        if wanted != self._holds:
            self._apply(wanted)

    def _refuse(self, reason: str) -> None:
        if reason != self._refused:
            _log.error("configuration_refused", reason=reason, kept=self._holds is not None)
        self._refused = reason
        self._metrics.config_rejected.set(1)

    def _apply(self, wanted: Routing) -> None:
        before = self._holds or Routing()
        written = [
            name
            for name, content in steps(self._setup, before=before, after=wanted)
            if self._watched.replace(name, content)
        ]
        self._holds = wanted
        self._metrics.configured.inc()
        _log.info("configured", apps=_names(wanted), keys=len(wanted.keys), files=written)


def _names(routing: Routing) -> Sequence[str]:
    return [f"{app.name} ({len(app.endpoints)})" for app in routing.apps]
