"""What counted already among events without numbers, for 35 days: files of their hashes.

The newest hashes are in memory, the others in immutable files; a file is written from what was
committed, so files never run ahead of the ledger, and what lies above their mark is read from it
again at the start. One thread absorbs and asks.
"""

from collections.abc import Callable, Generator, Sequence
from datetime import date, datetime
from pathlib import Path

import numpy as np

from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.stats.adapters.seen import merging, recovery, sieve
from midstage.stats.adapters.seen.draft import Draft
from midstage.stats.adapters.seen.hashes import NO_HASHES, Flags, Hashes, among, merged
from midstage.stats.adapters.seen.layout import Covers
from midstage.stats.adapters.seen.sealed import SealedFile

SEAL_AT = 1 << 19
"""Hashes in memory that become a file; so many are read from the ledger at a start at most."""


class HashFiles:
    """The hashes of one ledger in one folder: about 17.6 bytes each on disk, 1.6 in memory."""

    def __init__(
        self,
        folder: Path,
        *,
        ledger: str = "",
        last_row: int,
        left_upto: int = 0,
        lacking: Callable[[int], Sequence[str]] = lambda _: ("the archive",),
        now: Callable[[], datetime],
        reached: Failpoint = nothing,
        seal_at: int = SEAL_AT,
    ) -> None:
        """Open the folder of this ``ledger``, which ends at ``last_row``, or make it.

        What the ledger holds above ``mark`` must be absorbed before anything is asked. Rows up to
        ``left_upto`` are in its archive: UnavailableError where files of them are damaged and the
        archive is ``lacking`` something above a mark too, which it names.
        """
        self._folder = folder
        self._ledger = ledger
        self._now = now
        self._reached = reached
        self._seal_at = seal_at
        self._files = recovery.recovered(
            folder,
            ledger=ledger,
            last_row=last_row,
            left_upto=left_upto,
            lacking=lacking,
            today=self._today(),
        )
        floor = recovery.floor(folder, ledger)
        self._mark = self._files[-1].covers.upto if self._files else floor
        self._row = self._mark
        self._since = self._today()
        self._recent = NO_HASHES
        self._merging: Generator[SealedFile | None] | None = None

    def known(self, marks: Hashes) -> Flags:
        """Of each hash, in their order, whether it was absorbed; shape (n, 2) gives (n,)."""
        found = among(self._recent, marks)
        bits = sieve.masks(marks)
        for file in self._files:
            left = np.flatnonzero(~found)
            found[left] = file.holds(marks[left], bits[left])
        return found

    def absorb(self, marks: Hashes, *, row: int) -> None:
        """Take in the new hashes of a commit that ended with ``row``, after it; none will do too.

        Some calls make a file of ``seal_at`` hashes or so; each does a slice of a due merge.
        """
        if len(marks):
            self._recent = merged(self._recent, marks)
        self._row = row
        if len(self._recent) >= self._seal_at or self._today() > self._since:
            self._seal()
        self._merge()

    def seal(self) -> None:
        """Make a file of what is in memory, so that ``mark`` is the last row absorbed."""
        self._seal()

    def mark(self) -> int:
        """The row up to which the files hold all."""
        return self._mark

    def close(self) -> None:
        """Let go of the files; what was not sealed is read from the ledger at the next start."""
        self._stop_merging()
        for file in self._files:
            file.close()

    def _seal(self) -> None:
        """A file of what is in memory; without any hash too, so that the mark moves each day."""
        if self._row > self._mark:
            covers = Covers(
                after=self._mark, upto=self._row, since=self._since, until=self._today()
            )
            count = len(self._recent)
            draft = Draft(
                self._folder, covers, ledger=self._ledger, count=count, reached=self._reached
            )
            draft.append(self._recent)
            self._files.append(SealedFile(draft.sealed()))
            self._mark, self._recent = self._row, NO_HASHES
        if self._today() > self._since:
            self._since = self._today()
            self._drop_old()

    def _merge(self) -> None:
        """One slice of a merge, where one is due."""
        if self._merging is None:
            row = merging.due(self._files, smallest=self._seal_at)
            if not row:
                return
            self._merging = merging.merging(
                row, self._folder, ledger=self._ledger, reached=self._reached
            )
        done = next(self._merging)
        if done is not None:
            self._reached("seen:merged")
            self._replaced(done)
            self._merging = None

    def _replaced(self, by: SealedFile) -> None:
        """The merged file stands for all whose rows it covers."""
        before = [file for file in self._files if file.covers.after < by.covers.after]
        after = [file for file in self._files if file.covers.upto > by.covers.upto]
        for file in self._files[len(before) : len(self._files) - len(after)]:
            file.remove()
        self._files = [*before, by, *after]

    def _drop_old(self) -> None:
        self._stop_merging()
        self._files = recovery.drop_old(
            self._folder, self._files, ledger=self._ledger, today=self._today()
        )

    def _stop_merging(self) -> None:
        """What was merged so far is given up; a merge must not bring back what is dropped."""
        if self._merging is not None:
            self._merging.close()
            self._merging = None

    def _today(self) -> date:
        return self._now().date()
