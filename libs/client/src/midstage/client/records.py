"""Records and availability: ``get records|availability``, ``download``."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from midstage.client import api, times
from midstage.client.platform import HERE, Directory, Server
from midstage.client.show import Output, OutputOption, show

AVAILABILITY = (
    *("app", "minute", "hour", "good", "valid", "availability", "target"),
    *("budget.allowed_errors", "budget.errors", "budget.left", "budget.left_share"),
    "budget.exhausted",
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""


def register_get(group: typer.Typer) -> None:
    """Add to ``midstage get``."""
    group.command("availability")(availability)


def availability(
    *,
    app: Annotated[str | None, typer.Option(help="Only this application.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="From this minute on: RFC 3339, or before now like -1h, -7d."),
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before this minute.")] = None,
    by: Annotated[
        str, typer.Option(help="A row for each of: app, minute or hour, with commas between.")
    ] = "app",
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print availability and the error budget: good requests among those that could be good."""
    now = datetime.now(UTC)
    query = {
        "app": app,
        "from": since and times.rfc3339(times.from_minute("--from", since, now=now)),
        "to": until and times.rfc3339(times.to_minute("--to", until, now=now)),
        "by": by,
    }
    stats = api.service("stats", directory=directory, server=server)
    answer = stats.ask("/v1/availability", query)
    found = show(answer, rows="availability", columns=AVAILABILITY, output=output)
    typer.echo(found or "nothing found", err=not found)
