"""One connection of a caller: bytes in, bytes out, no sockets (RFC 9113, gRPC over HTTP/2).

A call is answered in the step in which its last byte came, or as soon as its answer is known. What
a caller may have open, half said or pointless is bounded: who goes beyond is told why and left.
"""

from collections.abc import Callable
from typing import Final

from midstage.throttle.adapters.http2 import frames
from midstage.throttle.adapters.http2.blocks import MOST_HEADERS, Block, Blocks
from midstage.throttle.adapters.http2.calls import Call, CallError, MalformedError, Status
from midstage.throttle.adapters.http2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEAD_SIZE,
    HEADERS,
    MOST_FRAME,
    PADDED,
    PREFACE,
    STREAM,
    WINDOW,
    WITH_PRIORITY,
    BrokenError,
    Code,
    Setting,
)
from midstage.throttle.adapters.http2.sending import Sending

MOST_STREAMS: Final = 256
MOST_MESSAGE: Final = 16_379
"""Bytes of a question: with its prefix what one frame holds, and far more than any needs."""
PATIENCE: Final = 10_000
"""So many frames without use are borne; each answered call makes up for some."""
MOST_HELD: Final = 1_048_576
"""Bytes of questions that are not whole yet."""
_MADE_UP: Final = 8
_PREFIX: Final = 5
_HALF: Final = WINDOW // 2
_SETTINGS: Final = frames.settings(
    {
        Setting.HEADER_TABLE_SIZE: 0,
        Setting.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
        Setting.MAX_HEADER_LIST_SIZE: MOST_HEADERS,
    }
)


