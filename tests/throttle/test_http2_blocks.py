"""Blocks of headers are remembered by their bytes, but not without end, and no long ones."""

import hpack

from midstage.throttle.adapters.http2.blocks import Blocks, Headers, Reader

MANY = 3_000


class Counted:
    """How often a block was read anew, by a caller who has no table of headers."""

    def __init__(self) -> None:
        self.read = 0
        self._encoder = hpack.Encoder()
        self._encoder.header_table_size = 0
        self.reader: Reader[int] = Blocks(self._again).reader()
        self.reader.acknowledged()
        self.reader.read(self.block("begins"))  # it says that there is no table

    def block(self, text: str) -> bytes:
        return bytes(self._encoder.encode([("x", text)]))

    def anew(self, block: bytes) -> bool:
        before = self.read
        self.reader.read(block)
        return self.read > before

    def _again(self, _headers: Headers) -> int:
        self.read += 1
        return self.read


def test_a_block_is_read_once() -> None:
    counted = Counted()
    block = counted.block("same")
    assert [counted.anew(block) for _ in range(3)] == [True, False, False]


def test_callers_who_say_something_new_each_time_fill_no_memory() -> None:
    counted = Counted()
    first = counted.block("0")
    assert counted.anew(first)
    assert all(counted.anew(counted.block(str(number))) for number in range(1, MANY))
    assert counted.anew(first), "it was forgotten meanwhile"


def test_a_long_block_is_not_kept() -> None:
    counted = Counted()
    block = counted.block("€" * 1_000)
    assert len(block) > 1_024
    assert [counted.anew(block) for _ in range(2)] == [True, True]
