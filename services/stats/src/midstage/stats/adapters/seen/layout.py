"""How a file of hashes is laid out: a header, the hashes sorted, their sieve, the buckets' begins.

The name says which rows of the ledger the file covers and the day from which it may go; the header
carries a checksum of all that follows, and one of itself. A bucket is a range of upper halves.
"""

import os
import re
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from midstage.stats.adapters.seen import sieve
from midstage.stats.adapters.seen.hashes import HASH_BYTES

FORMAT = 1
HEADER_BYTES = 512
BEGIN_BYTES = 4
DRAFT = ".draft"
KEPT = timedelta(days=36)
"""From the last day of a file's commits: so each hash counts for 35 whole days at least."""
_CHECKSUM_BYTES = 4
_BUCKET = 256
_NAME = re.compile(r"(\d{20})-(\d{20})-(\d{8})\.seen")


class DamagedError(Exception):
    """The file is not what was once written; what it held must come from the ledger again."""


class ForeignError(DamagedError):
    """The file is of another ledger: what it says of rows and days is said of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Covers:
    """Rows above ``after`` up to ``upto``, committed from the day ``since`` to ``until`` (UTC)."""

    after: int
    upto: int
    since: date
    until: date

    @property
    def gone_on(self) -> date:
        """The day from which the file may be dropped."""
        return self.until + KEPT

    @property
    def name(self) -> str:
        """The file's name; names sort by rows."""
        return f"{self.after:020d}-{self.upto:020d}-{self.gone_on:%Y%m%d}.seen"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of itself; ``crc32`` is of all bytes behind the header.

    ``ledger`` is the name of the one whose rows these are; files of before have none.
    """

    format: int
    count: int
    after: int
    upto: int
    since: date
    until: date
    crc32: int
    ledger: str = ""

    @property
    def covers(self) -> Covers:
        """The rows and days that the file stands for."""
        return Covers(after=self.after, upto=self.upto, since=self.since, until=self.until)

    @property
    def sieve_at(self) -> int:
        """Where the sieve begins, in bytes."""
        return HEADER_BYTES + self.count * HASH_BYTES

    @property
    def begins_at(self) -> int:
        """Where the buckets' begins are, in bytes."""
        return self.sieve_at + sieve.words_for(self.count) * sieve.WORD_BYTES

    @property
    def file_bytes(self) -> int:
        """How long the file is."""
        return self.begins_at + (buckets_for(self.count) + 1) * BEGIN_BYTES

    def block(self) -> bytes:
        """The header's bytes."""
        text = msgspec.json.encode(self).ljust(HEADER_BYTES - _CHECKSUM_BYTES)
        return _checksum(text) + text


_header = msgspec.json.Decoder(Header).decode


def header(block: bytes) -> Header:
    """What the first bytes of a file say; DamagedError where they are not as they were written."""
    checksum, text = block[:_CHECKSUM_BYTES], block[_CHECKSUM_BYTES:]
    if len(block) < HEADER_BYTES or checksum != _checksum(text):
        raise DamagedError("its header is not whole")
    said = _header(text)
    if said.format != FORMAT:
        raise DamagedError(f"it has format {said.format}, this midstage knows {FORMAT}")
    return said


def named(path: Path) -> Covers | None:
    """What a file's name says (of the days only the last); None where it is no name of ours."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    until = datetime.strptime(match[3], "%Y%m%d").replace(tzinfo=UTC).date() - KEPT
    return Covers(after=int(match[1]), upto=int(match[2]), since=until, until=until)


def buckets_for(count: int) -> int:
    """A power of two, so that a bucket holds 128 to 256 hashes or so: a page of the disk."""
    return 1 << _bucket_bits(count)


def bucket_shift(count: int) -> np.uint64:
    """By how much an upper half is shifted to give its bucket."""
    return np.uint64(64 - _bucket_bits(count))


def synced(folder: Path) -> None:
    """Make the names in the folder durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _bucket_bits(count: int) -> int:
    return max(1, (count // _BUCKET).bit_length())


def _checksum(text: bytes) -> bytes:
    return zlib.crc32(text).to_bytes(_CHECKSUM_BYTES, "little")