class Connection:
    """``received`` is given what came and gives what is to be sent.

    After ``BrokenError`` nothing more may be given: ``goodbye`` is the last word.
    """

    def __init__(
        self,
        blocks: Blocks[Call],
        *,
        waited_s: Callable[[], float],
        send: Callable[[bytes], None],
    ) -> None:
        """``waited_s``: how long what is given now may have waited to be read.

        ``send`` takes the answers that are told after their step.
        """
        self._reader = blocks.reader()
        self._waited_s = waited_s
        self._send = send
        self._later: set[int] = set()
        self._sending = Sending()
        self._rest = b""
        self._has_begun = False
        self._has_settings = False
        self._last = 0
        self._open: dict[int, Call] = {}
        self._said: dict[int, bytearray] = {}
        self._block: Block | None = None
        self._taken = self._held = 0
        self._patience = PATIENCE
        self._seen: frozenset[int] = frozenset()

    @property
    def is_idle(self) -> bool:
        """No call is open."""
        return not self._open and not self._later and not self._sending.waiting

    @property
    def has_begun(self) -> bool:
        """The caller has said that it speaks HTTP/2."""
        return self._has_begun

    def received(self, data: bytes) -> bytes:
        """What is to be sent for what came; BrokenError."""
        if self._rest:
            data = self._rest + data
        out: list[bytes] = []
        at, end = 0, len(data)
        if not self._has_begun:
            at = self._begin(data, out)
        while self._has_begun and end - at >= HEAD_SIZE:
            upper, lower, kind, flags, stream = HEAD.unpack_from(data, at)
            begin = at + HEAD_SIZE
            after = begin + (upper << 16 | lower)
            if after - begin > MOST_FRAME:
                raise BrokenError(Code.FRAME_SIZE_ERROR, f"a frame above {MOST_FRAME} bytes")
            if after > end:
                break
            stream &= STREAM
            if kind == HEADERS and flags == END_HEADERS and end - after > HEAD_SIZE:
                whole = self._at_once(stream, data, begin, after)
                if whole is not None:
                    at, said = whole
                    out.append(said)
                    continue
            out.append(self._framed(kind, flags, stream, data[begin:after]))
            at = after
        self._rest = data[at:]
        return b"".join(out)

    def _at_once(
        self, stream: int, data: bytes, begin: int, after: int
    ) -> tuple[int, bytes] | None:
        """Where a whole call ends whose headers are known, and its answer; None: it is another.

        Nearly all are such calls. What ``_headers`` and ``_data`` would do for them is done in one
        step, without an open call between the two.
        """
        upper, size, kind, flags, of = HEAD.unpack_from(data, after)
        end = after + HEAD_SIZE + size
        if kind != DATA or flags != END_STREAM or of & STREAM != stream or upper:
            return None
        if end > len(data) or size > MOST_FRAME or stream <= self._last or not stream & 1:
            return None
        if self._block is not None or self._is_full():
            return None
        call = self._reader.known(data[begin:after])  # no block is before the caller's settings
        if call is None:
            return None
        self._last = stream
        window = self._let_in(size)
        answer = self._answered(stream, call, data[after + HEAD_SIZE : end])
        return end, window + answer

    def _is_full(self) -> bool:
        """Whether as many calls as may be have no answer yet, or not all of it."""
        return len(self._open) + len(self._later) + len(self._sending.waiting) >= MOST_STREAMS

    def _begin(self, data: bytes, out: list[bytes]) -> int:
        """Where the preface ends, if it has come whole; BrokenError where it is another one."""
        if not PREFACE.startswith(data[: len(PREFACE)]):
            raise BrokenError(Code.PROTOCOL_ERROR, "HTTP/2 with prior knowledge is spoken here")
        self._has_begun = len(data) >= len(PREFACE)
        if not self._has_begun:
            return 0
        out.append(_SETTINGS)
        return len(PREFACE)

    def _framed(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        if self._has_settings and self._block is None:
            if kind == DATA:
                return self._data(stream, flags, payload)
            if kind == HEADERS:
                return self._headers(stream, flags, payload)
        return self._other(kind, flags, stream, payload)

    def goodbye(self, code: Code = Code.NO_ERROR, words: str = "") -> bytes:
        """The last stream that was looked at, and why no more is."""
        begun = b"" if self._has_begun else _SETTINGS
        return begun + frames.goaway(self._last, code, words)

    def swept(self) -> bytes:
        """Ends what was open at the last sweep already: nobody says so little in so long."""
        still = frozenset(self._open.keys() | self._later | self._sending.waiting.keys())
        stale, self._seen = self._seen & still, still
        for stream in stale:
            self._dropped(stream)
        return b"".join(frames.reset(stream, Code.CANCEL) for stream in sorted(stale))

    def _headers(self, stream: int, flags: int, payload: bytes) -> bytes:
        if not stream & 1:
            raise BrokenError(Code.PROTOCOL_ERROR, "a caller's streams are odd")
        if flags & (PADDED | WITH_PRIORITY):
            payload = frames.bare(stream, flags, payload)
        if not flags & END_HEADERS:
            self._block = Block(stream=stream, flags=flags, said=bytearray(payload))
            return b""
        return self._asked(stream, flags, payload)

    def _asked(self, stream: int, flags: int, block: bytes) -> bytes:
        """A whole block: a new call, or the trailers of an open one."""
        if stream <= self._last:
            return self._trailed(stream, flags, block)
        self._last = stream
        try:
            call = self._reader.read(block)
        except MalformedError:
            return self._reset(stream, Code.PROTOCOL_ERROR)
        if self._is_full():
            return self._reset(stream, Code.REFUSED_STREAM)
        self._open[stream] = call
        return self._ended(stream) if flags & END_STREAM else b""

    def _trailed(self, stream: int, flags: int, block: bytes) -> bytes:
        self._reader.skipped(block)
        if stream not in self._open:
            return self._reset(stream, Code.STREAM_CLOSED)
        if not flags & END_STREAM:
            raise BrokenError(Code.PROTOCOL_ERROR, "headers within a call")
        return self._ended(stream)

    def _data(self, stream: int, flags: int, payload: bytes) -> bytes:
        if stream > self._last or not stream & 1:
            raise BrokenError(Code.PROTOCOL_ERROR, "data of a call that has not begun")
        out = self._let_in(len(payload))
        said = frames.unpadded(payload, flags) if flags & PADDED else payload
        call = self._open.get(stream)
        if call is None:  # it was answered or reset: its last frames may still be under way
            self._borne()
            return out
        if flags & END_STREAM and stream not in self._said:
            del self._open[stream]
            return out + self._answered(stream, call, said)
        if not said:
            self._borne()
        if len(payload) > len(said):
            out += frames.window(stream, len(payload) - len(said))
        held = self._said.setdefault(stream, bytearray())
        held += said
        self._held += len(said)
        size = max(_announced(held), len(held) - _PREFIX)
        if size > MOST_MESSAGE or self._held > MOST_HELD:
            return out + self._too_much(stream)
        return out + self._ended(stream) if flags & END_STREAM else out

    def _too_much(self, stream: int) -> bytes:
        self._dropped(stream)
        words = f"messages of {MOST_MESSAGE} bytes at most, {MOST_HELD} under way"
        told = self._sending.failed(stream, Status.RESOURCE_EXHAUSTED, words)
        return told + self._reset(stream, Code.NO_ERROR)

    def _ended(self, stream: int) -> bytes:
        call = self._open.pop(stream)
        return self._answered(stream, call, self._let_go(stream))

    def _answered(self, stream: int, call: Call, said: bytes) -> bytes:
        try:
            message = _message(said)
            left_s = None if call.timeout_s is None else call.timeout_s - self._waited_s()
            answer = call.answer(message, left_s)
        except CallError as e:
            self._borne()
            return self._sending.failed(stream, e.status, str(e))
        if self._patience < PATIENCE:
            self._patience += _MADE_UP
        if isinstance(answer, bytes):
            return self._sending.answered(stream, answer)
        self._later.add(stream)
        answer.then(lambda told: self._told(stream, told))
        return b""

    def _told(self, stream: int, answer: bytes) -> None:
        """What a caller does not wait for any more is told nobody."""
        if stream in self._later:
            self._later.remove(stream)
            self._send(self._sending.answered(stream, answer))

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
                return self._window(stream, payload)
            case frames.RST_STREAM:
                frames.whole_of(payload)
                self._must_have_begun(stream)
                self._dropped(stream)
            case _:
                frames.ignored(kind, stream, payload)
        return b""

    def _continued(self, block: Block, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        whole = block.go_on(kind, flags, stream, payload)
        self._borne()
        if whole is None:
            return b""
        self._block = None
        return self._asked(stream, block.flags, whole)

    def _settings(self, flags: int, stream: int, payload: bytes) -> bytes:
        if stream:
            raise BrokenError(Code.PROTOCOL_ERROR, "settings are of the connection")
        if flags & ACK:
            if payload:
                raise BrokenError(Code.FRAME_SIZE_ERROR, "an acknowledgement says nothing more")
            self._reader.acknowledged()
            return b""
        out = b""
        for name, value in frames.settings_of(payload):
            if name == Setting.INITIAL_WINDOW_SIZE:
                out += self._sending.begins_with(value)
        self._has_settings = True
        return frames.frame(frames.SETTINGS, ACK, 0) + out

    def _window(self, stream: int, payload: bytes) -> bytes:
        more = frames.whole_of(payload) & STREAM
        if stream:
            self._must_have_begun(stream)
        if more == 0:
            raise BrokenError(Code.PROTOCOL_ERROR, "a window that grows by nothing")
        is_open = stream in self._open or stream in self._later
        return self._sending.given(stream, more, is_open=is_open)

    def _must_have_begun(self, stream: int) -> None:
        if stream == 0 or stream > self._last:
            raise BrokenError(Code.PROTOCOL_ERROR, "a frame of a stream that has not begun")

    def _dropped(self, stream: int) -> None:
        self._open.pop(stream, None)
        self._let_go(stream)
        self._later.discard(stream)
        self._sending.dropped(stream)

    def _let_go(self, stream: int) -> bytes:
        """What was said on it so far, which is held no more."""
        said = bytes(self._said.pop(stream, b""))
        self._held -= len(said)
        return said

    def _reset(self, stream: int, code: Code) -> bytes:
        self._borne()
        return frames.reset(stream, code)

    def _let_in(self, size: int) -> bytes:
        """Data makes room as it comes, for it is bounded otherwise; told when worth a frame."""
        self._taken += size
        if self._taken < _HALF:
            return b""
        more, self._taken = self._taken, 0
        return frames.window(0, more)

    def _borne(self) -> None:
        self._patience -= 1
        if self._patience < 0:
            raise BrokenError(Code.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")


def _message(said: bytes) -> bytes:
    """The one message of a call, without its prefix."""
    if len(said) < _PREFIX or int.from_bytes(said[1:_PREFIX], "big") != len(said) - _PREFIX:
        raise CallError(Status.INTERNAL, "a call has one message")
    if said[0]:
        raise CallError(Status.UNIMPLEMENTED, "compressed messages are not read")
    return said[_PREFIX:]


def _announced(said: bytearray) -> int:
    """The length of the message, as far as its prefix has come."""
    return int.from_bytes(said[1:_PREFIX], "big") if len(said) >= _PREFIX else 0
