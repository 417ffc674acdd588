"""``make bench``: midstage's speed beside its peers, on this machine, in one run.

``python -m tests.bench [GROUP …] [--quick] [--out DIRECTORY]``; progress on stderr, tables on
stdout, ``results.json`` and ``results.md`` in the directory. No time is asserted anywhere.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from midstage.local.kafka import running_kafka
from tests.bench import decisions, eventlog, ledger, machine
from tests.bench.figures import Figure
from tests.bench.notes import NOTES
from tests.bench.report import Report, shown, written
from tests.bench.rounds import FULL, QUICK, Size, say

Race = Callable[..., list[Figure]]

GROUPS: Mapping[str, Race] = {
    "eventlog": eventlog.race,
    "versions": decisions.race,
    "stats": ledger.race,
}
_ANY_BROKER = frozenset({"eventlog", "versions", "stats"})


def main(arguments: Sequence[str]) -> int:
    """Run the groups that were asked for; 0 when all of them came to an end."""
    asked = _parsed(arguments)
    groups: list[str] = asked.groups or list(GROUPS)
    if asked.kafka and not _ANY_BROKER.issuperset(groups):
        sys.stderr.write("--kafka does not serve gateway: throttle needs a broker of its own\n")
        return 2
    size = QUICK if asked.quick else FULL
    with tempfile.TemporaryDirectory(prefix="midstage-bench-") as directory:
        report = _run(groups, size=size, kafka=asked.kafka, directory=Path(directory))
    shown(report, Console(width=140))
    written(report, asked.out)
    say(f"written: {asked.out}/results.json and results.md")
    return 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], metavar="GROUP")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds")
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
