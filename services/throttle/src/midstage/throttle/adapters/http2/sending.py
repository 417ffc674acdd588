"""Answers on their way out: at once where the caller's windows let them, else as they open.

A waiting answer holds its stream; what it still has to say goes out in pieces, the first first.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from midstage.throttle.adapters.http2 import blocks
from midstage.throttle.adapters.http2.calls import Status
from midstage.throttle.adapters.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MOST_FRAME,
    MOST_WINDOW,
    WINDOW,
    BrokenError,
    Code,
    frame,
)

_BEGUN: Final = blocks.begun()
_ENDED: Final = blocks.ended(Status.OK)
_PREFIX: Final = 5
"""Of a message: whether it is compressed, and its length."""
_WHOLE: Final = Struct(f">5sI{len(_BEGUN)}s5sIxI")
_LAST: Final = Struct(f">5sI{len(_ENDED)}s")
_BEGIN: Final = bytes([0, 0, len(_BEGUN), HEADERS, END_HEADERS])
_END: Final = bytes([0, 0, len(_ENDED), HEADERS, END_HEADERS | END_STREAM])


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """What is left to say on a stream, and how much of it the stream lets through."""

    rest: bytes
    window: int


class Sending:
    """One connection's answers."""

    def __init__(self) -> None:
        """With the windows that HTTP/2 begins with."""
        self._window = WINDOW
        self._initial = WINDOW
        self._early: dict[int, int] = {}
        self.waiting: dict[int, _Waiting] = {}

    def answered(self, stream: int, message: bytes) -> bytes:
        """The answer as far as it can go out now."""
        length = len(message)
        size = length + _PREFIX
        early = self._early.pop(stream, 0) if self._early else 0
        if size > self._window or size > self._initial + early or size > MOST_FRAME or self.waiting:
            rest = b"\x00" + length.to_bytes(4, "big") + message
            self.waiting[stream] = _Waiting(rest=rest, window=self._initial + early)
            return frame(HEADERS, END_HEADERS, stream, _BEGUN) + self._flushed()
        self._window -= size
        data = bytes([0, size >> 8, size & 0xFF, DATA, 0])
        return (
            _WHOLE.pack(_BEGIN, stream, _BEGUN, data, stream, length)
            + message
            + _LAST.pack(_END, stream, _ENDED)
        )

    def failed(self, stream: int, status: Status, words: str) -> bytes:
        """The end of a call without an answer."""
        self._early.pop(stream, None)
        block = _BEGUN + blocks.ended(status, words)
        return frame(HEADERS, END_HEADERS | END_STREAM, stream, block)

    def given(self, stream: int, more: int, *, is_open: bool) -> bytes:
        """So much more may go out; BrokenError where that is more than there can be."""
        if stream == 0:
            self._window += more
            if self._window > MOST_WINDOW:
                raise BrokenError(Code.FLOW_CONTROL_ERROR, "a window above 2^31-1")
            return self._flushed()
        if stream in self.waiting:
            self.waiting[stream].window += more
            if self.waiting[stream].window > MOST_WINDOW:
                raise BrokenError(Code.FLOW_CONTROL_ERROR, "a window above 2^31-1")
            return self._flushed()
        if is_open:
            self._early[stream] = self._early.get(stream, 0) + more
            if self._early[stream] + self._initial > MOST_WINDOW:
                raise BrokenError(Code.FLOW_CONTROL_ERROR, "a window above 2^31-1")
        return b""

    def begins_with(self, initial: int) -> bytes:
        """The caller's windows of streams begin with ``initial``, those that are open too."""
        if initial > MOST_WINDOW:
            raise BrokenError(Code.FLOW_CONTROL_ERROR, "a window above 2^31-1")
        for each in self.waiting.values():
            each.window += initial - self._initial
        self._initial = initial
        return self._flushed()

    def dropped(self, stream: int) -> None:
        """The caller does not want it any more."""
        self.waiting.pop(stream, None)
        self._early.pop(stream, None)

    def _flushed(self) -> bytes:
        out = []
        for stream, each in list(self.waiting.items()):
            while each.rest and (most := min(self._window, each.window, MOST_FRAME)) > 0:
                piece, each.rest = each.rest[:most], each.rest[most:]
                self._window -= len(piece)
                each.window -= len(piece)
                out.append(frame(DATA, 0, stream, piece))
            if not each.rest:
                del self.waiting[stream]
                out.append(_LAST.pack(_END, stream, _ENDED))
        return b"".join(out)
