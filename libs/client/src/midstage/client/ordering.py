"""``midstage hpa override|lift|pause|resume APP``: what people order of an application's scaling.

Each is one command of hpa's API; what can't be ordered is hpa's to say.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from midstage.client import api, explained, times
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.rolling import path_of
from midstage.contracts.manual import Direction
from midstage.contracts.scaling import EvaluationMade

App = Annotated[str, typer.Argument(metavar="APP", help="The application.")]
Why = Annotated[str, typer.Option(help="The reason, kept in the log.")]
Until = Annotated[
    str | None,
    typer.Option(help="RFC 3339, or from now on like 30m, 2h, 7d; at most 30d, as without it."),
]
Dry = Annotated[bool, typer.Option("--dry-run", help="Only explain what would be decided now.")]


class _Done(msgspec.Struct):
    version: int


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``hpa``."""
    for name, run in (("override", override), ("lift", lift), ("pause", pause), ("resume", resume)):
        group.command(name)(run)


def override(
    app: App,
    *,
    replicas: Annotated[int | None, typer.Option(help="Exactly so many.")] = None,
    least: Annotated[int | None, typer.Option("--min", help="At least so many.")] = None,
    most: Annotated[int | None, typer.Option("--max", help="At most so many.")] = None,
    until: Until = None,
    why: Why = "",
    dry_run: Dry = False,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Override the count, whatever rules and policy say, also beyond the policy's bounds."""
    hpa = api.service("hpa", directory=directory, server=server, token_file=token_file)
    given = {"replicas": replicas, "min": least, "max": most}
    counts = {name: count for name, count in given.items() if count is not None}
    body = {**counts, **_end(until), "why": why}
    typer.echo(_put(hpa, app, "override", body, dry_run=dry_run))


def lift(
    app: App,
    *,
    why: Why = "",
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Lift an override: the policy decides again."""
    hpa = api.service("hpa", directory=directory, server=server, token_file=token_file)
    answer = hpa.change("DELETE", path_of(app, "/override", why), command_id=uuid.uuid4().hex)
    typer.echo(f"override of {app} lifted, version {_version(answer)}")


def pause(
    app: App,
    *,
    up: Annotated[bool, typer.Option("--up", help="Only do not raise it.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only do not lower it.")] = False,
    until: Until = None,
    why: Why = "",
    dry_run: Dry = False,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Pause scaling: rules and clock do not change the count, policy bounds and overrides do."""
    hpa = api.service("hpa", directory=directory, server=server, token_file=token_file)
    one = Direction.UP if up else Direction.DOWN
    direction = Direction.BOTH if up == down else one
    body = {"direction": direction.value, **_end(until), "why": why}
    typer.echo(_put(hpa, app, "pause", body, dry_run=dry_run))


def resume(
    app: App,
    *,
    why: Why = "",
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Resume scaling."""
    hpa = api.service("hpa", directory=directory, server=server, token_file=token_file)
    answer = hpa.change("DELETE", path_of(app, "/pause", why), command_id=uuid.uuid4().hex)
    typer.echo(f"scaling of {app} resumed, version {_version(answer)}")


def _put(
    hpa: api.Service, app: str, what: str, body: Mapping[str, object], *, dry_run: bool
) -> str:
    """What became of it, or would."""
    more = {"dry_run": "true"} if dry_run else {}
    path = path_of(app, f"/{what}", "", more)
    answer = hpa.change("PUT", path, command_id=uuid.uuid4().hex, body=body)
    if dry_run:
        return explained.text(api.read(answer, EvaluationMade, whose="hpa's"))
    return f"{what} of {app} set, version {_version(answer)}"


def _end(until: str | None) -> Mapping[str, str]:
    if until is None:
        return {}
    return {"until": times.rfc3339(times.later("--until", until, now=datetime.now(UTC)))}


def _version(answer: bytes) -> int:
    return api.read(answer, _Done, whose="hpa's").version
