"""A file of hashes while it is written: under a draft's name, then synced and renamed.

Under its own name a file is whole, whatever line the process dies at.
"""

import os
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from midstage.eventlog.failpoint import Failpoint
from midstage.stats.adapters.seen import sieve
from midstage.stats.adapters.seen.hashes import Hashes
from midstage.stats.adapters.seen.layout import (
    DRAFT,
    FORMAT,
    HEADER_BYTES,
    Covers,
    Header,
    bucket_shift,
    buckets_for,
    synced,
)


class Draft:
    """A file for exactly ``count`` hashes, from sorted slices in ascending order."""

    def __init__(
        self, folder: Path, covers: Covers, *, ledger: str, count: int, reached: Failpoint
    ) -> None:
        """Begin it, for rows of this ledger."""
        self._covers = covers
        self._ledger = ledger
        self._count = count
        self._reached = reached
        self._path = folder / covers.name
        self._draft = self._path.with_name(f"{self._path.name}{DRAFT}")
        self._words = np.zeros(sieve.words_for(count), np.uint64)
        self._buckets = np.zeros(buckets_for(count), np.int64)
        self._crc = 0
        self._file = self._draft.open("wb")
        self._file.seek(HEADER_BYTES)

    def append(self, hashes: Hashes) -> None:
        """Add the next slice; each of its hashes sorts after those before."""
        self._write(hashes)
        sieve.put_in(self._words, hashes)
        buckets = (hashes[:, 0] >> bucket_shift(self._count)).astype(np.int64)
        self._buckets += np.bincount(buckets, minlength=len(self._buckets))

    def sealed(self) -> Path:
        """Make it durable under its own name, which is given."""
        begins = np.concatenate(([0], np.cumsum(self._buckets)))
        self._write(self._words)
        self._write(begins.astype(np.uint32))
        self._file.seek(0)
        self._file.write(self._header().block())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._reached("seen:drafted")
        self._draft.replace(self._path)
        synced(self._path.parent)
        self._reached("seen:sealed")
        return self._path

    def abandoned(self) -> None:
        """Give it up."""
        self._file.close()
        self._draft.unlink(missing_ok=True)

    def _write(self, column: NDArray[np.generic]) -> None:
        content = column.tobytes()
        self._crc = zlib.crc32(content, self._crc)
        self._file.write(content)

    def _header(self) -> Header:
        return Header(
            format=FORMAT,
            count=self._count,
            after=self._covers.after,
            upto=self._covers.upto,
            since=self._covers.since,
            until=self._covers.until,
            crc32=self._crc,
            ledger=self._ledger,
        )
