"""``hpa backtest``: policies tried on a series, or on the load that a platform's log holds.

hpa's own code decides, in a process of its own (``midstage.hpa.main backtest``), so this needs hpa
beside the client. Policies may be YAML or JSON, alone or as ``scaling`` of an application.
"""

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import yaml

from midstage.client import platform
from midstage.client.platform import HERE, Directory
from midstage.contracts.errors import RefusedError

_MODULE = "midstage.hpa"


def backtest(
    *,
    policy: Annotated[Path, typer.Option(help="The policy: YAML or JSON.")],
    against: Annotated[Path | None, typer.Option(help="Another one, beside it.")] = None,
    series: Annotated[Path | None, typer.Option(help="A CSV file: time and value.")] = None,
    log: Annotated[
        str | None, typer.Option("--log", metavar="APP", help="The load of APP in the log.")
    ] = None,
    cold_start: Annotated[float, typer.Option(min=0, help="From order to ready, seconds.")] = 180.0,
    asked_each: Annotated[
        float, typer.Option(min=15, help="A policy is asked so often, seconds.")
    ] = 15.0,
    carries: Annotated[float | None, typer.Option(help="What one replica serves.")] = None,
    normalise: Annotated[
        bool, typer.Option("--normalise", help="100 replicas of 1 serve the 99.9th percentile.")
    ] = False,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds not counted.")] = 259_200.0,
    room: Annotated[int | None, typer.Option(help="So many replicas find a place.")] = None,
    starts_per_minute: Annotated[float | None, typer.Option(help="So many begin.")] = None,
    queue: Annotated[bool, typer.Option("--queue", help="What is not served waits.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write a picture (PNG) there.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The figures alone.")] = False,
    directory: Directory = HERE,
) -> None:
    """Try a policy on a past: hours, cost, violation, beside another, and what happened."""
    source = past(series, log, directory)
    told = {
        "--cold-start": cold_start,
        "--warm-up": warm_up,
        "--asked-each": asked_each,
        "--carries": carries,
        "--room": room,
        "--starts-per-minute": starts_per_minute,
        "--plot": plot,
    }
    asked = {"--normalise": normalise, "--queue": queue, "--json": json}
    with tempfile.TemporaryDirectory(prefix="midstage-backtest-") as folder:
        arguments = [
            *("--policy", str(_as_json(policy, Path(folder) / "policy"))),
            *(() if against is None else _against(against, Path(folder))),
            *source,
            *(word for name, value in told.items() if value is not None for word in (name, value)),
            *(name for name, is_asked in asked.items() if is_asked),
        ]
        code = asked_of_hpa("backtest", *arguments)
    raise typer.Exit(code)


def past(series: Path | None, log: str | None, directory: Path) -> list[str]:
    """hpa's words for one of a file and an application in the log; RefusedError."""
    if (series is None) == (log is None):
        raise RefusedError("give one of --series CSV and --log APP")
    if log is None:
        return ["--series", str(series)]
    return ["--kafka", platform.in_directory(directory).kafka, "--app", log]


def asked_of_hpa(command: str, *words: object) -> int:
    """The exit code of a command of hpa's, which prints by itself; RefusedError without hpa."""
    if find_spec(_MODULE) is None:
        raise RefusedError("hpa is not installed here: install midstage-hpa beside the client")
    line = [sys.executable, "-m", f"{_MODULE}.main", command, *map(str, words)]
    return subprocess.run(line, check=False).returncode


def _against(file: Path, folder: Path) -> tuple[str, str]:
    return "--against", str(_as_json(file, folder / "against"))


def _as_json(file: Path, folder: Path) -> Path:
    """A copy as JSON under the same name; RefusedError where it is no policy."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise RefusedError(f"{file} can't be read: {e}") from e
    if not isinstance(content, dict):
        raise RefusedError(f"{file} is no policy: it should be fields with values")
    folder.mkdir()
    copy = folder / f"{file.stem}.json"
    copy.write_bytes(msgspec.json.encode(content.get("scaling", content)))
    return copy
