"""The ``midstage`` command: its own subcommands, and those of other distributions.

Another distribution adds commands by an entry point of the group ``midstage.commands`` that loads
``register(app: typer.Typer) -> None``. Data goes to stdout, everything else to stderr. Exit codes:
0 done, 1 not done (stderr says why and what to do), 2 the command line itself is wrong.
"""

import logging
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated

import typer

from midstage.client import (
    VERSION,
    apps,
    checking,
    cluster,
    get,
    limits,
    periods,
    records,
    recount,
    scaling,
    send,
    send_events,
    signals,
)
from midstage.contracts.errors import MidstageError

GROUP = "midstage.commands"
WIDEST = 120
"""Columns of a help text, where the terminal has them."""
Register = Callable[[typer.Typer], None]


def main() -> None:
    """Run the command line; leaves with SystemExit."""
    logging.getLogger("midstage").setLevel(logging.CRITICAL)  # a command tells its own failures
    try:
        build(entry_points(group=GROUP))(prog_name="midstage")
    except MidstageError as e:
        _say(str(e))
        sys.exit(1)


def build(others: Iterable[EntryPoint] = ()) -> typer.Typer:
    """The command with all its subcommands; one of ``others`` that can't be loaded is named."""
    app = typer.Typer(
        name="midstage",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": WIDEST},
    )
    app.callback()(_options)
    for part in (
        *(send_events, send, signals, get, limits, checking, apps, cluster),
        *(scaling, records, periods, recount),
    ):
        part.register(app)
    for other in sorted(others, key=lambda point: point.name):
        _add(app, other)
    return app


def _add(app: typer.Typer, point: EntryPoint) -> None:
    try:
        register: Register = point.load()
    except (ImportError, AttributeError) as e:
        _say(f"the commands of {point.value} are missing: {e}")
        return
    register(app)


def _tell_version(asked: bool) -> None:  # noqa: FBT001  a click callback is called like that
    if asked:
        typer.echo(f"midstage {VERSION}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print it.", is_eager=True, callback=_tell_version),
    ] = False,
) -> None:
    """Send events into a midstage platform, ask what it counted, set what may pass."""


def _say(text: str) -> None:
    typer.echo(f"midstage: {text}", err=True)


if __name__ == "__main__":
    main()
