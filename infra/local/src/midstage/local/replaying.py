"""One replay on a running platform: limits, the caller as a child, then the comparison.

The caller prints a line of progress a second into a file of its own; ``watch`` sees each.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from midstage.local import apps
from midstage.local.addresses import Addresses
from midstage.local.errors import PlatformError
from midstage.local.layout import Layout
from midstage.local.replay import customers
from midstage.local.replay import trace as traces
from midstage.local.replay.customers import CustomerLimit
from midstage.local.replay.progress import Line
from midstage.local.supervisor import Child, Supervisor

CALLER = "caller"
_LOOK_S = 0.2


def nothing_watched(_: Line) -> None:
    """Progress that nobody wants to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What is replayed; ``requests`` None means all of the trace."""

    trace: str
    speed: float
    requests: int | None
    run: str

    @property
    def app(self) -> str:
        """The application that is called."""
        return apps.of_trace(self.trace)


def named(now: datetime) -> str:
    """A run's name, the beginning of each of its requests' own numbers."""
    return f"r{now.astimezone(UTC):%Y%m%dT%H%M%S%f}"[:-3]


def limits(replay: Replay) -> Sequence[CustomerLimit]:
    """The customers' limits for this replay's rate of arrivals."""
    arrivals = traces.read(replay.trace, most=replay.requests)
    return customers.limits(app=replay.app, rate_per_s=traces.mean_rate(arrivals) * replay.speed)


def caller(replay: Replay, *, layout: Layout, addresses: Addresses) -> Child:
    """The process that offers the trace; it runs once."""
    options = [
        *("--base-url", f"{addresses.listen}/{replay.app}"),
        *("--keys-file", str(layout.api_keys)),
        *("--trace", replay.trace),
        *("--speed", f"{replay.speed:g}"),
        *("--run", replay.run),
        *("--list", str(list_of(replay, layout))),
        *("--app", replay.app),
    ]
    if replay.requests is not None:
        options += ["--requests", str(replay.requests)]
    return Child(
        name=CALLER,
        command=[sys.executable, "-m", "midstage.local.replay.caller", *options],
        restarted=False,
        stdout=progress_of(replay, layout),
    )


def list_of(replay: Replay, layout: Layout) -> Path:
    """The caller's own list."""
    return layout.replay / f"{replay.run}.jsonl"


def progress_of(replay: Replay, layout: Layout) -> Path:
    """What the caller printed."""
    return layout.replay / f"{replay.run}.progress.jsonl"


def plot_of(replay: Replay, layout: Layout) -> Path:
    """The plot of how replicas followed the load, as SVG."""
    return layout.replay / f"{replay.run}.svg"


def watched(child: Child, *, supervisor: Supervisor, watch: Callable[[Line], None]) -> None:
    """Run the caller to its end; PlatformError with its last words when it fails."""
    supervisor.start(child)
    if child.stdout is None:
        raise ValueError("a caller prints its progress into a file of its own")
    tail = _Tail(child.stdout)
    code: int | None = None
    while code is None:
        code = supervisor.await_end(CALLER, within_s=_LOOK_S)
        for line in tail.lines():
            watch(line)
    if code != 0:
        raise PlatformError(f"the caller ended with {code}: {supervisor.last_words(CALLER)}")


class _Tail:
    """The lines that were added to a file since the last look; a line without its end waits."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0
        self._decode = msgspec.json.Decoder(Line).decode

    def lines(self) -> Iterator[Line]:
        if not self._file.exists():
            return
        with self._file.open("rb") as opened:
            opened.seek(self._offset)
            for line in opened:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield self._decode(line)
