"""Header blocks (HPACK, RFC 7541): those of callers, each decoded once, and our few own.

We ask callers for a dynamic table of no size. As soon as a caller has said that it does so, a block
means the same on every connection, and is known by its bytes.
"""

from typing import Final

import hpack

from midstage.throttle.adapters.http2.calls import Call, Calls, Status, message
from midstage.throttle.adapters.http2.frames import BrokenError, Code

MOST_HEADERS: Final = 8_192
"""Bytes of a list of headers, as HTTP/2 counts them."""
_MOST_KNOWN: Final = 1_024
_LONGEST_KNOWN: Final = 1_024
_STATUS_200: Final = b"\x88"
_CONTENT_TYPE: Final = 31
"""Its place in the static table."""


class Blocks:
    """What blocks ask for; shared by all connections of a server."""

    def __init__(self, calls: Calls) -> None:
        """Calls are looked up in ``calls``."""
        self._calls = calls
        self._known: dict[bytes, Call] = {}

    def reader(self) -> "Reader":
        """For one connection."""
        return Reader(self._calls, self._known)


class Reader:
    """One connection's blocks, in the order in which they come."""

    def __init__(self, calls: Calls, known: dict[bytes, Call]) -> None:
        """See ``Blocks``."""
        self._calls = calls
        self._known = known
        self._decoder = hpack.Decoder(max_header_list_size=MOST_HEADERS)
        self._has_table = True

    def acknowledged(self) -> None:
        """The caller knows our settings: from now on it has no table."""
        self._decoder.max_allowed_table_size = 0

    def asked(self, block: bytes) -> Call:
        """What a request asks; MalformedError, or BrokenError where the block can't be read."""
        if not self._has_table:
            found = self._known.get(block)
            if found is not None:
                return found
        call = self._calls.asked(self._decoded(block))
        if not self._has_table and len(block) <= _LONGEST_KNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()  # a caller that says something new each time gains nothing
            self._known[block] = call
        return call

    def skipped(self, block: bytes) -> None:
        """Trailers: only the table has to know of them."""
        self._decoded(block)

    def _decoded(self, block: bytes) -> list[tuple[bytes, bytes]]:
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
    return _STATUS_200 + _literal(_CONTENT_TYPE, b"application/grpc")


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
