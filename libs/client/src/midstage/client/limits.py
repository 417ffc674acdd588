"""``midstage set limit`` and ``midstage delete limit``: thin wrappers of throttle's API.

Each run is one command with an id of its own; what is wrong with a limit is throttle's to say.
"""

import uuid
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from midstage.client import api, groups
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.contracts.limits import ANY, FailureRule

Limit = Annotated[str, typer.Argument(metavar="ID", help="The limit's name.")]


class _Done(msgspec.Struct):
    version: int


def register(app: typer.Typer) -> None:
    """Add ``set`` and ``delete`` to ``app``."""
    setting = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Set a limit.")
    setting.command("limit")(set_limit)
    app.add_typer(setting, name="set")
    deleting = groups.named(app, "delete", about="Delete a limit or an application.")
    deleting.command("limit")(delete_limit)


def set_limit(
    limit: Limit,
    *,
    rate: Annotated[float, typer.Option(help="Requests a second in the long run.")],
    burst: Annotated[int, typer.Option(help="Requests at once at most.")],
    customer: Annotated[
        str, typer.Option(help="Whose; '*': each customer has a bucket of its own.")
    ] = ANY,
    app: Annotated[str, typer.Option(help="Of which application; '*': one bucket over all.")] = ANY,
    on_failure: Annotated[
        FailureRule, typer.Option(help="What holds when throttle can't answer in time.")
    ] = FailureRule.OPEN,
    why: Annotated[str, typer.Option(help="The reason, kept in the log.")] = "",
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Set what a customer may use; an existing limit of that name is replaced."""
    body = {
        "customer": customer,
        "app": app,
        "rate_per_s": rate,
        "burst": burst,
        "on_failure": on_failure.value,
        "why": why,
    }
    throttle = api.service("throttle", directory=directory, server=server, token_file=token_file)
    answer = throttle.change("PUT", _path(limit), command_id=uuid.uuid4().hex, body=body)
    typer.echo(f"limit {limit} set, version {_version(answer)}")


def delete_limit(
    limit: Limit,
    *,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Delete a limit; what it held back may pass from then on."""
    throttle = api.service("throttle", directory=directory, server=server, token_file=token_file)
    answer = throttle.change("DELETE", _path(limit), command_id=uuid.uuid4().hex)
    typer.echo(f"limit {limit} deleted, version {_version(answer)}")


def _path(limit: str) -> str:
    return f"/v1/limits/{quote(limit, safe='')}"


def _version(answer: bytes) -> int:
    return api.read(answer, _Done, whose="throttle's").version
