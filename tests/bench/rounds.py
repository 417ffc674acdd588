"""Races: every contestant once a round, round after round, so that a slow minute hits all alike."""

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.figures import Taken

Runs = Callable[[], Mapping[str, float]]
"""One run of one contestant: its value by the name of the measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """Who runs; ``run`` prepares outside of its own clock and answers what it measured."""

    name: str
    run: Runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured; rates are compared, so a slow peer may have fewer events."""

    rounds: int
    events: int
    peer_events: int
    commands: int
    ledger_events: int
    seconds: float
    month_events: int = 3_000_000
    unnumbered: int = 1_000_000
    connections: int = 32
    evaluations: int = 100_000
    rate: int = 60_000


FULL = Size(
    rounds=5, events=200_000, peer_events=20_000, commands=1_500, ledger_events=300_000, seconds=2.5
)
QUICK = Size(
    rounds=1,
    events=6_000,
    peer_events=1_000,
    commands=40,
    ledger_events=10_000,
    seconds=0.4,
    month_events=100_000,
    unnumbered=20_000,
    connections=4,
    evaluations=12_000,
    rate=2_000,
)


def interleaved(contestants: Sequence[Contestant], *, group: str, rounds: int) -> Taken:
    """Run A B C A B C …; the values by measure and contestant, in the order of the rounds."""
    taken: dict[str, dict[str, list[float]]] = {}
    for number in range(1, rounds + 1):
        for contestant in contestants:
            gc.collect()
            for measure, value in contestant.run().items():
                taken.setdefault(measure, {}).setdefault(contestant.name, []).append(value)
                say(f"{group}: round {number}/{rounds}: {contestant.name}: {measure} {value:,.2f}")
    return taken


def say(text: str) -> None:
    """One line of progress on stderr, with the time of day."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def quantile(values: Sequence[float], q: float) -> float:
    """The value that a share ``q`` of ``values`` does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
