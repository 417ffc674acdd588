"""``midstage rollout pause|resume|undo|restart|history|status APP``, and ``midstage undo``.

Each is one command of deploy's API; what can't be done now is deploy's to say.
"""

import os
import uuid
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from midstage.client import api, groups
from midstage.client.bundles import Done
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.rollouts import Follower
from midstage.client.show import Output, OutputOption, show
from midstage.contracts.errors import RefusedError

App = Annotated[str, typer.Argument(metavar="APP", help="The application's name.")]
Why = Annotated[str, typer.Option(help="The reason, kept in the log.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the rollout to its verdict.")]
Timeout = Annotated[float, typer.Option(help="With --wait: for at most so many seconds.")]
To = Annotated[
    str, typer.Option("--to", help="A revision or a version that history tells, not the newest.")
]
Watch = Annotated[bool, typer.Option("-w", "--watch", help="Follow it to its verdict.")]

HISTORY = ("version", "revision", "current", "complete", "generation", "undoes", "at", "by", "why")


def register(app: typer.Typer) -> None:
    """Add the group, and ``undo`` also by itself."""
    app.command("undo")(undo)
    group = groups.named(app, "rollout", about="Steer and follow how revisions replace each other.")
    for name, run in (
        ("pause", pause),
        ("resume", resume),
        ("undo", undo),
        ("restart", restart),
        ("history", history),
        ("status", status),
    ):
        group.command(name)(run)


def pause(
    app: App,
    *,
    why: Why = "",
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Let a rollout go no further; what it has come to goes on serving, and scales."""
    deploy = api.service("deploy", directory=directory, server=server, token_file=token_file)
    typer.echo(told(_changed(deploy, app, "pause", why)))


def resume(
    app: App,
    *,
    why: Why = "",
    wait: Wait = False,
    timeout: Timeout = 900.0,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Let a paused rollout go on."""
    deploy = api.service("deploy", directory=directory, server=server, token_file=token_file)
    done = _changed(deploy, app, "resume", why)
    _tell(deploy, done, timeout if wait else None)


def undo(
    app: App,
    *,
    to: To = "",
    why: Why = "",
    wait: Wait = False,
    timeout: Timeout = 900.0,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Go back to the newest spec of another revision, or to the one that is named."""
    deploy = api.service("deploy", directory=directory, server=server, token_file=token_file)
    done = _changed(deploy, app, "undo", why, {"to": to} if to else {})
    _tell(deploy, done, timeout if wait else None)


def restart(
    app: App,
    *,
    why: Why = "",
    wait: Wait = False,
    timeout: Timeout = 900.0,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Replace all replicas by new ones of the same spec, as an update does."""
    deploy = api.service("deploy", directory=directory, server=server, token_file=token_file)
    done = _changed(deploy, app, "restart", why)
    _tell(deploy, done, timeout if wait else None)


def history(
    app: App,
    *,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print what was specified of an application, the newest first."""
    deploy = api.service("deploy", directory=directory, server=server)
    answer = deploy.ask(f"/v1/apps/{quote(app, safe='')}/history", {})
    typer.echo(show(answer, rows="revisions", columns=HISTORY, output=output))


def status(
    app: App,
    *,
    watch: Watch = False,
    timeout: Timeout = 900.0,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print how the newest rollout stands; with -w follow it to its verdict."""
    deploy = api.service("deploy", directory=directory, server=server)
    follower = Follower(deploy=deploy, say=typer.echo, within_s=timeout)
    if watch:
        typer.echo(follower.follow(app, follower.newest(app)))
    else:
        typer.echo(follower.now(app))


def follow(deploy: api.Service, done: list[Done], within_s: float) -> None:
    """Follow each to its verdict; leaves with 1 where one of them failed."""
    follower = Follower(deploy=deploy, say=_say, within_s=within_s)
    failed = 0
    for each in done:
        try:
            typer.echo(follower.follow(each.app, each.revision))
        except RefusedError as e:
            failed += 1
            _say(str(e))
    if failed:
        raise typer.Exit(1)


def told(done: Done) -> str:
    """One line for people."""
    return (
        f"app {done.app} {done.outcome}, revision {done.revision}, version {done.version}, "
        f"rollout {done.rollout}"
    )


def path_of(app: str, rest: str, why: str, more: Mapping[str, str] | None = None) -> str:
    """The path of a command; it carries who asks, and why where that is said."""
    asked = {"by": os.environ.get("USER") or "cli", **({"why": why} if why else {}), **(more or {})}
    return f"/v1/apps/{quote(app, safe='')}{rest}?{urlencode(asked)}"


def _tell(deploy: api.Service, done: Done, timeout: float | None) -> None:
    """Say what became of it, and follow its rollout for at most ``timeout`` s; None: not at all."""
    typer.echo(told(done))
    if timeout is not None:
        follow(deploy, [done], timeout)


def _changed(
    deploy: api.Service, app: str, verb: str, why: str, more: Mapping[str, str] | None = None
) -> Done:
    path = path_of(app, f"/{verb}", why, more)
    answer = deploy.change("POST", path, command_id=uuid.uuid4().hex)
    return api.read(answer, Done, whose="deploy's")


def _say(text: str) -> None:
    typer.echo(f"midstage: {text}", err=True)
