"""``make bench-crash``: a million events, a hundred deaths, and every sum is still the true one.

``python -m tests.bench.crash [--events N] [--kills N] [--seed N] [--shards N] [--minutes N]
[--skip N] [--keep FOLDER] [--wrong NAME]``; progress on stderr, what was found as JSON on stdout; 1
where something does not hold, or where the run did not hurt enough to prove anything. ``spared``
are the failpoints where nobody died: of a small run many, of a full one none, or it says so. After
so many minutes it ends and says with which ``--skip`` the seed's other deaths follow.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.crash.cast import Plan
from tests.crash.run import run
from tests.crash.verdict import Verdict
from tests.crash.wrong import WRONGS


def main(arguments: Sequence[str]) -> int:
    """One run; 0 where everything holds and it hurt."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.crash", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=110)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shards", type=int, default=3)
    parser.add_argument("--edges", type=int, default=3)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--wrong", choices=["", *WRONGS], default="", help="what must be found out")
    parser.add_argument("--keep", type=Path, help="a new folder for everything, which stays")
    parser.add_argument("--minutes", type=float, default=120.0, help="no death after them")
    parser.add_argument("--skip", type=int, default=0, help="so many of the seed's deaths")
    asked = parser.parse_args(arguments)
    plan = Plan(
        seed=asked.seed,
        events=asked.events,
        kills=asked.kills,
        shards=asked.shards,
        edges=asked.edges,
        clients=asked.clients,
        wrong=asked.wrong,
        skip=asked.skip,
        within_s=60 * asked.minutes,
    )
    if asked.keep is not None:
        asked.keep.mkdir(parents=True)
        return told(run(plan, asked.keep))
    with tempfile.TemporaryDirectory(prefix="midstage-crash-") as folder:
        return told(run(plan, Path(folder)))


def told(verdict: Verdict) -> int:
    """Say what was found."""
    text = msgspec.json.format(msgspec.json.encode(verdict), indent=2)
    sys.stdout.write(f"{text.decode()}\n")
    return 0 if not verdict.wrong and not verdict.evidence.lacking() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
