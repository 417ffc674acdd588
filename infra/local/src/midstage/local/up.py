"""``midstage up``: the whole platform on this machine, a real trace replayed on it, the report.

Registered as a command of ``midstage`` through the entry point group ``midstage.commands``.
"""

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from midstage.contracts.errors import MidstageError
from midstage.local.options import Options, Where
from midstage.local.replay import trace as traces

FASTEST = 1000.0


def register(app: typer.Typer) -> None:
    """Add ``up`` to the command line."""
    app.command("up", help="Run the whole platform on this machine and replay a real trace.")(up)


def _a_number(value: float) -> float:
    if math.isnan(value):
        raise typer.BadParameter("nan is not a speed")
    return value


def up(
    *,
    trace: Annotated[str, typer.Option(help="conv, code or a file to replay")] = "conv",
    speed: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=FASTEST,
            callback=_a_number,
            help="divides the trace's clock and the service times",
        ),
    ] = traces.DEFAULT_SPEED,
    requests: Annotated[
        int | None, typer.Option(min=1, help="only the first so many of the trace")
    ] = None,
    stop_after: Annotated[bool, typer.Option("--exit", help="stop after the replay")] = False,
    report: Annotated[Path | None, typer.Option(help="write the report as JSON here")] = None,
    directory: Annotated[
        Path, typer.Option("--dir", help="where log, ledger, keys and logs are kept")
    ] = Path(".midstage"),
    replicas: Annotated[int, typer.Option(min=1, max=64, help="of the application called")] = 3,
    cluster: Annotated[
        Where,
        typer.Option(help="a small cluster of our own, or a real Kubernetes (built at first use)"),
    ] = Where.LOCAL,
    shards: Annotated[
        int, typer.Option(min=1, max=12, help="of stats, each counting its part of the log")
    ] = 1,
    scalers: Annotated[
        int, typer.Option(min=1, max=6, help="of hpa, each deciding its share of the applications")
    ] = 1,
) -> None:
    """Exit with 0 when ledger and callers agree to the last request, else with 1."""
    options = Options(
        trace=trace,
        speed=speed,
        requests=requests,
        stop_after=stop_after,
        report=report,
        directory=directory,
        replicas=replicas,
        cluster=cluster,
        shards=shards,
        scalers=scalers,
    )
    from midstage.local.screen import Screen  # noqa: PLC0415  only this command needs them, and
    from midstage.local.session import FAILED, run  # noqa: PLC0415  all others start in half the time

    try:
        with Screen(Console(stderr=True)) as screen:
            code = run(options, screen)
    except (MidstageError, traces.TraceError) as e:
        typer.echo(f"midstage up: {e}", err=True)
        code = FAILED
    raise typer.Exit(code)
