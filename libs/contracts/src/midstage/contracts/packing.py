"""A sketch's counts as a short text: the same counts give the same text, on every machine.

From bucket to bucket the gap and the count's difference from what its neighbours let expect are
written in exponential Golomb codes (as in ITU-T H.264, 9.1) whose order follows the data; then
base64. 10,000 lognormal values take about 320 characters. No compressor is asked: their versions
differ in bytes, and a few bytes of theirs can unfold to gigabytes.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from functools import lru_cache

LOWEST, HIGHEST = -1_000, 35_000
"""Buckets are within these: the smallest value that is no zero is in -345, 1e304 is in 35,000."""
LARGEST_COUNT = 2**53
LONGEST_TEXT = 64 * 1024
_LONGEST_PREFIX = 64


def text(buckets: Iterable[tuple[int, int]], *, zeros: int) -> str:
    """The text of ``zeros`` and of (bucket, count) in ascending order, each count at least 1."""
    held = list(buckets)
    bits = [_code(zeros, 0), _code(len(held), 6)]
    if held:
        bits += _body(held)
    line = "".join(bits)
    size = -(-len(line) // 8)
    return base64.b64encode(int(line.ljust(8 * size, "0"), 2).to_bytes(size, "big")).decode()


def read(said: str) -> tuple[int, list[tuple[int, int]]]:
    """The zeros and the (bucket, count) of a text; ValueError where ``text`` never wrote it."""
    if len(said) > LONGEST_TEXT:
        raise ValueError(f"a packed sketch of {len(said)} characters, {LONGEST_TEXT} at most")
    reader = _Bits(_bytes(said))
    zeros, number = reader.next(0), reader.next(6)
    if zeros > LARGEST_COUNT or number > HIGHEST - LOWEST:
        raise ValueError("a packed sketch counts more than there can be")
    found = list(_buckets(reader, number))
    reader.end()
    return zeros, found


class _Expected:
    """What the next gap and count will be about, from those before; whole numbers alone."""

    __slots__ = ("_count", "_gap", "_off", "count", "gap_order", "off_order")

    def __init__(self) -> None:
        self._gap = self._count = self._off = 0  # in sixteenths
        self.gap_order = self.off_order = self.count = 0

    def saw(self, gap: int, count: int, off: int) -> None:
        self._gap += (16 * gap - self._gap) >> 2
        self._off += (16 * off - self._off) >> 2
        before = self._count if gap == 0 else self._count >> 1 if gap == 1 else 0
        self._count = before + ((16 * count - before) >> 1)
        self.gap_order = (self._gap >> 4).bit_length()
        self.off_order = (self._off >> 5).bit_length()
        self.count = (self._count + 8) >> 4


class _Bits:
    """Codes out of bytes, one after the other."""

    def __init__(self, raw: bytes) -> None:
        self._line = format(int.from_bytes(b"\x01" + raw, "big"), "b")
        self._at = 1

    def next(self, order: int) -> int:
        one = self._line.find("1", self._at)
        end = 2 * one - self._at + order + 1
        if one < 0 or one - self._at > _LONGEST_PREFIX or end > len(self._line):
            raise ValueError("a packed sketch ends within a number")
        self._at = end
        return int(self._line[one:end], 2) - (1 << order)

    def end(self) -> None:
        rest = self._line[self._at :]
        if len(rest) >= 8 or "1" in rest:
            raise ValueError("a packed sketch goes on after its end")


def _body(held: list[tuple[int, int]]) -> list[str]:
    """As ``_Expected`` has it, without a call for each bucket: stats writes thousands a second."""
    first = held[0][0]
    bits = [_code(_folded(first), 8)]
    gaps = counts = offs = gap_order = off_order = expected = 0
    last = first - 1
    for bucket, count in held:
        gap, off = bucket - last - 1, count - expected
        off = 2 * off if off >= 0 else -2 * off - 1
        bits += (_code(gap, gap_order), _code(off, off_order))
        gaps += (16 * gap - gaps) >> 2
        offs += (16 * off - offs) >> 2
        before = counts if gap == 0 else counts >> 1 if gap == 1 else 0
        counts = before + ((16 * count - before) >> 1)
        gap_order, off_order = (gaps >> 4).bit_length(), (offs >> 5).bit_length()
        expected = (counts + 8) >> 4
        last = bucket
    return bits


def _buckets(reader: _Bits, number: int) -> Iterator[tuple[int, int]]:
    if not number:
        return
    expected, bucket = _Expected(), _unfolded(reader.next(8)) - 1
    for _ in range(number):
        gap, off = reader.next(expected.gap_order), reader.next(expected.off_order)
        bucket, count = bucket + gap + 1, expected.count + _unfolded(off)
        if not (1 <= count <= LARGEST_COUNT and LOWEST <= bucket <= HIGHEST):
            raise ValueError("a packed sketch has a count or a bucket that can't be")
        expected.saw(gap, count, off)
        yield bucket, count


@lru_cache(4_096)  # nearly all are of a few hundred: asked for twice a bucket, a fact a second
def _code(value: int, order: int) -> str:
    moved = format(value + (1 << order), "b")
    return moved.rjust(2 * len(moved) - 1 - order, "0")


def _folded(signed: int) -> int:
    return 2 * signed if signed >= 0 else -2 * signed - 1


def _unfolded(value: int) -> int:
    return -(value + 1) // 2 if value % 2 else value // 2


def _bytes(said: str) -> bytes:
    try:
        raw = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError) as e:
        raise ValueError("a packed sketch is base64") from e
    if base64.b64encode(raw).decode() != said:
        raise ValueError("a packed sketch is base64 without bits left over")
    return raw
