"""``midstage adopt APP --workload NAME``: a Deployment that somebody else made is taken over.

It runs on as it is; the next ``apply`` of the application replaces it like an older revision.
"""

import uuid
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
import typer

from midstage.client import api
from midstage.client.platform import HERE, Directory, Server, TokenFile

App = Annotated[str, typer.Argument(metavar="APP", help="The application it becomes one of.")]
Taken = Annotated[
    str,
    typer.Option("--workload", metavar="NAME", help="The Deployment, in deploy's namespace."),
]


class _Adopted(msgspec.Struct):
    app: str
    workload: str
    replicas: int
    ready: int


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("adopt")(adopt)


def adopt(
    app: App,
    *,
    workload: Taken,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Take over a Deployment that somebody else made; it runs on until a spec replaces it."""
    deploy = api.service("deploy", directory=directory, server=server, token_file=token_file)
    path = f"/v1/apps/{quote(app, safe='')}/adopt?{urlencode({'workload': workload})}"
    answer = deploy.change("POST", path, command_id=uuid.uuid4().hex)
    found = api.read(answer, _Adopted, whose="deploy's")
    typer.echo(
        f"app {found.app} adopted {found.workload}, {found.ready} of {found.replicas} ready; "
        "the next apply replaces it"
    )
