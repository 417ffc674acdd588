"""Applications: ``apply``, ``diff``, ``undo``, ``delete app``, ``explain``, ``get apps``.

Thin wrappers of deploy's API: what is wrong with a spec is deploy's to say. ``diff`` leaves with 0
where nothing would change, 1 where something would, 2 where it can't be told.
"""

import os
import uuid
from typing import Annotated, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import typer

from midstage.client import api, bundles, explain, groups, specs
from midstage.client.bundles import Done
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.rollouts import Follower
from midstage.client.show import Output, OutputOption, Row, show, table
from midstage.contracts.errors import MidstageError, RefusedError, UnavailableError
from midstage.specs.applications import Application

T = TypeVar("T")

App = Annotated[str, typer.Argument(metavar="APP", help="The application's name.")]
Files = Annotated[
    list[str],
    typer.Option(
        "-f",
        "--file",
        help="YAML, JSON, a folder of them, or a bundle (tar.gz, zip); - is the standard input.",
    ),
]
Why = Annotated[str, typer.Option(help="The reason, kept in the log.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the rollout to its verdict.")]
Timeout = Annotated[float, typer.Option(help="With --wait: for at most so many seconds.")]

APPS = ("app", "stage", "ready", "wanted", "starting", "old", "revision", "version", "reason")
REVISIONS = ("version", "revision", "current", "undoes", "at", "by", "why")


class _Change(msgspec.Struct, rename={"before": "from", "after": "to"}):
    path: str
    before: msgspec.Raw
    after: msgspec.Raw


class _Diff(msgspec.Struct):
    app: str
    exists: bool
    changes: list[_Change]
    revision: str
    new_revision: bool
    rollout: str
    reason: str


class _Status(msgspec.Struct):
    stage: str
    ready: int
    wanted: int
    starting: int
    old: int
    reason: str


class _App(msgspec.Struct):
    app: str
    revision: str
    version: int
    status: _Status


class _Listed(msgspec.Struct):
    apps: list[_App]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("apply")(apply)
    app.command("diff")(diff)
    app.command("undo")(undo)
    app.command("explain")(explain_spec)
    deleting = groups.named(app, "delete", about="Delete a limit or an application.")
    deleting.command("app")(delete_app)


def register_get(group: typer.Typer) -> None:
    """Add to ``midstage get``."""
    group.command("apps")(get_apps)
    group.command("revisions")(get_revisions)


