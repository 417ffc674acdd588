"""Applications: ``apply``, ``diff``, ``delete app``, ``explain``, ``get apps``.

Thin wrappers of deploy's API: what is wrong with a spec is deploy's to say. ``diff`` leaves with 0
where nothing would change, 1 where something would, 2 where it is refused or can't be told.
"""

import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, TypeVar
from urllib.parse import quote

import msgspec
import typer

from midstage.client import adopting, api, bundles, diffs, explain, groups, rolling, specs
from midstage.client.bundles import Done
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.show import Output, OutputOption, Row, show, table
from midstage.contracts.errors import MidstageError, RefusedError
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
EvenSo = Annotated[
    bool, typer.Option("--even-so", help="Also where the cluster says it would not take it.")
]
Timeout = Annotated[float, typer.Option(help="With --wait: for at most so many seconds.")]

APPS = (
    "app",
    "stage",
    "ready",
    "wanted",
    "starting",
    "old",
    "revision",
    "version",
    "reason",
    "drift",
)
_AT_ONCE = 8


class _Status(msgspec.Struct):
    stage: str
    ready: int
    wanted: int
    starting: int
    old: int
    reason: str
    drift: list[str] = []


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
    rolling.register(app)
    adopting.register(app)
    app.command("explain")(explain_spec)
    deleting = groups.named(app, "delete", about="Delete a limit or an application.")
    deleting.command("app")(delete_app)


def register_get(group: typer.Typer) -> None:
    """Add to ``midstage get``."""
    group.command("apps")(get_apps)


def apply(
    *,
    file: Files,
    why: Why = "",
    wait: Wait = False,
    timeout: Timeout = 900.0,
    even_so: EvenSo = False,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Make applications as the files say; what is so already stays as it is."""
    given = specs.read(file)
    deploy = api.service("deploy", directory=directory, server=server, token_file=token_file)
    done, refused = bundles.apply(deploy, given.bundles, why=why, even_so=even_so, say=_say)
    for each in done:
        typer.echo(rolling.told(each))
    for app in given.apps.values():
        try:
            done.append(_applied(deploy, app, why, even_so=even_so))
        except RefusedError as e:
            refused += 1
            _say(f"app {app.name}: {app.located(str(e))}")
    if wait:
        rolling.follow(deploy, done, timeout)
    if refused:
        raise typer.Exit(1)


def diff(
    *,
    file: Files,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print what the files would change, also in the cluster, and how.

    Leaves with 1 where they would, with 2 where it would be refused or can't be told.
    """
    try:
        given = specs.read(file)
        deploy = api.service("deploy", directory=directory, server=server, token_file=token_file)
        with ThreadPoolExecutor(_AT_ONCE) as asking:
            found = list(asking.map(partial(_compared, deploy), given.all()))
    except MidstageError as e:
        _say(str(e))
        raise typer.Exit(2) from e
    for each in found:
        for line in diffs.lines(each):
            typer.echo(line)
    if code := diffs.exit_code(found):
        raise typer.Exit(code)


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
    answer = deploy.change("DELETE", rolling.path_of(app, "", why), command_id=uuid.uuid4().hex)
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


def _applied(deploy: api.Service, app: Application, why: str, *, even_so: bool) -> Done:
    path = rolling.path_of(app.name, "", why) + ("&even_so=true" if even_so else "")
    answer = deploy.change("PUT", path, command_id=uuid.uuid4().hex, body=app.spec)
    done = _done(answer)
    typer.echo(rolling.told(done))
    return done


def _compared(deploy: api.Service, app: Application) -> diffs.Diff:
    path = f"/v1/apps/{quote(app.name, safe='')}/diff"
    try:
        answer = deploy.change("POST", path, command_id=uuid.uuid4().hex, body=app.spec)
    except RefusedError as e:
        raise RefusedError(f"app {app.name}: {app.located(str(e))}") from e
    return _read(answer, diffs.Diff)


def _row(app: _App) -> Row:
    status = msgspec.structs.asdict(app.status)
    return {**msgspec.structs.asdict(app), **status, "drift": "; ".join(app.status.drift)}


def _done(answer: bytes) -> Done:
    return _read(answer, Done)


def _read(answer: bytes, kind: type[T]) -> T:
    return api.read(answer, kind, whose="deploy's")


def _say(text: str) -> None:
    typer.echo(f"midstage: {text}", err=True)
