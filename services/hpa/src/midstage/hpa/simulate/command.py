"""``backtest``: a policy, and another one beside it, on a series or on what the log holds.

Both are decided by the engine; beside them stands what really happened, where the log holds it.
Without limits the cluster is that of the comparison's settings.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

import msgspec

from midstage.contracts.errors import MidstageError, UnreadableError
from midstage.contracts.policy import Policy
from midstage.eventlog.log import Log
from midstage.hpa.decide.forecast.floor import target_of
from midstage.hpa.simulate import source
from midstage.hpa.simulate.chart import chart
from midstage.hpa.simulate.cluster import Limits
from midstage.hpa.simulate.engine import Engine
from midstage.hpa.simulate.happened import happened
from midstage.hpa.simulate.past import Past
from midstage.hpa.simulate.picture import Panel, picture
from midstage.hpa.simulate.replay import USE, Figures, Run, judged, run
from midstage.hpa.simulate.series import STEP_S, Series

HAPPENED: Final = "what happened"
_POLICY: Final = msgspec.json.Decoder(Policy)
ASSUMED: Final = (
    "assumed: each replica serves {each:g} a second, {cold:g} s after it was ordered; a policy is "
    "asked each {asked:g} s and sees the mean of 60 s, 30 s late{richer}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A policy's run under the name of its file, or what happened under no policy's bounds."""

    name: str
    bounds: tuple[int, int] | None
    run: Run
    figures: Figures


def command(arguments: Sequence[str], *, log_at: Callable[[str], Log]) -> int:
    """Figures and a chart on stdout; 0 done, 1 what was given can't be read, 2 a wrong line."""
    asked = _parsed(arguments)
    try:
        series = _series(asked, log_at)
        found = [_tried(asked, Path(file), series) for file in (asked.policy, *asked.against)]
        if asked.kafka is not None and not asked.normalise:
            found += _happened(asked, series, log_at, each=found[0].run.each)
        if asked.plot is not None:
            Path(asked.plot).write_bytes(_drawn(found))
    except (MidstageError, OSError) as e:
        sys.stderr.write(f"{e}\n")
        return 1
    sys.stdout.write("\n".join(_told(asked, series, found)) + "\n")
    return 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="midstage.hpa.main backtest", description=__doc__)
    parser.add_argument("--policy", required=True, metavar="FILE", help="a policy as JSON")
    parser.add_argument("--against", action="append", default=[], metavar="FILE", help="another")
    source.options(parser)
    parser.add_argument(
        "--asked-each", type=float, default=STEP_S, metavar="SECONDS", help="so often is a policy"
    )
    parser.add_argument(
        "--normalise", action="store_true", help="100 replicas of 1 serve the 99.9th percentile"
    )
    parser.add_argument("--room", type=int, metavar="REPLICAS", help="so many find a place")
    parser.add_argument("--starts-per-minute", type=float, default=inf, metavar="REPLICAS")
    parser.add_argument("--queue", action="store_true", help="what is not served waits")
    parser.add_argument("--plot", metavar="FILE", help="a picture, PNG")
    parser.add_argument("--json", action="store_true", help="the figures alone, as JSON")
    return parser.parse_args(arguments)


def _series(asked: argparse.Namespace, log_at: Callable[[str], Log]) -> Series:
    series = source.past(asked, log_at)
    if asked.warm_up >= len(series.values) * STEP_S:
        raise UnreadableError(
            f"the series has {series.days:.1f} days and all of it is warm-up; give --warm-up"
        )
    return series.normalised() if asked.normalise else series


def _tried(asked: argparse.Namespace, file: Path, series: Series) -> Tried:
    policy = _policy(file)
    past = None
    if policy.forecast is not None:
        past = Past(series, policy.forecast, cold_start_s=asked.cold_start)
    engine = Engine(policy, begun=series.begun, past=past, cold_start_s=asked.cold_start)
    found = run(
        series,
        engine,
        each=_each(asked, policy),
        cold_start_s=asked.cold_start,
        limits=Limits(
            room=asked.room, starts_per_minute=asked.starts_per_minute, queue=asked.queue
        ),
        asked_each_s=asked.asked_each,
    )
    return Tried(
        name=file.stem,
        bounds=(policy.min, policy.max),
        run=found,
        figures=_judged(asked, found),
    )


def _happened(
    asked: argparse.Namespace, series: Series, log_at: Callable[[str], Log], *, each: float
) -> Iterator[Tried]:
    """What the cluster had meanwhile, where the log still holds it."""
    found = happened(log_at(asked.kafka), asked.app, series, each=each)
    if found is not None:
        yield Tried(name=HAPPENED, bounds=None, run=found, figures=_judged(asked, found))


def _judged(asked: argparse.Namespace, found: Run) -> Figures:
    return judged(found, begin=int(asked.warm_up // STEP_S))


def _drawn(found: Sequence[Tried]) -> bytes:
    return picture([Panel(name=each.name, run=each.run, bounds=each.bounds) for each in found])


def _policy(file: Path) -> Policy:
    try:
        policy = _POLICY.decode(file.read_bytes())
    except msgspec.MsgspecError as e:
        raise UnreadableError(f"{file} is no policy: {e}") from e
    if target_of(policy) is None:
        raise UnreadableError(
            f"{file}: a backtest goes by targets.requests_per_s or targets.concurrency"
        )
    return policy


def _each(asked: argparse.Namespace, policy: Policy) -> float:
    """What one replica serves; by itself it serves its target at 70 %."""
    target = target_of(policy) or 1.0
    if asked.carries is not None:
        return float(asked.carries)
    return 1.0 if asked.normalise else target / USE


def _told(asked: argparse.Namespace, series: Series, found: Sequence[Tried]) -> Sequence[str]:
    if asked.json:
        content = {each.name: msgspec.to_builtins(each.figures) for each in found}
        return [msgspec.json.format(msgspec.json.encode(content)).decode()]
    richer = "; what is not served waits in one queue" if asked.queue else ""
    if asked.room is not None:
        richer += f"; {asked.room} replicas find room"
    if asked.starts_per_minute != inf:
        richer += f"; {asked.starts_per_minute:g} replicas a minute begin to start"
    first = found[0]
    lines = [
        f"{series.days:.1f} days from {series.begun.isoformat()}, {first.figures.days:.1f} counted",
        ASSUMED.format(
            each=first.run.each, cold=asked.cold_start, asked=asked.asked_each, richer=richer
        ),
        "",
        _row("", *(each.name for each in found)),
        *(
            _row(words, *(shown(each.figures) for each in found))
            for words, shown in _FIGURES.items()
            if asked.queue or words != "waiting, s of load"
        ),
    ]
    for each in found:
        lines += ["", each.name, *chart(each.run, each.bounds)]
    return lines


_FIGURES: Final[dict[str, Callable[[Figures], str]]] = {
    "replica-hours": lambda one: f"{one.replica_hours:,.1f}",
    "cost, of the ideal": lambda one: f"{one.cost:.3f}",
    "violated, of the time": lambda one: f"{one.violation:.3%}",
    "violated, of the requests": lambda one: f"{one.violation_requests:.3%}",
    "lost, of the requests": lambda one: f"{one.lost:.3%}",
    "reversals a day": lambda one: f"{one.reversals:.1f}",
    "changes a day": lambda one: f"{one.changes:.1f}",
    "ordered to ready, s": lambda one: f"{one.ready_s:.0f}",
    "waiting, s of load": lambda one: f"{one.queued_s:.1f}",
}


def _row(words: str, *cells: str) -> str:
    return f"{words:<27}" + "".join(f"{cell:>18}" for cell in cells)
