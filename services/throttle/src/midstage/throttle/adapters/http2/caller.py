"""Our side of a connection to another process: calls go out, answers come in; no sockets.

A call goes out whole or not at all: it waits outside for as long as ``has_room`` says no. What the
other side may send that nobody asked for is bounded: one that goes beyond, or breaks the rules, is
told why and left.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from midstage.throttle.adapters.http2 import frames
from midstage.throttle.adapters.http2.blocks import Block, Blocks
from midstage.throttle.adapters.http2.calls import MalformedError
from midstage.throttle.adapters.http2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEAD_SIZE,
    HEADERS,
    MOST_FRAME,
    MOST_WINDOW,
    PADDED,
    PREFACE,
    STREAM,
    WINDOW,
    WITH_PRIORITY,
    BrokenError,
    Code,
    Setting,
)
from midstage.throttle.adapters.http2.replies import Failed, Head, Reply

MOST_STREAMS: Final = 256
"""Calls under way at once, where the other side allows as many."""
AT_FIRST: Final = 100
"""So many before it has said how many it allows (RFC 9113, 6.5.2, asks for no fewer)."""
LAST: Final = 2**31 - 1
"""The last number that a stream can have; a connection that is used up is left."""
PATIENCE: Final = 10_000
"""So many frames without use are borne; each answer makes up for some."""
_MADE_UP: Final = 8
_PREFIX: Final = 5
_HALF: Final = WINDOW // 2
_BEGIN: Final = PREFACE + frames.settings({Setting.ENABLE_PUSH: 0})

Tell = Callable[[Reply | None], None]
"""Is told the answer once; None: the other side has not looked at the call, and never will."""


@dataclass(slots=True, kw_only=True)
class _Open:
    """A call under way, and what has come of its answer."""

    tell: Tell
    has_begun: bool = False
    size: int = 0
    said: list[bytes] = field(default_factory=list)


class Caller:
    """``received`` is given what came and gives what is to be sent.

    After ``BrokenError`` nothing more may be given: ``goodbye`` is the last word.
    """

    def __init__(self, blocks: Blocks[Head], *, first: int = 1) -> None:
        """``first`` is the number of the first stream."""
        self._reader = blocks.reader()
        self._next = first
        self._most = AT_FIRST
        self._window = WINDOW
        self._initial = WINDOW
        self._open: dict[int, _Open] = {}
        self._rest = b""
        self._has_settings = False
        self._is_left = False
        self._block: Block | None = None
        self._taken = 0
        self._patience = PATIENCE

    @property
    def is_idle(self) -> bool:
        """No call is under way."""
        return not self._open

    @property
    def is_left(self) -> bool:
        """No call will ever go out here again."""
        return self._is_left or self._next > LAST

    def begin(self) -> bytes:
        """What is said first."""
        return _BEGIN

    def has_room(self, message: bytes) -> bool:
        """Whether a call can go out now."""
        size = len(message) + _PREFIX
        return (
            len(self._open) < self._most
            and size <= self._window
            and size <= self._initial
            and size <= MOST_FRAME
            and not self.is_left
        )

    def asked(self, block: bytes, message: bytes, tell: Tell) -> tuple[int, bytes]:
        """Its stream, and the whole call; only where there is room."""
        stream = self._next
        self._next += 2
        self._open[stream] = _Open(tell=tell)
        size = len(message) + _PREFIX
        self._window -= size
        out = (
            HEAD.pack(0, len(block), HEADERS, END_HEADERS, stream)
            + block
            + HEAD.pack(0, size, DATA, END_STREAM, stream)
            + b"\x00"
            + len(message).to_bytes(4, "big")
            + message
        )
        return stream, out

    def dropped(self, stream: int) -> bytes:
        """Nobody waits for it any more."""
        if self._open.pop(stream, None) is None:
            return b""
        return frames.reset(stream, Code.CANCEL)

    def lost(self, words: str) -> None:
        """The connection is gone: nobody knows what the other side did."""
        self._is_left = True
        still, self._open = self._open, {}
        for each in still.values():
            each.tell(Failed(words=words, is_silent=True))

    def goodbye(self, code: Code = Code.NO_ERROR, words: str = "") -> bytes:
        """The last word."""
        return frames.goaway(0, code, words)

    def received(self, data: bytes) -> bytes:
        """What is to be sent for what came; BrokenError."""
        if self._rest:
            data = self._rest + data
        out: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= HEAD_SIZE:
            upper, lower, kind, flags, stream = HEAD.unpack_from(data, at)
            begin = at + HEAD_SIZE
            after = begin + (upper << 16 | lower)
            if after - begin > MOST_FRAME:
                raise BrokenError(Code.FRAME_SIZE_ERROR, f"a frame above {MOST_FRAME} bytes")
            if after > end:
                break
            out.append(self._framed(kind, flags, stream & STREAM, data[begin:after]))
            at = after
        self._rest = data[at:]
        return b"".join(out)

    def _framed(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        if self._has_settings and self._block is None:
            if kind == DATA:
                return self._data(stream, flags, payload)
            if kind == HEADERS:
                return self._headers(stream, flags, payload)
        return self._other(kind, flags, stream, payload)

    def _headers(self, stream: int, flags: int, payload: bytes) -> bytes:
        if flags & (PADDED | WITH_PRIORITY):
            payload = frames.bare(stream, flags, payload)
        if not flags & END_HEADERS:
            self._block = Block(stream=stream, flags=flags, said=bytearray(payload))
            return b""
        return self._told(stream, flags, payload)

    def _told(self, stream: int, flags: int, block: bytes) -> bytes:
        """A whole block: the beginning or the end of an answer."""
        held = self._held(stream)
        if held is None:  # nobody waits for it any more: only the table has to know of it
            self._reader.skipped(block)
            return b""
        try:
            head = self._reader.read(block)
        except MalformedError as e:
            return self._broken(stream, str(e))
        if head.status is not None:
            return self._ended(stream, flags, held, head)
        if held.has_begun or flags & END_STREAM:
            return self._broken(stream, "an answer that begins twice, or has no end")
        held.has_begun = True
        return b""

    def _ended(self, stream: int, flags: int, held: _Open, head: Head) -> bytes:
        if not flags & END_STREAM:
            return self._broken(stream, "more after the status")
        if head.status:
            words = f"status {head.status}: {head.words}"
            return self._ends(stream, Failed(words=words, status=head.status))
        message = held.said[0] if len(held.said) == 1 else b"".join(held.said)
        size = len(message) - _PREFIX
        if size < 0 or int.from_bytes(message[:_PREFIX], "big") != size:
            return self._ends(stream, Failed(words="an answer is one message, not compressed"))
        return self._ends(stream, message[_PREFIX:])

    def _data(self, stream: int, flags: int, payload: bytes) -> bytes:
        size = len(payload)
        out = self._let_in(size)
        held = self._held(stream)
        if held is None:
            return out
        held.size += size
        if held.size > WINDOW:
            raise BrokenError(Code.FLOW_CONTROL_ERROR, "more data than its stream has a window for")
        said = frames.unpadded(payload, flags) if flags & PADDED else payload
        if not held.has_begun or flags & END_STREAM:
            return out + self._broken(stream, "data without headers, or without an end")
        if said:
            held.said.append(said)
        else:
            self._borne()
        return out

    def _held(self, stream: int) -> _Open | None:
        """The call of a frame; None where it was dropped. BrokenError where there never was one."""
        held = self._open.get(stream)
        if held is None:
            self._must_have_begun(stream)
            self._borne()
        return held

    def _ends(self, stream: int, reply: Reply | None) -> bytes:
        if self._patience < PATIENCE:
            self._patience += _MADE_UP
        self._open.pop(stream).tell(reply)
        return b""

    def _broken(self, stream: int, words: str) -> bytes:
        """An answer that is none."""
        self._borne()
        self._open.pop(stream).tell(Failed(words=words))
        return frames.reset(stream, Code.PROTOCOL_ERROR)

    def _other(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        if not self._has_settings and (kind != frames.SETTINGS or flags & ACK):
            raise BrokenError(Code.PROTOCOL_ERROR, "settings come first")
        if self._block is not None:
            return self._continued(self._block, kind, flags, stream, payload)
        self._borne()
        match kind:
            case frames.SETTINGS:
                return self._settings(flags, stream, payload)
            case frames.PING:
                return frames.pong(flags, stream, payload)
            case frames.WINDOW_UPDATE:
                self._given(stream, frames.whole_of(payload) & STREAM)
            case frames.RST_STREAM:
                self._reset(stream, frames.whole_of(payload))
            case frames.GOAWAY:
                self._told_goodbye(stream, payload)
            case _:
                frames.ignored(kind, stream, payload)
        return b""

    def _continued(self, block: Block, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        whole = block.go_on(kind, flags, stream, payload)
        self._borne()
        if whole is None:
            return b""
        self._block = None
        return self._told(stream, block.flags, whole)

    def _settings(self, flags: int, stream: int, payload: bytes) -> bytes:
        if stream:
            raise BrokenError(Code.PROTOCOL_ERROR, "settings are of the connection")
        if flags & ACK:
            return b""
        for name, value in frames.settings_of(payload):
            if name == Setting.INITIAL_WINDOW_SIZE:
                if value > MOST_WINDOW:
                    raise BrokenError(Code.FLOW_CONTROL_ERROR, "a window above 2^31-1")
                self._initial = value
            elif name == Setting.MAX_CONCURRENT_STREAMS:
                self._most = min(value, MOST_STREAMS)
        if not self._has_settings:
            self._has_settings = True
        return frames.frame(frames.SETTINGS, ACK, 0)

    def _given(self, stream: int, more: int) -> None:
        """A stream's own window is of no use: its call went out whole."""
        if more == 0:
            raise BrokenError(Code.PROTOCOL_ERROR, "a window that grows by nothing")
        if stream:
            self._must_have_begun(stream)
            return
        self._window += more
        if self._window > MOST_WINDOW:
            raise BrokenError(Code.FLOW_CONTROL_ERROR, "a window above 2^31-1")

    def _reset(self, stream: int, code: int) -> None:
        self._must_have_begun(stream)
        if stream in self._open:
            failed = Failed(words=f"reset with {code}")
            self._ends(stream, None if code == Code.REFUSED_STREAM else failed)

    def _told_goodbye(self, stream: int, payload: bytes) -> None:
        """What it has not looked at may be asked elsewhere."""
        frames.ignored(frames.GOAWAY, stream, payload)
        self._is_left = True
        last = int.from_bytes(payload[:4], "big") & STREAM
        for each in [number for number in self._open if number > last]:
            self._open.pop(each).tell(None)

    def _must_have_begun(self, stream: int) -> None:
        if not stream & 1 or stream >= self._next:
            raise BrokenError(Code.PROTOCOL_ERROR, "a frame of a stream that has not begun")

    def _let_in(self, size: int) -> bytes:
        """Data makes room as it comes, for it is bounded otherwise; told when worth a frame."""
        self._taken += size
        if self._taken < _HALF:
            return b""
        if self._taken > WINDOW:
            raise BrokenError(Code.FLOW_CONTROL_ERROR, "more data than there is a window for")
        more, self._taken = self._taken, 0
        return frames.window(0, more)

    def _borne(self) -> None:
        self._patience -= 1
        if self._patience < 0:
            raise BrokenError(Code.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")
