"""``make bench``: midstage's speed beside its peers, on this machine, in one run.

``python -m tests.bench [GROUP …] [--quick] [--out DIRECTORY]``; progress on stderr, tables on
stdout, ``results.json`` and ``results.md`` in the directory. No time is asserted anywhere.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from rich.console import Console

from midstage.local.kafka import running_kafka
from tests.bench import (
    adding,
    again,
    asking,
    changing,
    checking,
    closing,
    deciding,
    decisions,
    durable,
    edge,
    eventlog,
    keeping,
    kubernetes,
    leased,
    ledger,
    live,
    logged,
    machine,
    many,
    paging,
    recounting,
    replacing,
    restarting,
    scaling,
    seen,
    series,
    stepping,
    watching,
)
from tests.bench.figures import Figure
from tests.bench.notes import NOTES
from tests.bench.report import Report, shown, written
from tests.bench.rounds import FULL, QUICK, Size, say


class Race(Protocol):
    """One group: what it compares, on this broker, with files in this directory."""

    def __call__(self, *, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
        """Run all rounds; the figures in the order in which they are shown."""
        ...


GROUPS: Mapping[str, Race] = {
    "eventlog": eventlog.race,
    "versions": decisions.race,
    "stats": ledger.race,
    "stats-live": live.race,
    "seen": seen.race,
    "restart": restarting.race,
    "usage": asking.race,
    "gateway": edge.race,
    "checks": checking.race,
    "checks-envoy": adding.race,
    "checks-many": keeping.race,
    "checks-strict": durable.race,
    "checks-back": recounting.race,
    "limit-changes": changing.race,
    "leased": leased.race,
    "control": watching.race,
    "inventory": paging.race,
    "kubernetes": kubernetes.race,
    "hpa": scaling.race,
    "replay": again.race,
    "replay-log": logged.race,
    "hpa-series": series.race,
    "hpa-latency": stepping.race,
    "hpa-many": many.race,
    "hpa-decisions": deciding.race,
    "deploy": replacing.race,
    "loop": closing.race,
}

_OWN_BROKER = {edge.GROUP, adding.GROUP, changing.GROUP, checking.GROUP, durable.GROUP}


def main(arguments: Sequence[str]) -> int:
    """Run the groups that were asked for; 0 when all of them came to an end."""
    asked = _parsed(arguments)
    groups: list[str] = asked.groups or list(GROUPS)
    if asked.kafka and (own := _OWN_BROKER & set(groups)):
        left = " and ".join(sorted(own))
        sys.stderr.write(f"--kafka: throttle would find that broker's limits; leave {left} out\n")
        return 2
    size = QUICK if asked.quick else FULL
    size = replace(
        size,
        month_events=asked.month or size.month_events,
        unnumbered=asked.unnumbered or size.unnumbered,
        evaluations=asked.evaluations or size.evaluations,
        rate=asked.rate or size.rate,
    )
    with tempfile.TemporaryDirectory(prefix="midstage-bench-") as directory:
        report = _run(groups, size=size, kafka=asked.kafka, directory=Path(directory))
    shown(report, Console(width=140))
    written(report, asked.out)
    say(f"written: {asked.out}/results.json and results.md")
    return 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    known = [*GROUPS, []]  # argparse checks the empty list too
    parser.add_argument("groups", nargs="*", choices=known, metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds")
    parser.add_argument("--month", type=int, metavar="EVENTS", help="in the ledger that is asked")
    parser.add_argument("--unnumbered", type=int, metavar="EVENTS", help="before a restart")
    parser.add_argument("--evaluations", type=int, metavar="N", help="in the log that is replayed")
    parser.add_argument("--rate", type=int, metavar="EVENTS", help="a second, to a live stats")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), metavar="DIRECTORY")
    parser.add_argument("--kafka", default="", metavar="ADDRESS", help="a broker that runs")
    return parser.parse_args(arguments)


def _run(groups: Sequence[str], *, size: Size, kafka: str, directory: Path) -> Report:
    figures: list[Figure] = []
    with _broker(kafka, directory / "kafka") as bootstrap:
        for group in groups:
            say(f"{group}: begins")
            figures += GROUPS[group](bootstrap=bootstrap, directory=directory, size=size)
    notes = [note for group in groups for note in NOTES[group]]
    return Report(machine=machine.facts(), notes=notes, figures=figures)


@contextlib.contextmanager
def _broker(given: str, directory: Path) -> Iterator[str]:
    if given:
        yield given
        return
    say("starting Kafka")
    with running_kafka(directory) as bootstrap:
        yield bootstrap


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
