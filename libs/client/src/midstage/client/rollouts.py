"""Follows an application to the verdict of its rollout, told line by line as it changes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from midstage.client.api import Service
from midstage.contracts.errors import RefusedError, UnavailableError

_POLL_S = 0.5
_AWAY_S = 15.0


class _Progress(msgspec.Struct):
    wanted: int
    ready: int
    old: int
    reason: str


class _Rollout(msgspec.Struct):
    revision: str
    how: str
    state: str
    progress: _Progress | None = None


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
    why: str = ""
    undoes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Asks deploy until an application is ready; ``say`` gets a line where something changed.

    While a rollout runs that is what the log tells of its progress.
    """

    deploy: Service
    say: Callable[[str], None]
    within_s: float

    def newest(self, app: str) -> str:
        """The revision that holds; RefusedError (404) where there is no such application."""
        return self._asked(app).revision

    def now(self, app: str) -> str:
        """How it stands, in a line."""
        return _line(app, self._asked(app).status)

    def follow(self, app: str, revision: str) -> str:
        """Wait until ``revision`` is rolled out, and say how it ended.

        RefusedError with the true reason where it failed, another revision came instead, or the
        time is over.
        """
        deadline = time.monotonic() + self.within_s
        said = ""
        while True:
            found = self._asked(app)
            if found.undoes == revision:
                raise RefusedError(
                    f"app {app}: the rollout was undone, back to {found.revision}: {found.why}"
                )
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
    rollout = status.rollout
    how = f" ({rollout.how})" if rollout else ""
    if rollout is not None and rollout.state == "running" and rollout.progress is not None:
        told = rollout.progress
        return f"app {app} {status.stage}{how}: {_counts(told)}; {told.reason or 'goes on'}"
    return f"app {app} {status.stage}{how}: {_counts(status)}; {status.reason}"


def _counts(told: _Progress | _Status) -> str:
    old = f", {told.old} old" if told.old else ""
    return f"{told.ready} of {told.wanted} ready{old}"
