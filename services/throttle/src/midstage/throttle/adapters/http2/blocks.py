"""Header blocks (HPACK, RFC 7541): those of the other side, each decoded once, and our few own.

We ask callers for a dynamic table of no size. As soon as the other side has said that it has none,
a block means the same on every connection, and is known by its bytes. Ours begin with saying so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import hpack

from midstage.throttle.adapters.http2.calls import Status, message
from midstage.throttle.adapters.http2.frames import (
    CONTINUATION,
    END_HEADERS,
    MOST_FRAME,
    BrokenError,
    Code,
)

MOST_HEADERS: Final = 8_192
"""Bytes of a list of headers, as HTTP/2 counts them."""
_MOST_KNOWN: Final = 1_024
_LONGEST_KNOWN: Final = 1_024
_NO_TABLE: Final = b"\x20"
"""Whoever has asked for a smaller table wants to read this first; others may."""
_STATUS_200: Final = b"\x88"
_POST, _HTTP = b"\x83", b"\x86"
_AUTHORITY, _PATH, _CONTENT_TYPE = 1, 4, 31
"""Their places in the static table."""
_GRPC: Final = b"application/grpc"
_MOST_US: Final = 99_999_999
"""The largest number of a ``grpc-timeout``."""

T = TypeVar("T")
Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True, kw_only=True)
class Block:
    """Headers of which more is to come."""

    stream: int
    flags: int
    said: bytearray

    def go_on(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes | None:
        """The whole block at its last part, else None; BrokenError where it is no part of it."""
        if kind != CONTINUATION or stream != self.stream:
            raise BrokenError(Code.PROTOCOL_ERROR, "nothing comes between the parts of a block")
        self.said += payload
        if len(self.said) > MOST_FRAME:
            raise BrokenError(Code.ENHANCE_YOUR_CALM, f"more headers than {MOST_FRAME} bytes")
        return bytes(self.said) if flags & END_HEADERS else None


class Blocks(Generic[T]):
    """What blocks say; shared by all connections of a server, or to one."""

    def __init__(self, read: Callable[[Headers], T]) -> None:
        """``read`` has the headers of each block that is new; it may raise MalformedError."""
        self._read = read
        self._known: dict[bytes, T] = {}

    def reader(self) -> "Reader[T]":
        """For one connection."""
        return Reader(self._read, self._known)


class Reader(Generic[T]):
    """One connection's blocks, in the order in which they come."""

    def __init__(self, read: Callable[[Headers], T], known: dict[bytes, T]) -> None:
        """See ``Blocks``."""
        self._read = read
        self._known = known
        self._decoder = hpack.Decoder(max_header_list_size=MOST_HEADERS)
        self._has_table = True

    def acknowledged(self) -> None:
        """The other side knows our settings: from now on it has no table."""
        self._decoder.max_allowed_table_size = 0

    def known(self, block: bytes) -> T | None:
        """What it says where that is remembered, and the same whatever came before; else None."""
        return None if self._has_table else self._known.get(block)

    def read(self, block: bytes) -> T:
        """What it says; MalformedError, or BrokenError where the block can't be read."""
        found = self.known(block)
        if found is not None:
            return found
        said = self._read(self._decoded(block))
        if not self._has_table and len(block) <= _LONGEST_KNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()  # who says something new each time gains nothing
            self._known[block] = said
        return said

    def skipped(self, block: bytes) -> None:
        """Trailers: only the table has to know of them."""
        self._decoded(block)

    def _decoded(self, block: bytes) -> Headers:
        try:
            found = [
                (bytes(one[0]), bytes(one[1])) for one in self._decoder.decode(block, raw=True)
            ]
        except hpack.OversizedHeaderListError as e:
            raise BrokenError(Code.ENHANCE_YOUR_CALM, f"more than {MOST_HEADERS} bytes") from e
        except (hpack.HPACKError, IndexError, ValueError) as e:
            raise BrokenError(Code.COMPRESSION_ERROR, "a block of headers can't be read") from e
        self._has_table = self._decoder.header_table_size > 0
        return found


def begun() -> bytes:
    """Before an answer: 200 and the content type."""
    return _NO_TABLE + _STATUS_200 + _literal(_CONTENT_TYPE, _GRPC)


def asking(path: bytes, authority: bytes, *, within_us: int) -> bytes:
    """Before a question; ``within_us`` is how long the other side has to answer."""
    return (
        _NO_TABLE
        + _POST
        + _HTTP
        + _literal(_PATH, path)
        + _literal(_AUTHORITY, authority)
        + _literal(_CONTENT_TYPE, _GRPC)
        + _named(b"te", b"trailers")
        + _named(b"grpc-timeout", b"%du" % min(within_us, _MOST_US))
    )


def ended(status: Status, words: str = "") -> bytes:
    """After an answer, or in the place of one."""
    block = _named(b"grpc-status", str(int(status)).encode())
    return block + (_named(b"grpc-message", message(words)) if words else b"")


def _named(name: bytes, value: bytes) -> bytes:
    return b"\x00" + _text(name) + _text(value)


def _literal(index: int, value: bytes) -> bytes:
    """A value for a name of the static table, which goes into no table."""
    return _number(index, 4) + _text(value)


def _text(value: bytes) -> bytes:
    return _number(len(value), 7) + value


def _number(value: int, bits: int) -> bytes:
    """RFC 7541, 5.1, with nothing in the bits before."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    value -= most
    found = [most]
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
