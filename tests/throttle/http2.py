"""A caller of unary gRPC in the test's hand: frames as they are, and what came back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import hpack

from midstage.throttle.adapters.http2 import frames
from midstage.throttle.adapters.http2.blocks import Blocks
from midstage.throttle.adapters.http2.calls import Answer, Call, CallError, Calls, Status
from midstage.throttle.adapters.http2.connection import Connection
from midstage.throttle.adapters.http2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEAD_SIZE,
    HEADERS,
    PREFACE,
    SETTINGS,
    frame,
)

ECHO, LOUD = "/test.Echo/Say", "/test.Echo/Shout"
Headers = Sequence[tuple[str, str]]


def answered(message: bytes, left_s: float | None) -> bytes:
    if message == b"refuse":
        raise CallError(Status.INVALID_ARGUMENT, "100 % wrong")
    return message if left_s is None else message + f" {left_s:.1f}".encode()


def blocks(answer: Answer = answered) -> Blocks[Call]:
    answers = {ECHO.encode(): answer, LOUD.encode(): lambda message, _: message.upper()}
    return Blocks(Calls(answers=answers).asked)


def said(path: str = ECHO, *more: tuple[str, str]) -> Headers:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "here"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    ]


def message(text: bytes) -> bytes:
    return b"\x00" + len(text).to_bytes(4, "big") + text


def texts(decoder: hpack.Decoder, block: bytes) -> dict[str, str]:
    return {str(each[0]): str(each[1]) for each in decoder.decode(block)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


def framed(data: bytes) -> list[Frame]:
    found, at = [], 0
    while at < len(data):
        upper, lower, kind, flags, stream = HEAD.unpack_from(data, at)
        end = at + HEAD_SIZE + (upper << 16 | lower)
        payload = data[at + HEAD_SIZE : end]
        assert len(data) >= end
        found.append(Frame(kind=kind, flags=flags, stream=stream, payload=payload))
        at = end
    return found


@dataclass(slots=True, kw_only=True)
class Caller:
    """Speaks to one connection; has no table of headers once the other side asked for none."""

    connection: Connection
    later: list[bytes] = field(default_factory=list)
    encoder: hpack.Encoder = field(default_factory=hpack.Encoder)
    decoder: hpack.Decoder = field(default_factory=hpack.Decoder)
    last: int = -1
    out: bytes = b""

    def begin(self, *, acknowledge: bool = True, initial: int | None = None) -> list[Frame]:
        values = {} if initial is None else {frames.Setting.INITIAL_WINDOW_SIZE: initial}
        found = self.send(PREFACE + frames.settings(values))
        if acknowledge:
            self.encoder.header_table_size = 0
            found += self.send(frame(SETTINGS, ACK, 0))
        return found

    def send(self, data: bytes) -> list[Frame]:
        return framed(self.connection.received(data))

    def request(self, text: bytes, headers: Headers | None = None, *, flags: int = 0) -> bytes:
        """A whole call on the next stream."""
        return self.opening(headers, flags=flags) + self.data(message(text), end=True)

    def opening(self, headers: Headers | None = None, *, flags: int = 0) -> bytes:
        self.last += 2
        block = self.encoder.encode(said() if headers is None else headers)
        return frame(HEADERS, END_HEADERS | flags, self.last, block)

    def data(self, payload: bytes, *, end: bool, stream: int | None = None) -> bytes:
        at = self.last if stream is None else stream
        return frame(DATA, END_STREAM if end else 0, at, payload)

    def told(self, found: Sequence[Frame], stream: int | None = None) -> tuple[bytes, str, str]:
        """Message, status and words of the answer on the last stream."""
        wanted = self.last if stream is None else stream
        headers: dict[str, str] = {}
        body = b""
        for each in found:
            if each.stream != wanted:
                continue
            if each.kind == HEADERS:
                headers.update(texts(self.decoder, each.payload))
            elif each.kind == DATA:
                body += each.payload
        assert found[-1].flags & END_STREAM or stream is not None
        assert headers[":status"] == "200"
        assert headers["content-type"] == "application/grpc"
        return body[5:], headers["grpc-status"], headers.get("grpc-message", "")


def caller(
    answer: Answer = answered,
    *,
    known: Blocks[Call] | None = None,
    waited_s: Callable[[], float] = lambda: 0.0,
) -> Caller:
    later: list[bytes] = []
    connection = Connection(known or blocks(answer), waited_s=waited_s, send=later.append)
    return Caller(connection=connection, later=later)


def begun(answer: Answer = answered, *, initial: int | None = None) -> Caller:
    found = caller(answer)
    found.begin(initial=initial)
    return found
