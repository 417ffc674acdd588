"""A whole file of hashes, open for look-ups: its sieve in memory, the hashes read by bucket.

Opening reads every byte once and compares the checksum, so what is damaged is found at the start.
"""

import os
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from midstage.stats.adapters.seen import sieve
from midstage.stats.adapters.seen.hashes import HASH_BYTES, NO_HASHES, Flags, Hashes, among
from midstage.stats.adapters.seen.layout import (
    HEADER_BYTES,
    DamagedError,
    bucket_shift,
    header,
)

SHARES = 1 << 16
_SHARE_SHIFT = 48
_BLOCK_BYTES = 1 << 20


class SealedFile:
    """A whole file, open for look-ups; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Read its sieve into memory; DamagedError where a byte is not as it was written."""
        self.path = path
        self._fd = os.open(path, os.O_RDONLY)
        try:
            self._header = header(os.pread(self._fd, HEADER_BYTES, 0))
            self._check()
            self._words, self._begins = self._tables()
        except BaseException:
            os.close(self._fd)
            raise
        self.covers = self._header.covers
        self.ledger = self._header.ledger

    def __len__(self) -> int:
        """How many hashes it holds."""
        return self._header.count

    def holds(self, asked: Hashes, bits: sieve.Words) -> Flags:
        """Of each hash whether it is in the file; ``bits`` are their masks."""
        found = np.zeros(len(asked), np.bool_)
        maybe = np.flatnonzero(sieve.let_through(self._words, asked, bits))
        if len(maybe):
            found[maybe] = among(self._near(asked[maybe]), asked[maybe])
        return found

    def between(self, lowest: int, beyond: int) -> Hashes:
        """Those whose upper half, as a share of 2^16, is from ``lowest`` to before ``beyond``."""
        first, last = (self._rank(bound) for bound in (lowest, beyond))
        return self._read(first, last)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def remove(self) -> None:
        """Close it and take it away."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _near(self, asked: Hashes) -> Hashes:
        """All hashes of the buckets in which these would lie, sorted."""
        buckets = np.unique(asked[:, 0] >> bucket_shift(len(self))).astype(np.int64)
        firsts, lasts = self._begins[buckets].tolist(), self._begins[buckets + 1].tolist()
        parts = [self._bytes(first, last) for first, last in zip(firsts, lasts, strict=True)]
        return _hashes(b"".join(parts))

    def _rank(self, bound: int) -> int:
        """How many hashes lie below a bound, which is a share of 2^16."""
        if bound >= SHARES:
            return len(self)
        upper = np.uint64(bound << _SHARE_SHIFT)
        bucket = int(upper >> bucket_shift(len(self)))
        begin = int(self._begins[bucket])
        inside = self._read(begin, int(self._begins[bucket + 1]))
        return begin + int(np.searchsorted(inside[:, 0], upper))

    def _read(self, first: int, last: int) -> Hashes:
        return _hashes(self._bytes(first, last)) if last > first else NO_HASHES

    def _bytes(self, first: int, last: int) -> bytes:
        size = (last - first) * HASH_BYTES
        content = os.pread(self._fd, size, HEADER_BYTES + first * HASH_BYTES)
        if len(content) != size:
            raise DamagedError(f"{self.path} became shorter")
        return content

    def _check(self) -> None:
        if os.fstat(self._fd).st_size != self._header.file_bytes:
            raise DamagedError("it has not the size that its header says")
        crc, at = 0, HEADER_BYTES
        while block := os.pread(self._fd, _BLOCK_BYTES, at):
            crc, at = zlib.crc32(block, crc), at + len(block)
        if crc != self._header.crc32:
            raise DamagedError("its checksum does not agree")

    def _tables(self) -> tuple[sieve.Words, NDArray[np.uint32]]:
        at, then, end = self._header.sieve_at, self._header.begins_at, self._header.file_bytes
        words = os.pread(self._fd, then - at, at)
        begins = os.pread(self._fd, end - then, then)
        return np.frombuffer(words, np.uint64), np.frombuffer(begins, np.uint32)


def _hashes(content: bytes) -> Hashes:
    return np.frombuffer(content, np.uint64).reshape(-1, 2)
