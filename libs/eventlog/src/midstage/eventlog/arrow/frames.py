"""What an IPC stream claims to hold, added up from its metadata before anything is decompressed.

A stream is a row of messages: a mark, the size of the metadata, the metadata (a FlatBuffer), a
body. Compressed buffers begin with their size. Layouts: Arrow's format/{Message,Schema}.fbs.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from midstage.contracts.errors import UnreadableError

MOST_ROWS = 50_000
MOST_FRAMES = 256
DECODED_BYTES = 64 * 1024 * 1024
"""Of all buffers of one record, once decompressed."""

_MARK = 0xFFFFFFFF
_DICTIONARY, _RECORDS = 2, 3
_BUFFER_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is claimed: rows of all record batches, and bytes once decompressed."""

    rows: int
    decoded_bytes: int


def measured(stream: bytes) -> Measure:
    """The sums of a stream's claims; UnreadableError where they can't be had or are too much."""
    rows = entries = decoded = 0
    try:
        for kind, batch, body in _batches(memoryview(stream)):
            length = batch.long(0)
            if length < 0:
                raise UnreadableError("a batch of less than no rows")
            rows += length if kind == _RECORDS else 0
            entries += length if kind == _DICTIONARY else 0
            decoded += sum(_sizes(batch, body))
            if rows > MOST_ROWS or entries > MOST_ROWS:
                raise UnreadableError(
                    f"more than {MOST_ROWS} events or words; send smaller batches"
                )
            if decoded > DECODED_BYTES:
                raise UnreadableError(f"more than {DECODED_BYTES} bytes once decompressed")
    except (struct.error, IndexError) as e:
        raise UnreadableError(f"not an Arrow IPC stream: its metadata is broken ({e})") from e
    return Measure(rows=rows, decoded_bytes=decoded)


@dataclass(frozen=True, slots=True)
class _Table:
    """One FlatBuffers table: a field is found by its number, in a table of offsets."""

    data: memoryview
    at: int

    def _place(self, field: int) -> int | None:
        table = self.at - int(struct.unpack_from("<i", self.data, self.at)[0])
        if table < 0:
            raise IndexError("an offset points before the beginning")
        size = int(struct.unpack_from("<H", self.data, table)[0])
        if 4 + 2 * field >= size:
            return None
        offset = int(struct.unpack_from("<H", self.data, table + 4 + 2 * field)[0])
        return self.at + offset if offset else None

    def long(self, field: int) -> int:
        place = self._place(field)
        return 0 if place is None else int(struct.unpack_from("<q", self.data, place)[0])

    def byte(self, field: int) -> int:
        place = self._place(field)
        return 0 if place is None else self.data[place]

    def table(self, field: int) -> "_Table | None":
        place = self._place(field)
        if place is None:
            return None
        return _Table(self.data, place + int(struct.unpack_from("<I", self.data, place)[0]))

    def pairs(self, field: int) -> Iterator[tuple[int, int]]:
        """A vector of structs of two longs."""
        place = self._place(field)
        if place is None:
            return iter(())
        start = place + int(struct.unpack_from("<I", self.data, place)[0])
        count = int(struct.unpack_from("<I", self.data, start)[0])
        end = start + 4 + count * _BUFFER_BYTES
        if end > len(self.data):
            raise IndexError("a list of buffers is longer than its message")
        return struct.iter_unpack("<qq", self.data[start + 4 : end])


def _batches(stream: memoryview) -> Iterator[tuple[int, _Table, memoryview]]:
    for number, (metadata, body_at) in enumerate(_messages(stream)):
        if number >= MOST_FRAMES:
            raise UnreadableError(f"more than {MOST_FRAMES} messages in one stream")
        kind, header = metadata.byte(1), metadata.table(2)
        body = stream[body_at : body_at + metadata.long(3)]
        if kind == _DICTIONARY and header is not None:
            header = header.table(1)
        if kind in (_DICTIONARY, _RECORDS) and header is not None:
            yield kind, header, body


def _messages(stream: memoryview) -> Iterator[tuple[_Table, int]]:
    at = 0
    while at < len(stream):
        mark, size = struct.unpack_from("<II", stream, at)
        if mark != _MARK:
            raise UnreadableError("not an Arrow IPC stream: a message does not begin as one")
        if size == 0:
            return
        at += 8
        metadata = stream[at : at + size]
        message = _Table(metadata, int(struct.unpack_from("<I", metadata, 0)[0]))
        at += size
        yield message, at
        body = message.long(3)
        if body < 0 or at + body > len(stream):
            raise UnreadableError("not an Arrow IPC stream: a body is longer than what is there")
        at += body


def _sizes(batch: _Table, body: memoryview) -> Iterator[int]:
    """The bytes of each buffer once decompressed."""
    compressed = batch.table(3) is not None
    for offset, length in batch.pairs(2):
        if offset < 0 or length < 0 or offset + length > len(body):
            raise UnreadableError("a buffer lies outside of its message")
        if not compressed or length < 8:
            yield length
            continue
        said = int(struct.unpack_from("<q", body, offset)[0])
        if said < -1:
            raise UnreadableError(f"a buffer of {said} bytes")
        yield length if said == -1 else said
