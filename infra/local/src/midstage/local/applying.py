"""The applications, put to deploy through its API as a person would, and waited for.

What deploy says of an application that does not come up is the error's text.
"""

import time
import uuid
from collections.abc import Callable, Mapping

import httpx
import msgspec

from midstage.contracts.apps import AppSpec
from midstage.local import loopback
from midstage.local.errors import PlatformError

_WITHIN_S = 10.0
_LOOK_S = 0.2


class _Status(msgspec.Struct):
    """As much of deploy's answer as says whether the application is there."""

    ready: int = 0
    reason: str = ""


class _App(msgspec.Struct):
    status: _Status


def put(deploy: str, token: str, specs: Mapping[str, AppSpec]) -> None:
    """Ask for these applications; PlatformError with deploy's own words where it refuses one."""
    with loopback.client(base_url=deploy, timeout=_WITHIN_S) as client:
        for app, spec in specs.items():
            try:
                client.put(
                    f"/v1/apps/{app}",
                    content=msgspec.json.encode(spec),
                    headers={
                        "authorization": f"Bearer {token}",
                        "content-type": "application/json",
                        "idempotency-key": uuid.uuid4().hex,
                    },
                ).raise_for_status()
            except httpx.HTTPStatusError as e:
                raise PlatformError(f"deploy refused {app}: {e.response.text[:500]}") from e
            except httpx.HTTPError as e:
                raise PlatformError(f"deploy could not be asked for {app}: {e}") from e


def await_ready(
    deploy: str, app: str, *, within_s: float, say: Callable[[str], None], least: int = 1
) -> None:
    """Return once ``least`` replicas are ready; PlatformError with the reason when they are not."""
    deadline = time.monotonic() + within_s
    said = ""
    while True:
        status = _status(deploy, app)
        if status.ready >= least:
            return
        if time.monotonic() > deadline:
            raise PlatformError(
                f"{app} has {status.ready} of {least} replicas ready after {within_s:.0f} s:"
                f" {status.reason or 'no reason was given'}"
            )
        if status.reason and status.reason != said:
            said = status.reason
            say(f"{app}: {said}")
        time.sleep(_LOOK_S)


def _status(deploy: str, app: str) -> _Status:
    try:
        answer = loopback.get(f"{deploy}/v1/apps/{app}", timeout=_WITHIN_S)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=_App).status
    except (httpx.HTTPError, msgspec.DecodeError):
        return _Status(reason="deploy does not answer")
