"""How an application stands by deploy's word, as ``describe`` tells it beside what runs.

Drift is of the whole application: fields of its workloads, its service and its budget that somebody
else has set, each with who it was and what is done about it.
"""

from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
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


def deploy_of(directory: Path, server: str | None, deploy_server: str | None) -> api.Service | None:
    """deploy, as control is asked at ``server``; None where only control's address was given."""
    if server is not None and deploy_server is None:
        return None
    return api.service("deploy", directory=directory, server=deploy_server)


def standing(deploy: api.Service, app: str) -> Sequence[tuple[str, object]]:
    """Names and values; that deploy has no spec of it, or can't be asked, is one of them."""
    try:
        answer = deploy.ask(f"/v1/apps/{quote(app, safe='')}", {})
        found = api.read(answer, _App, whose="deploy's")
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
