"""What people and midstage want into Envoy's files, at once when it changes.

People's files are read each second and checked as a whole; one that is refused changes nothing.
What midstage runs comes by event; a bad application there is refused alone. As long as the log was
not read to its end, the files that are there stay: Envoy never gets less because we start anew.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from midstage.chassis.clock import Clock
from midstage.chassis.logs import logger
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.gateway.decide.routing import merged, unbroken
from midstage.gateway.metrics import Metrics
from midstage.gateway.model.apps import App, Deployed, Place, Refused, Routing, Setup
from midstage.gateway.stream.bell import Bell
from midstage.gateway.views.bootstrap import BOOTSTRAP, ROUTES
from midstage.gateway.views.watched import routes_version, steps

LOOK_EVERY_S = 1.0
LEAST_BETWEEN_S = 0.1
"""Changes that come faster are written together."""
WITHOUT_LOG_AFTER_S = 3.0
"""Where Envoy has no files at all, people's own applications need not wait for the log longer."""

_log = logger(__name__)


class Wanted(Protocol):
    """What people want."""

    def read(self) -> Routing:
        """Applications and keys as they are now; RefusedError naming the fault."""
        ...


class Known(Protocol):
    """What midstage runs."""

    def deployed(self) -> Deployed:
        """The newest that is known; UnavailableError until everything has been read once."""
        ...


class Watched(Protocol):
    """The directory that Envoy watches."""

    def holds(self, name: str) -> bool:
        """Whether the file is there."""
        ...

    def replace(self, name: str, content: bytes) -> bool:
        """Make the file hold ``content``; whether it was another one before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What Envoy was told; ``version`` is that of the routes."""

    routing: Routing
    version: str
    refused: tuple[Refused, ...]


class Configuration:
    """A chassis Loop; ``told`` and ``progress`` may be asked by other threads."""

    name = "configuration"

    def __init__(
        self,
        *,
        setup: Setup,
        wanted: Wanted,
        known: Known,
        watched: Watched,
        clock: Clock,
        metrics: Metrics,
        serving: Callable[[], AbstractSet[Place] | None],
        bell: Bell,
        applied: Bell,
        reached: Failpoint = nothing,
    ) -> None:
        """Write nothing before ``run``; ``bell`` wakes this, and this rings ``applied``.

        ``serving`` is where Envoy sends requests, None before it was asked.
        """
        self._setup = setup
        self._wanted = wanted
        self._known = known
        self._watched = watched
        self._clock = clock
        self._metrics = metrics
        self._serving = serving
        self._bell = bell
        self._applied = applied
        self._reached = reached
        self._begun_s = clock.monotonic()
        self._people: Routing | None = None
        self._faulty: str | None = "not read yet"
        self._waits: str | None = None
        self._alone = False
        self.told: Told | None = None

    def run(self, stop: threading.Event) -> None:
        """Look each second, and when something changed, until ``stop`` is set."""
        while not stop.is_set():
            self.turn()
            stop.wait(LEAST_BETWEEN_S)
            self._bell.wait(LOOK_EVERY_S - LEAST_BETWEEN_S, stop)

    def progress(self) -> str | None:
        """Why Envoy has no configuration of this process yet; None once it has one."""
        if self.told is not None:
            return None
        return self._faulty or self._waits or "Envoy was not asked yet what it serves"

    def turn(self) -> None:
        """Look once."""
        self._read()
        people, deployed, serving = self._people, self._deployed(), self._serving()
        if people is None or deployed is None or serving is None:
            return
        both = merged(people, deployed)
        routing = unbroken(both.routing, serving=serving)
        before = self.told
        self._refuse(both.refused, before.refused if before else ())
        if before is None or before.routing != routing or before.refused != both.refused:
            self._apply(before, routing, both.refused)

    def _read(self) -> None:
        try:
            self._people = self._wanted.read()
        except RefusedError as e:
            if str(e) != self._faulty:
                kept = self._people is not None
                _log.error("configuration_refused", reason=str(e), kept=kept)
            self._faulty = str(e)
            self._metrics.config_rejected.set(1)
            return
        self._faulty = None
        self._metrics.config_rejected.set(0)

    def _deployed(self) -> Deployed | None:
        """What midstage runs; None while that is not known and Envoy has files already."""
        try:
            deployed = self._known.deployed()
        except UnavailableError as e:
            self._waits = str(e)
            return Deployed() if self._goes_without_log(str(e)) else None
        self._waits = None
        return deployed

    def _goes_without_log(self, reason: str) -> bool:
        waited_s = self._clock.monotonic() - self._begun_s
        if not self._alone and waited_s >= WITHOUT_LOG_AFTER_S:
            self._alone = not self._watched.holds(BOOTSTRAP)
            if self._alone:
                _log.warning("configured_without_log", reason=reason)
        return self._alone

    def _refuse(self, refused: Sequence[Refused], before: Sequence[Refused]) -> None:
        for one in refused:
            if one not in before:
                _log.error("configuration_refused", app=one.app, reason=one.reason)
        self._metrics.apps_refused.set(len({one.app for one in refused}))

    def _apply(self, before: Told | None, after: Routing, refused: tuple[Refused, ...]) -> None:
        was = before.routing if before is not None else Routing()
        files = steps(self._setup, before=was, after=after)
        written = [name for name, content in files if self._watched.replace(name, content)]
        self._reached("configuration:written")
        version = (
            before.version
            if before is not None and ROUTES not in {name for name, _ in files}
            else routes_version(after)
        )
        self.told = Told(routing=after, version=version, refused=refused)
        self._applied.ring()
        if written:
            self._metrics.configured.inc()
            changed = _names(set(after.apps) - set(was.apps))
            _log.info("configured", changed=changed, keys=len(after.keys), files=written)


def _names(apps: Iterable[App]) -> Sequence[str]:
    return sorted(f"{app.name} ({len(app.replicas)})" for app in apps)
