"""``send signal`` and ``get signals``: what waits, told to control, and what it knows.

A signal counts for a minute: whoever sends one sends it again and again.
"""

import uuid
from typing import Annotated

import typer

from midstage.client import api, groups
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.send import SEND
from midstage.client.show import Output, OutputOption, show
from midstage.contracts.errors import RefusedError

COLUMNS = (
    *("app", "kind", "name", "series", "source", "value", "by_pod.*"),
    *("arrived_per_s", "partitions", "consumers", "observed_at"),
)


def register(app: typer.Typer) -> None:
    """Add ``send signal``."""
    groups.named(app, "send", about=SEND).command("signal")(send)


def register_get(group: typer.Typer) -> None:
    """Add to ``midstage get``."""
    group.command("signals")(signals)


def send(
    app: Annotated[str, typer.Argument(metavar="APP", help="The application.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="As its policy names the signal.")],
    value: Annotated[float, typer.Argument(metavar="VALUE", help="What waits, or is measured.")],
    *,
    kind: Annotated[str, typer.Option(help="queue, external, object; or pods, with --pod.")] = (
        "queue"
    ),
    pod: Annotated[str | None, typer.Option(help="Whose value it is, of kind pods.")] = None,
    series: Annotated[str, typer.Option(help="Which one, where a metric has several.")] = "",
    source: Annotated[str, typer.Option(help="Who says so.")] = "cli",
    arrived_per_s: Annotated[
        float | None, typer.Option("--arrived-per-s", help="What comes in, of a queue.")
    ] = None,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Tell a signal's value of now."""
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  JSON has none
        raise RefusedError(f"{value} is no value")
    figure: dict[str, object] = {"value": value} if pod is None else {"by_pod": {pod: value}}
    one = {"app": app, "name": name, "kind": kind, "series": series, "source": source, **figure}
    if arrived_per_s is not None:
        one["arrived_per_s"] = arrived_per_s
    control = api.service("control", directory=directory, server=server, token_file=token_file)
    control.change("POST", "/v1/signals", command_id=uuid.uuid4().hex, body={"signals": [one]})
    typer.echo(f"{app} {name} is {value:g}")


def signals(
    *,
    app: Annotated[str | None, typer.Option(help="Only this application.")] = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print the newest value of each signal."""
    control = api.service("control", directory=directory, server=server)
    answer = control.ask("/v1/signals", {"app": app})
    found = show(answer, rows="signals", columns=COLUMNS, output=output)
    typer.echo(found or "nothing found", err=not found)
