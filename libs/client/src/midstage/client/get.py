"""``midstage get``: what the platform knows, printed for people or for programs."""

import typer

from midstage.client import (
    api,
    apps,
    cluster,
    completeness,
    dead_letters,
    get_usage,
    limits,
    periods,
    records,
    scaling,
    signals,
)
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.show import Output, OutputOption, show

SOURCES = ("source", "highest", "rows", "holes", "closed", "torn", "complete_until")


def register(app: typer.Typer) -> None:
    """Add ``get`` to ``app``."""
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Print what the platform knows."
    )
    group.command("usage")(get_usage.usage)
    group.command("sources")(sources)
    for part in (
        limits,
        apps,
        cluster,
        scaling,
        signals,
        records,
        completeness,
        periods,
        dead_letters,
    ):
        part.register_get(group)
    app.add_typer(group, name="get")


def sources(
    *,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print the edges' log files: what was counted of each, and the holes in it."""
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    answer = stats.told("/v1/sources", {})
    _print(show(answer, rows="sources", columns=SOURCES, output=output))


def _print(found: str) -> None:
    """Data on stdout; that there is none is no data."""
    typer.echo(found or "nothing found", err=not found)
