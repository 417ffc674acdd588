"""``midstage get``: what the platform knows, printed for people or for programs."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from midstage.client import api, apps, cluster, records, scaling, times
from midstage.client.platform import HERE, Directory, Server
from midstage.client.show import Output, OutputOption, show

Customer = Annotated[str | None, typer.Option(help="Only this customer.")]
App = Annotated[str | None, typer.Option(help="Only this application.")]
TIME = "RFC 3339, or before now like -90s, -30m, -1h, -7d."

USAGE = ("customer", "app", "minute", "requests", "outcomes.*", "units.*")
LIMITS = (
    *("limit", "customer", "app", "rate_per_s", "burst", "on_failure"),
    *("version", "at", "by", "why"),
)
SOURCES = ("source", "highest", "rows", "holes", "closed", "torn", "complete_until")


def register(app: typer.Typer) -> None:
    """Add ``get`` to ``app``."""
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Print what the platform knows."
    )
    group.command("usage")(usage)
    group.command("limits")(limits)
    group.command("sources")(sources)
    for part in (apps, cluster, scaling, records):
        part.register_get(group)
    app.add_typer(group, name="get")


def usage(
    *,
    customer: Customer = None,
    app: App = None,
    since: Annotated[
        str | None, typer.Option("--from", help=f"From this minute on: {TIME}")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help=f"Before this minute: {TIME}")] = None,
    by: Annotated[
        str, typer.Option(help="A row for each of: customer, app, minute, with commas between.")
    ] = "customer,app",
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print exact usage: requests by outcome and billed units."""
    now = datetime.now(UTC)
    query = {
        "customer": customer,
        "app": app,
        "from": since and times.rfc3339(times.from_minute("--from", since, now=now)),
        "to": until and times.rfc3339(times.to_minute("--to", until, now=now)),
        "by": by,
    }
    stats = api.service("stats", directory=directory, server=server)
    answer = stats.ask("/v1/usage", query)
    _print(show(answer, rows="usage", columns=USAGE, output=output))


def limits(
    *,
    customer: Customer = None,
    app: App = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print the limits that stand."""
    throttle = api.service("throttle", directory=directory, server=server)
    answer = throttle.ask("/v1/limits", {"customer": customer, "app": app})
    _print(show(answer, rows="limits", columns=LIMITS, output=output))


def sources(
    *,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print the edges' log files: what was counted of each, and the holes in it."""
    stats = api.service("stats", directory=directory, server=server)
    answer = stats.ask("/v1/sources", {})
    _print(show(answer, rows="sources", columns=SOURCES, output=output))


def _print(found: str) -> None:
    """Data on stdout; that there is none is no data."""
    typer.echo(found or "nothing found", err=not found)