def apply(
    *,
    file: Files,
    why: Why = "",
    wait: Wait = False,
    timeout: Timeout = 900.0,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Make applications as the files say; what is so already stays as it is."""
    given = specs.read(file)
    deploy = api.service("deploy", directory=directory, server=server, token_file=token_file)
    done, refused = bundles.apply(deploy, given.bundles, why=why, say=_say)
    for each in done:
        typer.echo(_told(each))
    for app in given.apps.values():
        try:
            done.append(_applied(deploy, app, why))
        except RefusedError as e:
            refused += 1
            _say(f"app {app.name}: {app.located(str(e))}")
    if wait:
        _follow(deploy, done, timeout)
    if refused:
        raise typer.Exit(1)


def diff(
    *,
    file: Files,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print what the files would change, and how; leaves with 1 where they would."""
    try:
        given = specs.read(file)
        deploy = api.service("deploy", directory=directory, server=server, token_file=token_file)
        found = [_compared(deploy, app) for app in given.all()]
    except MidstageError as e:
        _say(str(e))
        raise typer.Exit(2) from e
    for each in found:
        _print_diff(each)
    if any(each.changes or not each.exists for each in found):
        raise typer.Exit(1)


def undo(
    app: App,
    *,
    why: Why = "",
    wait: Wait = False,
    timeout: Timeout = 900.0,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Go back to the newest spec of another revision."""
    deploy = api.service("deploy", directory=directory, server=server, token_file=token_file)
    done = _done(deploy.change("POST", _path(app, "/undo", why), command_id=uuid.uuid4().hex))
    typer.echo(_told(done))
    if wait:
        _follow(deploy, [done], timeout)


def delete_app(
    app: App,
    *,
    why: Why = "",
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Delete an application: its routes, then its replicas once they are drained."""
    deploy = api.service("deploy", directory=directory, server=server, token_file=token_file)
    answer = deploy.change("DELETE", _path(app, "", why), command_id=uuid.uuid4().hex)
    typer.echo(f"app {app} deleted, version {_done(answer).version}")


def explain_spec(
    path: Annotated[str, typer.Argument(help="A field of a spec, like scaling.targets.")] = "",
) -> None:
    """Print what a spec may say: fields, types, bounds, defaults."""
    typer.echo(explain.explained(path))


def get_apps(
    *,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print the applications: how they stand, and why where something is amiss."""
    deploy = api.service("deploy", directory=directory, server=server)
    answer = deploy.ask("/v1/apps", {})
    if output is Output.TABLE:
        found = table([_row(each) for each in _read(answer, _Listed).apps], APPS)
    else:
        found = show(answer, rows="apps", columns=APPS, output=output)
    typer.echo(found or "nothing found", err=not found)


def get_revisions(
    app: App,
    *,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print what was specified of an application, the newest first."""
    deploy = api.service("deploy", directory=directory, server=server)
    answer = deploy.ask(f"/v1/apps/{quote(app, safe='')}/revisions", {})
    typer.echo(show(answer, rows="revisions", columns=REVISIONS, output=output))


def _applied(deploy: api.Service, app: Application, why: str) -> Done:
    path = _path(app.name, "", why)
    answer = deploy.change("PUT", path, command_id=uuid.uuid4().hex, body=app.spec)
    done = _done(answer)
    typer.echo(_told(done))
    return done


def _compared(deploy: api.Service, app: Application) -> _Diff:
    path = f"/v1/apps/{quote(app.name, safe='')}/diff"
    try:
        answer = deploy.change("POST", path, command_id=uuid.uuid4().hex, body=app.spec)
    except RefusedError as e:
        raise RefusedError(f"app {app.name}: {app.located(str(e))}") from e
    return _read(answer, _Diff)


def _print_diff(found: _Diff) -> None:
    if found.exists and not found.changes:
        typer.echo(f"app {found.app} unchanged")
        return
    what = f"revision {found.revision}" if found.new_revision else "same revision"
    typer.echo(f"app {found.app} {'changes' if found.exists else 'is new'}, {_how(found, what)}")
    for change in found.changes:
        before, after = bytes(change.before).decode(), bytes(change.after).decode()
        match before, after:
            case "null", _:
                typer.echo(f"  + {change.path}: {after}")
            case _, "null":
                typer.echo(f"  - {change.path}: {before}")
            case _:
                typer.echo(f"  ~ {change.path}: {before} -> {after}")


def _how(found: _Diff, what: str) -> str:
    reason = f": {found.reason}" if found.reason else ""
    return f"{what}, rollout {found.rollout}{reason}"


def _follow(deploy: api.Service, done: list[Done], within_s: float) -> None:
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


def _path(app: str, rest: str, why: str) -> str:
    query = urlencode({"by": os.environ.get("USER") or "cli", "why": why})
    return f"/v1/apps/{quote(app, safe='')}{rest}?{query}"


def _told(done: Done) -> str:
    return (
        f"app {done.app} {done.outcome}, revision {done.revision}, version {done.version}, "
        f"rollout {done.rollout}"
    )


def _row(app: _App) -> Row:
    return {**msgspec.structs.asdict(app), **msgspec.structs.asdict(app.status)}


def _done(answer: bytes) -> Done:
    return _read(answer, Done)


def _read(answer: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as e:
        raise UnavailableError(f"deploy's answer is not one of midstage's: {e}") from e


def _say(text: str) -> None:
    typer.echo(f"midstage: {text}", err=True)
