"""``midstage up``: the whole platform on this machine, a real trace replayed on it, the report.

Registered as a command of ``midstage`` through the entry point group ``midstage.commands``.
"""

import contextlib
import math
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from midstage.contracts.errors import MidstageError
from midstage.local import apps
from midstage.local.errors import PlatformError
from midstage.local.live import Watcher
from midstage.local.platform import Platform
from midstage.local.replay import trace as traces
from midstage.local.replay.progress import Line
from midstage.local.replay.report import exit_code, write
from midstage.local.replay.shown import as_text
from midstage.local.screen import Screen

FAILED = 1
FASTEST = 1000.0
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A closed terminal and a plain kill end us as Ctrl-C does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for."""

    trace: str
    speed: float
    requests: int | None
    stop_after: bool
    report: Path | None
    directory: Path
    replicas: int


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
    )
    try:
        with Screen(Console(stderr=True)) as screen:
            code = run(options, screen)
    except (MidstageError, traces.TraceError) as e:
        typer.echo(f"midstage up: {e}", err=True)
        code = FAILED
    raise typer.Exit(code)


def run(options: Options, screen: Screen) -> int:
    """Start, replay, report, and stay or stop; the exit code."""
    _refuse_what_would_fail_late(options)
    platform = Platform(
        options.directory,
        replicas={apps.of_trace(options.trace): options.replicas},
        speed=options.speed,
        say=screen.say,
    )
    code = FAILED
    with _ended_once(), _stopped_whole(platform):
        try:
            platform.start()
            code = _replayed(options, platform, screen)
            if not options.stop_after:
                screen.say(f"callers come in at {platform.addresses.listen}; Ctrl-C stops all")
                platform.stay()
        except KeyboardInterrupt:
            screen.rest()
    return code


def _replayed(options: Options, platform: Platform, screen: Screen) -> int:
    watcher = Watcher(
        platform.addresses.stats,
        log=platform.log("midstage.local.live"),
        app=apps.of_trace(options.trace),
    )

    def watch(line: Line) -> None:
        screen.show(watcher.moment(line))

    with contextlib.closing(watcher):
        report = platform.replay(trace=options.trace, requests=options.requests, watch=watch)
    screen.rest()
    typer.echo(as_text(report))
    if options.report is not None:
        with _named_where_unwritable(options.report):
            write(report, options.report)
    return exit_code(report)


def _refuse_what_would_fail_late(options: Options) -> None:
    """Raise for a bad row of the trace or a report that can't be written, before anything runs."""
    traces.read(options.trace, most=options.requests)
    if options.report is None:
        return
    fresh = not options.report.exists()
    with _named_where_unwritable(options.report):
        options.report.open("ab").close()
        if fresh:
            options.report.unlink()


@contextlib.contextmanager
def _named_where_unwritable(report: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise PlatformError(
            f"the report can't be written to {report} ({e.strerror}): name another file with"
            " --report, in a folder that is there"
        ) from e


@contextlib.contextmanager
def _ended_once() -> Iterator[None]:
    """The first of ``ENDS`` is a KeyboardInterrupt, no other cuts short what it begins.

    One that was ignored when we were started (nohup) stays so.
    """
    for number in ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    yield


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _hear_no_more()
    raise KeyboardInterrupt


def _hear_no_more() -> None:
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _stopped_whole(platform: Platform) -> Iterator[None]:
    """However the block ends, stop everything, and let no Ctrl-C cut that short."""
    try:
        yield
    finally:
        _hear_no_more()
        platform.stop()
