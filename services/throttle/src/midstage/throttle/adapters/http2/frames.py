"""Frames of HTTP/2 (RFC 9113): their numbers, how they look, and what breaks a connection."""

from enum import IntEnum
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = Struct(">BHBBI")
"""Length (its upper byte, the lower two), kind, flags, stream."""
HEAD_SIZE: Final = 9
MOST_FRAME: Final = 16_384
"""The payload of a frame, by either side: what HTTP/2 begins with, and we never raise it."""
WINDOW: Final = 65_535
"""Bytes that may be under way before the other side gives more; what HTTP/2 begins with."""
MOST_WINDOW: Final = 2**31 - 1
STREAM: Final = 2**31 - 1
"""The bits of a stream's number; the upper one is reserved."""

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

_PRIORITY: Final = 5
_PING: Final = 8
_SETTING: Final = Struct(">HI")
_WHOLE: Final = Struct(">I")


class Setting(IntEnum):
    """What a side asks of the other (RFC 9113, 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Code(IntEnum):
    """Why a stream or a connection ends (RFC 9113, 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class BrokenError(Exception):
    """The peer broke the rules of the connection, which ends with a GOAWAY of this code."""

    def __init__(self, code: Code, words: str) -> None:
        """``words`` are told to the peer."""
        super().__init__(words)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    length = len(payload)
    return HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream) + payload


def settings(values: dict[Setting, int]) -> bytes:
    """A frame of settings."""
    return frame(
        SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in values.items())
    )


def settings_of(payload: bytes) -> list[tuple[int, int]]:
    """Names and values; BrokenError where they are no settings. Unknown names are kept."""
    if len(payload) % _SETTING.size:
        raise BrokenError(Code.FRAME_SIZE_ERROR, "settings of six bytes each")
    found = list(_SETTING.iter_unpack(payload))
    for name, value in found:
        if name == Setting.ENABLE_PUSH and value > 1:
            raise BrokenError(Code.PROTOCOL_ERROR, "push is on or off")
        if name == Setting.MAX_FRAME_SIZE and not MOST_FRAME <= value < 1 << 24:
            raise BrokenError(Code.PROTOCOL_ERROR, "frames of 2^14 to 2^24-1 bytes")
    return found


def reset(stream: int, code: Code) -> bytes:
    """The end of one stream."""
    return frame(RST_STREAM, 0, stream, _WHOLE.pack(code))


def window(stream: int, more: int) -> bytes:
    """So many more bytes may come; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, _WHOLE.pack(more))


def goaway(last: int, code: Code, words: str = "") -> bytes:
    """No stream after ``last`` is looked at."""
    return frame(GOAWAY, 0, 0, _WHOLE.pack(last) + _WHOLE.pack(code) + words.encode())


def whole_of(payload: bytes) -> int:
    """The number that a WINDOW_UPDATE or RST_STREAM holds; BrokenError where it is none."""
    if len(payload) != _WHOLE.size:
        raise BrokenError(Code.FRAME_SIZE_ERROR, "a number of four bytes")
    (number,) = _WHOLE.unpack(payload)
    return int(number)


def unpadded(payload: bytes, flags: int) -> bytes:
    """What a DATA or HEADERS frame holds without padding and priority."""
    begin, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise BrokenError(Code.FRAME_SIZE_ERROR, "a padded frame has the padding's length")
        begin, end = 1, end - payload[0]
    return payload[begin:end] if begin <= end else _too_padded()


def _too_padded() -> bytes:
    raise BrokenError(Code.PROTOCOL_ERROR, "more padding than frame")


def bare(stream: int, flags: int, payload: bytes) -> bytes:
    """The block of a HEADERS frame without padding and priority."""
    said = unpadded(payload, flags)
    if not flags & WITH_PRIORITY:
        return said
    if len(said) < _PRIORITY:
        raise BrokenError(Code.FRAME_SIZE_ERROR, "a priority of five bytes")
    if int.from_bytes(said[:4], "big") & STREAM == stream:
        raise BrokenError(Code.PROTOCOL_ERROR, "a stream that waits for itself")
    return said[_PRIORITY:]


def pong(flags: int, stream: int, payload: bytes) -> bytes:
    """The answer to a ping; nothing to the answer to one."""
    if stream:
        raise BrokenError(Code.PROTOCOL_ERROR, "a ping is of the connection")
    if len(payload) != _PING:
        raise BrokenError(Code.FRAME_SIZE_ERROR, f"a ping of {_PING} bytes")
    return b"" if flags & ACK else frame(PING, ACK, 0, payload)


def ignored(kind: int, stream: int, payload: bytes) -> None:
    """What is of no use, or of a kind to come, does nothing as long as it may be there."""
    if kind == PRIORITY and (not stream or len(payload) != _PRIORITY):
        raise BrokenError(Code.FRAME_SIZE_ERROR, "a priority is of a stream")
    if kind in (PUSH_PROMISE, CONTINUATION):
        raise BrokenError(Code.PROTOCOL_ERROR, "a frame that has no place here")
    if kind == GOAWAY and stream:
        raise BrokenError(Code.PROTOCOL_ERROR, "a goodbye is of the connection")
