"""Follows an application to the verdict of its rollout, told line by line as it changes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from midstage.client.api import Service
from midstage.contracts.errors import RefusedError, UnavailableError

_POLL_S = 0.5
_AWAY_S = 15.0


class _Rollout(msgspec.Struct):
    revision: str
    how: str
    state: str


class _Status(msgspec.Struct):
    stage: str
    wanted: int
    ready: int
    old: int
    reason: str
    rollout: _Rollout | None = None


class _App(msgspec.Struct):
    revision: str
    status: _Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Asks deploy until an application is ready; ``say`` gets a line where something changed."""

    deploy: Service
    say: Callable[[str], None]
    within_s: float

    def follow(self, app: str, revision: str) -> str:
        """Wait until ``revision`` is rolled out, and say how it ended.

        RefusedError with the true reason where it failed, another revision came instead, or the
        time is over.
        """
        deadline = time.monotonic() + self.within_s
        said = ""
        while True:
            found = self._asked(app)
            if found.revision != revision:
                raise RefusedError(f"app {app}: revision {found.revision} came instead")
            line = _line(app, found.status)
            match found.status.stage:
                case "ready" if not found.status.old:
                    return f"app {app} ready, {found.status.ready} of {found.status.wanted}"
                case "failed":
                    raise RefusedError(f"app {app}: the rollout failed: {found.status.reason}")
                case _ if time.monotonic() > deadline:
                    raise RefusedError(f"not within {self.within_s:g} s: {line}")
            if line != said:
                self.say(line)
                said = line
            time.sleep(_POLL_S)

    def _asked(self, app: str) -> _App:
        """The application; a service that is away for a moment is asked again."""
        until = time.monotonic() + _AWAY_S
        while True:
            try:
                answer = self.deploy.ask(f"/v1/apps/{app}", {})
                return msgspec.json.decode(answer, type=_App)
            except msgspec.DecodeError as e:
                raise UnavailableError(f"deploy's answer is not one of midstage's: {e}") from e
            except UnavailableError:
                if time.monotonic() > until:
                    raise
                time.sleep(_POLL_S)


def _line(app: str, status: _Status) -> str:
    how = f" ({status.rollout.how})" if status.rollout else ""
    old = f", {status.old} old" if status.old else ""
    counts = f"{status.ready} of {status.wanted} ready{old}"
    return f"app {app} {status.stage}{how}: {counts}; {status.reason}"
