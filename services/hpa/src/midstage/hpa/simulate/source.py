"""Where a command's past comes from: a file, or the log; and what is said of its replicas."""

import argparse
from collections.abc import Callable
from pathlib import Path

from midstage.eventlog.log import Log
from midstage.hpa.simulate.cluster import COLD_START_S
from midstage.hpa.simulate.logged import logged
from midstage.hpa.simulate.replay import WARM_UP_S
from midstage.hpa.simulate.series import Series, read


def options(parser: argparse.ArgumentParser) -> None:
    """Those that say which past it is, and how it is replayed."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--series", metavar="CSV", help="time and value, with a header")
    source.add_argument("--kafka", metavar="ADDRESS", help="the load facts of --app in its log")
    parser.add_argument("--app", default="", help="the application, with --kafka")
    parser.add_argument("--cold-start", type=float, default=COLD_START_S, metavar="SECONDS")
    parser.add_argument("--carries", type=float, metavar="LOAD", help="what one replica serves")
    parser.add_argument("--warm-up", type=float, default=float(WARM_UP_S), metavar="SECONDS")


def past(asked: argparse.Namespace, log_at: Callable[[str], Log]) -> Series:
    """The series that was asked for; UnreadableError, OSError."""
    if asked.kafka is not None:
        return logged(log_at(asked.kafka), asked.app)
    with Path(asked.series).open(encoding="utf-8", newline="") as file:
        return read(file)
