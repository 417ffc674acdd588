"""Some small files become one, a slice at a time, so that no commit waits for a whole merge.

The new file is whole under its own name before those that it replaces go: a death in between
leaves both, and the start prefers the one that covers more rows.
"""

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from midstage.eventlog.failpoint import Failpoint
from midstage.stats.adapters.seen.draft import Draft
from midstage.stats.adapters.seen.hashes import in_order
from midstage.stats.adapters.seen.layout import Covers
from midstage.stats.adapters.seen.sealed import SHARES, SealedFile

FAN_OUT = 5
MOST_MERGED = 1 << 24
MOST_DAYS = 10
"""Days of commits in one file: it goes as a whole, when its newest hash may."""
_SLICE = 1 << 17


def due(files: Sequence[SealedFile], *, smallest: int) -> Sequence[SealedFile]:
    """Neighbours, ``FAN_OUT`` of one level, that shall become one; the newest that there are."""
    for last in range(len(files), FAN_OUT - 1, -1):
        row = files[last - FAN_OUT : last]
        levels = {_level(len(file), smallest) for file in row}
        days = (row[-1].covers.until - row[0].covers.since).days
        if len(levels) == 1 and sum(map(len, row)) <= MOST_MERGED and days <= MOST_DAYS:
            return row
    return ()


def merging(
    files: Sequence[SealedFile], folder: Path, *, ledger: str, reached: Failpoint
) -> Generator[SealedFile | None]:
    """Merge neighbours; None after each slice, the new file at the end."""
    first, last = files[0].covers, files[-1].covers
    covers = Covers(after=first.after, upto=last.upto, since=first.since, until=last.until)
    count = sum(map(len, files))
    draft = Draft(folder, covers, ledger=ledger, count=count, reached=reached)
    step = max(1, SHARES * _SLICE // max(1, count))
    try:
        for lowest in range(0, SHARES, step):
            parts = [file.between(lowest, min(SHARES, lowest + step)) for file in files]
            draft.append(in_order(np.concatenate(parts)))
            yield None
    except BaseException:
        draft.abandoned()
        raise
    yield SealedFile(draft.sealed())


def _level(count: int, smallest: int) -> int:
    level, most = 0, 2 * smallest
    while count >= most:
        level, most = level + 1, most * FAN_OUT
    return level
