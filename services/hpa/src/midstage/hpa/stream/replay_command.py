"""``python -m midstage.hpa.main replay``: the replay on the command line, with the log itself."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime

from midstage.contracts.errors import MidstageError
from midstage.eventlog.log import Log
from midstage.hpa.stream.judging import Judges
from midstage.hpa.stream.processors import usable
from midstage.hpa.stream.replay import replaying
from midstage.hpa.views.replays import Replayed, Which, told


def command(arguments: Sequence[str], *, log_at: Callable[[str], Log]) -> int:
    """Sums and the first difference on stdout; 0 all equal, 1 not, 2 a wrong command line."""
    asked = _parsed(arguments)
    which = Which(app=asked.app, since=asked.since, until=asked.until, deep=asked.deep)
    try:
        found = _replayed(log_at(asked.kafka), which, asked.processes)
    except MidstageError as e:
        sys.stderr.write(f"{e}\n")
        return 1
    sys.stdout.write(f"{told(found)}\n")
    if found.first_difference is not None:
        sys.stdout.write(f"first difference: {found.first_difference}\n")
    return 0 if found.equal else 1


def _replayed(log: Log, which: Which, processes: int | None) -> Replayed:
    """All of it; how far it is stands on stderr where that is a terminal."""
    others = usable() if processes is None else processes
    found, shown = Replayed(), sys.stderr.isatty()
    for found in replaying(log, which=which, judges=Judges(others) if others > 0 else None):
        if shown:
            sys.stderr.write(f"\r\x1b[K{told(found)}")
    if shown:
        sys.stderr.write("\r\x1b[K")
    return found


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="midstage.hpa.main replay", description=__doc__)
    parser.add_argument("app", nargs="?", metavar="APP", help="only this application")
    parser.add_argument("--kafka", required=True, metavar="ADDRESS", help="bootstrap servers")
    parser.add_argument("--deep", action="store_true", help="from the topics, too")
    parser.add_argument("--from", dest="since", type=_time, metavar="TIME", help="RFC 3339")
    parser.add_argument("--to", dest="until", type=_time, metavar="TIME", help="RFC 3339")
    parser.add_argument(
        "--processes", type=int, metavar="N", help="that judge at once beside this one, or 0"
    )
    return parser.parse_args(arguments)


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no offset from UTC")
    return at
