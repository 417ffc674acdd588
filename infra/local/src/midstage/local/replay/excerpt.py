"""Makes ``traces/conv.csv``: the busiest quarter of an hour of the full trace, thinned in waves.

``python -m midstage.local.replay.excerpt FULL.csv EXCERPT.csv``. Of the share of rows that
``WAVES`` names for their second as many are kept, evenly, by counting and not by chance: the same
trace gives the same bytes. A kept row is unchanged; all other rows are left out.
"""

import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from midstage.local.replay.trace import Arrival, TraceError, parsed

QUARTER_S: Final = 900.0
VALLEY: Final = 0.2
"""In a valley one row in five is kept."""

WAVES: Final = (
    *((0.0, VALLEY), (35.0, VALLEY)),
    *((55.0, 1.0), (190.0, 1.0)),
    *((210.0, VALLEY), (345.0, VALLEY)),
    *((365.0, 1.0), (500.0, 1.0)),
    *((520.0, VALLEY), (655.0, VALLEY)),
    *((675.0, 1.0), (765.0, 1.0)),
)
"""Seconds since the quarter's first row, and the share of rows kept there; straight between them.

At speed 4 a crest and a valley last 30 s and more, so that whoever waits 15 s before it shrinks
does it twice before the last request. The first rise starts low, the last crest is cut by the end.
"""


def excerpt(lines: Sequence[str]) -> Iterator[str]:
    """The header line and the kept lines of a whole trace; TraceError for a bad row."""
    arrivals = parsed(lines, name="the full trace")
    first = busiest(arrivals)
    begun = arrivals[first].at_s
    yield lines[0]
    owed = 0.0
    for line, arrival in zip(lines[first + 1 :], arrivals[first:], strict=True):
        at_s = arrival.at_s - begun
        if at_s > WAVES[-1][0]:
            return
        owed += share(at_s)
        if owed >= 1:
            owed -= 1
            yield line


def busiest(arrivals: Sequence[Arrival]) -> int:
    """The index of the row with which the quarter of an hour with the most rows begins."""
    times = [arrival.at_s for arrival in arrivals]

    def rows(first: int) -> int:
        return bisect_left(times, times[first] + QUARTER_S) - first

    return max(range(len(times)), key=rows)


def share(at_s: float) -> float:
    """The share of rows that is kept ``at_s`` seconds after the first row of the quarter."""
    for (left_s, left), (right_s, right) in pairwise(WAVES):
        if left_s <= at_s <= right_s:
            return left + (right - left) * (at_s - left_s) / (right_s - left_s)
    return 0.0


def main(argv: Sequence[str]) -> int:
    """Write the excerpt; 2 where the trace can't be read."""
    if len(argv) != 2:
        sys.stderr.write("usage: python -m midstage.local.replay.excerpt FULL.csv EXCERPT.csv\n")
        return 2
    full, target = map(Path, argv)
    try:
        kept = list(excerpt(full.read_text(encoding="utf-8").splitlines()))
        target.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8", newline="\n")
    except (TraceError, OSError, UnicodeDecodeError) as e:
        sys.stderr.write(f"{e}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
