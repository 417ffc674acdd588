"""One run of ``midstage up``: start, replay, report, and stay or stop, whatever cuts it short."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import typer

from midstage.local import apps
from midstage.local.errors import PlatformError
from midstage.local.live import Watcher
from midstage.local.options import Options
from midstage.local.platform import Platform
from midstage.local.replay import trace as traces
from midstage.local.replay.progress import Line
from midstage.local.replay.report import exit_code, write
from midstage.local.replay.shown import as_text
from midstage.local.screen import Screen

FAILED = 1
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A closed terminal and a plain kill end us as Ctrl-C does."""


def run(options: Options, screen: Screen) -> int:
    """Start, replay, report, and stay or stop; the exit code."""
    _refuse_what_would_fail_late(options)
    platform = Platform(
        options.directory,
        replicas={apps.of_trace(options.trace): options.replicas},
        speed=options.speed,
        cluster=options.cluster,
        shards=options.shards,
        scalers=options.scalers,
        say=screen.say,
    )
    code = FAILED
    with _ended_once(), _stopped_whole(platform):
        try:
            platform.start()
            code = _replayed(options, platform, screen)
            if not options.stop_after:
                _say_where(platform, screen)
                platform.stay()
        except KeyboardInterrupt:
            screen.rest()
    return code


def _say_where(platform: Platform, screen: Screen) -> None:
    if platform.addresses.kubeconfig is not None:
        screen.say(f"kubectl --kubeconfig {platform.addresses.kubeconfig} get pods")
    screen.say(f"ask it in another terminal: midstage get apps --dir {platform.layout.root}")
    screen.say(f"callers come in at {platform.addresses.listen}; Ctrl-C stops all")


def _replayed(options: Options, platform: Platform, screen: Screen) -> int:
    watcher = Watcher(
        platform.addresses.stats,
        token=platform.token,
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
