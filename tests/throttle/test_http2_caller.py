"""Calls to another process, frame by frame: what it may answer, and what breaks the connection."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.throttle.adapters.http2 import blocks, frames
from midstage.throttle.adapters.http2.blocks import Blocks
from midstage.throttle.adapters.http2.caller import AT_FIRST, LAST, PATIENCE, Caller
from midstage.throttle.adapters.http2.calls import Status
from midstage.throttle.adapters.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW,
    BrokenError,
    Code,
    Setting,
    frame,
)
from midstage.throttle.adapters.http2.replies import Failed, Reply, said

from . import http2

BLOCK = blocks.asking(http2.ECHO.encode(), b"there", within_us=1000)


@dataclass(slots=True, kw_only=True)
class Called:
    """Our side, and what was told."""

    caller: Caller
    replies: list[Reply | None] = field(default_factory=list)

    def ask(self, message: bytes = b"hello") -> int:
        assert self.caller.has_room(message)
        return self.caller.asked(BLOCK, message, self.replies.append)[0]

    def hear(self, *data: bytes) -> list[http2.Frame]:
        return http2.framed(self.caller.received(b"".join(data)))


def called(*, first: int = 1, settings: dict[Setting, int] | None = None) -> Called:
    found = Called(caller=Caller(Blocks(said), first=first))
    answer = found.hear(frames.settings(settings or {}))
    assert [(each.kind, each.flags) for each in answer] == [(SETTINGS, ACK)]
    return found


def begins(stream: int, *, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags, stream, blocks.begun())


def ends(stream: int, status: Status = Status.OK, words: str = "") -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, blocks.ended(status, words))


def says(stream: int, text: bytes, *, flags: int = 0) -> bytes:
    return frame(DATA, flags, stream, text)


def answer(stream: int, text: bytes = b"hi") -> bytes:
    return begins(stream) + says(stream, http2.message(text)) + ends(stream)


def words(replies: Sequence[Reply | None]) -> list[tuple[str, bool]]:
    assert all(isinstance(each, Failed) for each in replies)
    return [(each.words, each.is_silent) for each in replies if isinstance(each, Failed)]


def test_the_port_of_ours_understands_a_call_and_is_understood() -> None:
    port = http2.caller()
    ours = Called(caller=Caller(Blocks(said)))
    out = ours.caller.begin()
    assert out.startswith(PREFACE)
    back = port.connection.received(out)
    for text in (b"one", b"", b"x" * 9_000, b"refuse", b"two"):
        _, call = ours.caller.asked(BLOCK, text, ours.replies.append)
        back += port.connection.received(ours.caller.received(back) + call)
    ours.hear(back)
    assert ours.caller.is_idle
    refused = Failed(words="status 3: 100 %25 wrong", status=3)
    spent = b" 0.0"
    assert ours.replies == [b"one" + spent, spent, b"x" * 9_000 + spent, refused, b"two" + spent]


def test_answers_come_in_any_order_and_in_any_pieces() -> None:
    ours = called()
    first, second = ours.ask(), ours.ask()
    said_twice = begins(first) + answer(second, b"second") + says(first, http2.message(b"fi")[:6])
    text = said_twice + says(first, b"i") + ends(first)
    for at in range(len(text)):
        ours.hear(text[at : at + 1])
    assert ours.replies == [b"second", b"fi"]


def test_padding_priority_and_continuations_are_read() -> None:
    ours = called()
    stream = ours.ask()
    block = blocks.begun()
    padded = bytes([3]) + http2.message(b"hi") + b"\0\0\0"
    ours.hear(
        frame(HEADERS, 0, stream, block[:4]),
        frame(CONTINUATION, END_HEADERS, stream, block[4:]),
        says(stream, padded, flags=PADDED),
        ends(stream),
    )
    assert ours.replies == [b"hi"]


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        (begins(1, flags=END_HEADERS | END_STREAM), "an answer that begins twice, or has no end"),
        (begins(1) + begins(1), "an answer that begins twice, or has no end"),
        (says(1, b"early"), "data without headers, or without an end"),
        (
            begins(1) + says(1, http2.message(b"x"), flags=END_STREAM),
            "data without headers, or without an end",
        ),
        (begins(1) + ends(1), "an answer is one message, not compressed"),
        (begins(1) + says(1, b"\1\0\0\0\0") + ends(1), "an answer is one message, not compressed"),
        (
            begins(1) + says(1, 2 * http2.message(b"x")) + ends(1),
            "an answer is one message, not compressed",
        ),
        (ends(1, Status.UNIMPLEMENTED, "unknown method"), "status 12: unknown method"),
        (
            frame(HEADERS, END_HEADERS, 1, b"\x20" + blocks.ended(Status.OK)),
            "more after the status",
        ),
        (frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x8d"), "status 14: HTTP 404"),
        (frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88"), "neither a beginning nor an end"),
        (frames.reset(1, Code.CANCEL), "reset with 8"),
    ],
)
def test_what_is_no_answer_is_told_as_such_and_the_next_call_goes_on(
    heard: bytes, told: str
) -> None:
    ours = called()
    ours.ask()
    ours.hear(heard)
    assert words(ours.replies) == [(told, False)]
    ours.hear(answer(ours.ask()))
    assert ours.replies[1:] == [b"hi"]


@pytest.mark.parametrize(
    ("heard", "code"),
    [
        (frame(HEADERS, END_HEADERS, 3, blocks.begun()), Code.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 2, blocks.begun()), Code.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), Code.COMPRESSION_ERROR),
        (says(5, b"x"), Code.PROTOCOL_ERROR),
        (frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2"), Code.PROTOCOL_ERROR),
        (frame(PING, 0, 0, b"short"), Code.FRAME_SIZE_ERROR),
        (frames.window(0, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
        (frames.window(0, 0), Code.PROTOCOL_ERROR),
        (frames.settings({Setting.INITIAL_WINDOW_SIZE: 2**31}), Code.FLOW_CONTROL_ERROR),
        (frames.settings({Setting.MAX_FRAME_SIZE: 1}), Code.PROTOCOL_ERROR),
        (frames.reset(7, Code.CANCEL), Code.PROTOCOL_ERROR),
        (b"\xff\xff\xff\0\0\0\0\0\1", Code.FRAME_SIZE_ERROR),
        (frame(HEADERS, 0, 1, b"\x88") + says(1, b"x"), Code.PROTOCOL_ERROR),
        (begins(1) + 5 * says(1, b"x" * 16_384), Code.FLOW_CONTROL_ERROR),
        (frame(PING, ACK, 0, b"\0" * 8) * (PATIENCE + 1), Code.ENHANCE_YOUR_CALM),
        (frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1, b"x" * 9_000) * 2, 11),
    ],
)
def test_who_breaks_the_rules_is_left(heard: bytes, code: Code) -> None:
    ours = called()
    ours.ask()
    with pytest.raises(BrokenError) as broken:
        ours.caller.received(heard)
    assert broken.value.code == code
    ours.caller.lost("it broke the rules")
    assert words(ours.replies) == [("it broke the rules", True)]
    assert ours.caller.is_left


def test_settings_come_first() -> None:
    with pytest.raises(BrokenError):
        Caller(Blocks(said)).received(frame(PING, 0, 0, b"\0" * 8))


def test_a_ping_is_answered() -> None:
    [pong] = called().hear(frame(PING, 0, 0, b"12345678"))
    assert (pong.kind, pong.flags, pong.payload) == (PING, ACK, b"12345678")


def test_no_more_goes_out_than_the_other_side_takes() -> None:
    ours = Called(caller=Caller(Blocks(said)))
    for _ in range(AT_FIRST):
        ours.ask()
    assert not ours.caller.has_room(b"")
    ours.hear(frames.settings({Setting.MAX_CONCURRENT_STREAMS: AT_FIRST + 1}))
    last = ours.ask()
    assert not ours.caller.has_room(b"")
    ours.hear(answer(last))
    assert ours.caller.has_room(b"")
    ours.hear(frames.settings({Setting.INITIAL_WINDOW_SIZE: 10}))
    assert ours.caller.has_room(b"12345")
    assert not ours.caller.has_room(b"123456")


def test_the_window_of_the_connection_is_kept_and_given() -> None:
    ours = called()
    asked = 0
    while ours.caller.has_room(b"x" * 8_000):
        ours.ask(b"x" * 8_000)
        asked += 8_005
    assert WINDOW - 8_005 < asked <= WINDOW
    ours.hear(frames.window(0, 8_005))
    assert ours.caller.has_room(b"x" * 8_000)


def test_as_much_comes_back_as_there_are_answers() -> None:
    ours, given_back = called(), 0
    for _ in range(50):
        out = ours.hear(answer(ours.ask(), b"x" * 10_000))
        given_back += sum(
            int.from_bytes(each.payload, "big") for each in out if each.kind == frames.WINDOW_UPDATE
        )
    assert 50 * 10_005 - WINDOW < given_back <= 50 * 10_005


def test_an_answer_to_what_nobody_waits_for_changes_nothing() -> None:
    ours = called()
    first, second = ours.ask(), ours.ask()
    [reset] = http2.framed(ours.caller.dropped(first))
    assert (reset.kind, reset.stream) == (RST_STREAM, first)
    assert ours.caller.dropped(first) == b""
    ours.hear(answer(first), answer(second))
    assert ours.replies == [b"hi"]


def test_a_goodbye_lets_answers_come_and_says_what_was_not_looked_at() -> None:
    ours = called()
    first = ours.ask()
    ours.ask()
    ours.hear(frames.goaway(first, Code.NO_ERROR))
    assert ours.caller.is_left
    assert not ours.caller.has_room(b"")
    ours.hear(answer(first))
    assert ours.replies == [None, b"hi"]
    assert ours.caller.is_idle


def test_a_refused_stream_was_not_looked_at() -> None:
    ours = called()
    ours.hear(frames.reset(ours.ask(), Code.REFUSED_STREAM))
    assert ours.replies == [None]


def test_a_connection_ends_with_its_numbers() -> None:
    ours = called(first=LAST - 2)
    ours.ask()
    assert not ours.caller.is_left
    assert ours.ask() == LAST
    assert ours.caller.is_left


@given(st.lists(st.binary(max_size=60)), st.binary(max_size=9))
def test_noise_tells_each_call_at_most_once(pieces: list[bytes], tail: bytes) -> None:
    ours = called()
    for _ in range(3):
        ours.ask()
    try:
        for each in pieces:
            kind, flags = (each[0] % 11, each[1]) if len(each) > 1 else (DATA, 0)
            ours.caller.received(frame(kind, flags, len(each) % 7, each[2:]))
        ours.caller.received(tail)
    except BrokenError:
        pass
    ours.caller.lost("gone")
    assert len(ours.replies) == 3
    assert all(reply is None or isinstance(reply, Failed) for reply in ours.replies)


def test_a_goodbye_that_says_nothing_lets_nothing_go_on() -> None:
    ours = called()
    ours.ask()
    ours.hear(frame(GOAWAY, 0, 0))
    assert ours.replies == [None]
