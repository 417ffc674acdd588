"""How an application stands by deploy's word, as ``describe`` tells it beside what runs.

Drift is of the whole application: fields of its workloads, its service and its budget that somebody
else has set, each with who it was and what is done about it.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from midstage.client import api
from midstage.contracts.errors import RefusedError, UnavailableError

DeployServer = Annotated[
    str | None,
    typer.Option(help="The base URL of deploy, beside --server: how it stands, and drift."),
]


class _Status(msgspec.Struct):
    stage: str
    reason: str = ""
    drift: list[str] = []


class _App(msgspec.Struct):
    revision: str
    status: _Status


def standing(deploy: api.Service, app: str) -> Sequence[tuple[str, object]]:
    """Names and values; that deploy has no spec of it, or can't be asked, is one of them."""
    try:
        found = _read(deploy.ask(f"/v1/apps/{quote(app, safe='')}", {}))
    except RefusedError as e:
        if e.status != HTTPStatus.NOT_FOUND:
            raise
        return (("Spec", "none: deploy does nothing to it before one is applied"),)
    except UnavailableError as e:
        return (("Stage", f"unknown: {e}"),)
    return (
        ("Spec", found.revision),
        ("Stage", found.status.stage),
        ("Reason", found.status.reason or None),
        *(("Drift", each) for each in found.status.drift),
    )


def _read(answer: bytes) -> _App:
    try:
        return msgspec.json.decode(answer, type=_App)
    except msgspec.DecodeError as e:
        raise UnavailableError(f"deploy's answer is not one of midstage's: {e}") from e
