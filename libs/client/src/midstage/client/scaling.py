"""Scaling: ``get decisions``, ``get alarms``, ``hpa …``: what was decided, why, and by orders."""

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer
import yaml

from midstage.client import api, backtest, explained, ordering, replays, times, tune
from midstage.client.platform import HERE, Directory, Server
from midstage.client.show import Output, OutputOption, show
from midstage.contracts.errors import UnavailableError
from midstage.contracts.scaling import EvaluationMade

ALARMS = ("app", "alarm", "since", "at", "reason")
ORDERS = ("app", "order", "what", "until", "by", "why")
DECISIONS = ("at", "app", "from", "to", "reason")
TIME = "RFC 3339, or before now like -90s, -30m, -1h, -7d."


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Ask hpa why a count is what it is, and order it.",
    )
    group.command("explain")(explain)
    group.command("replay")(replays.replay)
    ordering.register(group)
    group.command("backtest")(backtest.backtest)
    group.command("tune")(tune.tune)
    app.add_typer(group, name="hpa")


def register_get(group: typer.Typer) -> None:
    """Add to ``midstage get``."""
    group.command("decisions")(decisions)
    group.command("alarms")(alarms)


def decisions(
    *,
    app: Annotated[str | None, typer.Option(help="Only this application.")] = None,
    since: Annotated[str | None, typer.Option("--from", help=f"From then on: {TIME}")] = None,
    until: Annotated[str | None, typer.Option("--to", help=f"Before then: {TIME}")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 100,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print the changes of replica counts, the oldest first, and the orders that hold now."""
    now = datetime.now(UTC)
    query = {
        "app": app,
        "from": since and times.rfc3339(times.parsed("--from", since, now=now)),
        "to": until and times.rfc3339(times.parsed("--to", until, now=now)),
        "limit": str(limit),
    }
    hpa = api.service("hpa", directory=directory, server=server)
    answer = hpa.ask("/v1/decisions", query)
    found = show(answer, rows="decisions", columns=DECISIONS, output=output)
    typer.echo(found or "nothing found", err=not found)
    if output is Output.TABLE:
        orders = show(answer, rows="orders", columns=ORDERS, output=output)
        typer.echo(f"\nin force\n{orders}" if orders else "", nl=bool(orders))


def alarms(
    *,
    app: Annotated[str | None, typer.Option(help="Only this application.")] = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print what is wrong with scaling now: flapping, at maximum or an input unknown too long."""
    hpa = api.service("hpa", directory=directory, server=server)
    answer = hpa.ask("/v1/alarms", {"app": app})
    found = show(answer, rows="alarms", columns=ALARMS, output=output)
    typer.echo(found or "nothing found", err=not found)


def explain(
    app: Annotated[str, typer.Argument(metavar="APP", help="The application.")],
    *,
    at: Annotated[str | None, typer.Option("--at", help=f"As it was then: {TIME}")] = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Explain a replica count: the inputs and their ages, each rule, each step, the result."""
    now = datetime.now(UTC)
    query = {"at": at and times.rfc3339(times.parsed("--at", at, now=now))}
    hpa = api.service("hpa", directory=directory, server=server)
    answer = hpa.ask(f"/v1/apps/{quote(app, safe='')}/evaluation", query)
    typer.echo(_shown(answer, output))


def _shown(answer: bytes, output: Output) -> str:
    try:
        match output:
            case Output.JSON:
                return msgspec.json.format(answer, indent=2).decode()
            case Output.YAML:
                document = msgspec.json.decode(answer)
                return yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip("\n")
            case Output.TABLE:
                return explained.text(msgspec.json.decode(answer, type=EvaluationMade))
    except msgspec.DecodeError as e:
        raise UnavailableError(f"the service's answer is not one of midstage's: {e}") from e
