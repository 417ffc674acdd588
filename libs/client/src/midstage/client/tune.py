"""``hpa tune``: a policy found on the first half of a past, with its figures on the second.

hpa's own code tunes, in a process of its own (``midstage.hpa.main tune``). stdout is YAML, to be
pasted into a spec or given to ``hpa backtest``.
"""

from pathlib import Path
from typing import Annotated

import typer

from midstage.client.backtest import asked_of_hpa, past
from midstage.client.platform import HERE, Directory


def tune(
    *,
    series: Annotated[Path | None, typer.Option(help="A CSV file: time and value.")] = None,
    log: Annotated[
        str | None, typer.Option("--log", metavar="APP", help="The load of APP in the log.")
    ] = None,
    cold_start: Annotated[float, typer.Option(min=0, help="From order to ready, seconds.")] = 180.0,
    carries: Annotated[
        float | None, typer.Option(help="What one replica serves; else by the series' peak.")
    ] = None,
    money: Annotated[
        float | None, typer.Option(help="It may cost so many times the ideal; 1.2 is tight.")
    ] = None,
    most: Annotated[int, typer.Option("--max", min=1, max=1000, help="The policy's max.")] = 1000,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds not counted.")] = 259_200.0,
    json: Annotated[bool, typer.Option("--json", help="Policy and figures as JSON.")] = False,
    directory: Directory = HERE,
) -> None:
    """Find a policy on the first half of a past; tell how it does on the second, beside HPA v2."""
    told = {
        "--cold-start": cold_start,
        "--carries": carries,
        "--money": money,
        "--max": most,
        "--warm-up": warm_up,
    }
    words = [word for name, value in told.items() if value is not None for word in (name, value)]
    source = past(series, log, directory)
    raise typer.Exit(asked_of_hpa("tune", *source, *words, *(("--json",) if json else ())))
