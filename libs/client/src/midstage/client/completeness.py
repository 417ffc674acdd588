"""``midstage get completeness``: what is there of each source and hour, and what is missing."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from midstage.client import api, times
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.show import Output, OutputOption, show

COLUMNS = ("source", "hour", "state", "rows", "missing", "holes", "closed", "shard")
TIME = "RFC 3339, or before now like -30m, -1h, -7d."


def register_get(group: typer.Typer) -> None:
    """Add the command to ``midstage get``."""
    group.command("completeness")(completeness)


def completeness(
    *,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    since: Annotated[str, typer.Option("--from", help=f"From this hour on: {TIME}")] = "-1d",
    until: Annotated[str, typer.Option("--to", help=f"Before this hour: {TIME}")] = "now",
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Print each source's hours: rows there, numbers missing, and whether more will come.

    An hour is complete; open, its edge has not said all of it; missing, numbers are; silent, its
    source speaks no more; or unproved, its source numbers nothing, so nothing can be missed.
    """
    now = datetime.now(UTC)
    query = {
        "source": source,
        "from": times.rfc3339(times.from_minute("--from", since, now=now)),
        "to": times.rfc3339(times.to_minute("--to", until, now=now)),
    }
    stats = api.service("stats", directory=directory, server=server, token_file=token_file)
    answer = stats.told("/v1/completeness", query)
    found = show(answer, rows="hours", columns=COLUMNS, output=output)
    typer.echo(found or "nothing found", err=not found)
