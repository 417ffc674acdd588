"""What breaks the rules of HTTP/2 ends its connection with a reason, and harms nobody else."""

import contextlib
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from midstage.throttle.adapters.http2 import frames
from midstage.throttle.adapters.http2.connection import (
    MOST_HELD,
    MOST_MESSAGE,
    MOST_STREAMS,
    PATIENCE,
)
from midstage.throttle.adapters.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    MOST_FRAME,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WITH_PRIORITY,
    BrokenError,
    Code,
    frame,
)

from .http2 import ECHO, Caller, Headers, begun, caller, message, said

PROTOCOL, SIZE = Code.PROTOCOL_ERROR, Code.FRAME_SIZE_ERROR


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\n", PROTOCOL),
        (PREFACE + frame(PING, 0, 0, b"12345678"), PROTOCOL),
        (PREFACE + frame(SETTINGS, ACK, 0), PROTOCOL),
        (PREFACE + frame(SETTINGS, 0, 1), PROTOCOL),
        (PREFACE + frame(SETTINGS, 0, 0, b"12345"), SIZE),
        (PREFACE + frame(SETTINGS, 0, 0, b"\x00\x02\x00\x00\x00\x02"), PROTOCOL),
        (PREFACE + frame(SETTINGS, 0, 0, b"\x00\x05\x00\x00\x00\x02"), PROTOCOL),
    ],
)
def test_a_connection_that_begins_wrongly_is_not_one(data: bytes, code: Code) -> None:
    with pytest.raises(BrokenError) as broken:
        caller().send(data)
    assert broken.value.code == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(SETTINGS, ACK, 0, b"123456"), SIZE),
        (frame(PING, 0, 1, b"12345678"), PROTOCOL),
        (frame(PING, 0, 0, b"1234567"), SIZE),
        (frame(PUSH_PROMISE, 0, 1, b""), PROTOCOL),
        (frame(CONTINUATION, 0, 1, b""), PROTOCOL),
        (frame(GOAWAY, 0, 1, b"\x00" * 8), PROTOCOL),
        (frame(PRIORITY, 0, 1, b"1234"), SIZE),
        (frame(PRIORITY, 0, 0, b"12345"), SIZE),
        (frame(RST_STREAM, 0, 0, b"\x00" * 4), PROTOCOL),
        (frame(RST_STREAM, 0, 9, b"\x00" * 4), PROTOCOL),
        (frame(RST_STREAM, 0, 1, b"\x00" * 3), SIZE),
        (frame(DATA, 0, 0, b""), PROTOCOL),
        (frame(DATA, 0, 9, b""), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 0, b""), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 2, b""), PROTOCOL),
        (frame(HEADERS, END_HEADERS | PADDED, 9, b""), SIZE),
        (frame(HEADERS, END_HEADERS | PADDED, 9, b"\x09abc"), PROTOCOL),
        (frame(HEADERS, END_HEADERS | WITH_PRIORITY, 9, b"1234"), SIZE),
        (frame(HEADERS, END_HEADERS | WITH_PRIORITY, 9, b"\x00\x00\x00\x09\x00"), PROTOCOL),
        (frame(HEADERS, 0, 9, b"") + frame(PING, 0, 0, b"12345678"), PROTOCOL),
        (frame(HEADERS, 0, 9, b"") + frame(CONTINUATION, 0, 11, b""), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 9, b"\xff\xff\xff\xff\xff"), Code.COMPRESSION_ERROR),
        (frame(HEADERS, END_HEADERS, 9, b"\xbe"), Code.COMPRESSION_ERROR),
        (b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", SIZE),
    ],
)
def test_a_frame_that_may_not_be_ends_the_connection(data: bytes, code: Code) -> None:
    peer = begun()
    peer.send(peer.request(b"fine"))
    with pytest.raises(BrokenError) as broken:
        peer.send(data)
    assert broken.value.code == code
    last = frames.goaway(1, code, str(broken.value)) if data[3:4] != b"\x01" else None
    assert last in (None, peer.connection.goodbye(code, str(broken.value)))


@pytest.mark.parametrize(
    "headers",
    [
        said()[1:],
        [*said(), (":path", "/twice")],
        [*said(), ("connection", "close")],
        [*said()[:5], ("te", "gzip")],
        [*said(), ("", "x")],
        [(":status", "200"), *said()],
        [*said()[:2], (":path", ""), *said()[3:]],
        [("x-Upper", "x")],
    ],
)
def test_headers_that_are_no_request_end_their_call_alone(headers: Headers) -> None:
    peer = begun()
    found = peer.send(peer.opening(headers))
    assert [(each.kind, each.payload) for each in found] == [
        (RST_STREAM, PROTOCOL.to_bytes(4, "big"))
    ]
    assert peer.told(peer.send(peer.request(b"fine")))[0] == b"fine"


def test_headers_within_a_call_that_do_not_end_it_break_the_connection() -> None:
    peer = begun()
    peer.send(peer.opening())
    with pytest.raises(BrokenError):
        peer.send(frame(HEADERS, END_HEADERS, 1, peer.encoder.encode([("x", "y")])))


def test_a_stream_that_is_over_is_not_begun_again() -> None:
    peer = begun()
    peer.send(peer.request(b"fine"))
    found = peer.send(frame(HEADERS, END_HEADERS, 1, peer.encoder.encode(said())))
    assert found[0].payload == Code.STREAM_CLOSED.to_bytes(4, "big")


def test_more_calls_than_may_be_open_are_refused_and_may_come_again() -> None:
    peer = begun()
    for _ in range(MOST_STREAMS):
        assert peer.send(peer.opening()) == []
    [refused] = peer.send(peer.opening())
    assert refused.payload == Code.REFUSED_STREAM.to_bytes(4, "big")
    first = peer.send(peer.data(message(b"x"), end=True, stream=1))
    assert peer.told(first, stream=1)[0] == b"x"
    assert peer.told(peer.send(peer.request(b"now")))[0] == b"now"


def test_more_than_a_message_announces_is_not_kept_either() -> None:
    peer = begun()
    peer.send(peer.opening() + peer.data(message(b"five!"), end=False))
    found = peer.send(peer.data(b"x" * MOST_MESSAGE, end=False))
    assert peer.told([each for each in found if each.kind == HEADERS])[1] == "8"
    assert peer.connection.is_idle
    assert peer.told(peer.send(peer.request(b"fine")))[0] == b"fine"


def test_so_much_may_be_half_said() -> None:
    peer = begun()
    part = message(b"x" * MOST_MESSAGE)[:-1]
    refused = []
    for _ in range(MOST_HELD // len(part) + 1):
        refused = peer.send(peer.opening() + peer.data(part, end=False))
    assert peer.told([each for each in refused if each.kind == HEADERS])[1] == "8"
    first = peer.send(peer.data(b"x", end=True, stream=1))
    assert peer.told(first, stream=1)[0] == b"x" * MOST_MESSAGE


@pytest.mark.parametrize(
    "pointless",
    [
        frame(PING, 0, 0, b"12345678"),
        frame(PRIORITY, 0, 1, b"12345"),
        frame(SETTINGS, 0, 0),
        frame(0x99, 0, 0),
        frame(DATA, 0, 1),
    ],
)
def test_frames_that_ask_for_nothing_are_borne_so_long(pointless: bytes) -> None:
    peer = begun()
    peer.send(peer.opening())
    peer.send(pointless * (PATIENCE // 2))
    with pytest.raises(BrokenError) as broken:
        peer.send(pointless * (PATIENCE // 2 + 1))
    assert broken.value.code is Code.ENHANCE_YOUR_CALM


def test_calls_that_are_reset_as_soon_as_they_begin_are_borne_so_long() -> None:
    """CVE-2023-44487."""
    peer = begun()
    calls = [peer.opening() + frames.reset(peer.last, Code.CANCEL) for _ in range(PATIENCE + 1)]
    with pytest.raises(BrokenError) as broken:
        peer.send(b"".join(calls))
    assert broken.value.code is Code.ENHANCE_YOUR_CALM


def test_who_calls_may_ping_as_well_for_ever() -> None:
    peer = begun()
    for _ in range(PATIENCE // 2):
        peer.send(frame(PING, 0, 0, b"12345678") * 4 + peer.request(b"x"))


def test_headers_without_end_are_not_kept() -> None:
    """CVE-2024-27316."""
    peer = begun()
    peer.send(frame(HEADERS, 0, 1, b""))
    with pytest.raises(BrokenError) as broken:
        peer.send(frame(CONTINUATION, 0, 1, b"x" * 1_000) * 20)
    assert broken.value.code is Code.ENHANCE_YOUR_CALM


def test_a_small_block_that_is_a_large_list_is_not_made_one() -> None:
    peer = begun()
    with pytest.raises(BrokenError) as broken:
        peer.send(peer.opening(said(ECHO, ("x", "y" * 9_000))))
    assert broken.value.code is Code.ENHANCE_YOUR_CALM


@given(st.binary(max_size=200))
def test_noise_is_told_as_an_error_or_waited_on(noise: bytes) -> None:
    peer = begun()
    with contextlib.suppress(BrokenError):  # nothing else may be raised
        peer.send(noise)


@given(st.data())
def test_a_call_with_one_byte_changed_is_answered_or_an_error(data: st.DataObject) -> None:
    peer = begun()
    whole = bytearray(peer.request(b"hello") + peer.request(b"world"))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BrokenError):
        peer.connection.received(bytes(whole))


Heads = tuple[tuple[int, int, int], ...]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), st.integers(0, 12)), max_size=3).map(
        tuple
    ),
    st.sampled_from([0, MOST_STREAMS - 1, MOST_STREAMS]),
)
@example(((2, 8, 1), (3, 8, 1)), 0)  # a stream that was answered before the two
@example(((2, 8, 4), (3, 8, 4)), 0)
@example(((3, 8, 5),), 0)
@example(((1, 4, END_STREAM | PADDED),), 0)
@example(((0, 4, END_HEADERS | PADDED),), 0)
@example(((0, 4, 0),), 0)
@example(((1, 3, HEADERS),), 0)
@example(((3, 0, 1),), 0)
@example(((3, 1, 64), (3, 2, 1)), 0)
def test_calls_that_come_whole_are_answered_as_those_that_come_in_bytes(
    changes: Heads, half_said: int
) -> None:
    """What is changed: of which frame of two calls, which byte of its head, to what."""

    def spoken(peer: Caller) -> bytes:
        known = said(ECHO, ("n", "1"))
        _made_known(peer, known)
        for _ in range(half_said):
            peer.send(peer.opening(known))
        parts = [
            bytearray(part)
            for text in (b"hello", b"world")
            for part in (peer.opening(known), peer.data(message(text), end=True))
        ]
        for number, at, byte in changes:
            parts[number][at] = byte
        return b"".join(parts)

    whole, pieces = begun(), begun()
    data = spoken(whole)
    assert spoken(pieces) == data
    assert _heard(whole, [data]) == _heard(pieces, [data[n : n + 1] for n in range(len(data))])


def test_a_call_whose_headers_are_known_does_not_come_between_the_parts_of_a_block() -> None:
    peer = begun()
    known = said(ECHO, ("n", "1"))
    _made_known(peer, known)
    with pytest.raises(BrokenError) as broken:
        peer.send(frame(HEADERS, 0, 5, b"") + peer.request(b"hello", known))
    assert broken.value.code is PROTOCOL


def test_a_call_that_comes_whole_has_no_larger_frames_than_others() -> None:
    peer = begun()
    known = said(ECHO, ("n", "1"))
    _made_known(peer, known)
    with pytest.raises(BrokenError) as broken:
        peer.send(peer.opening(known) + peer.data(message(b"x" * MOST_FRAME), end=True))
    assert broken.value.code is SIZE


def _made_known(peer: Caller, headers: Headers) -> None:
    """The first block also says that there is no table, so it is another one."""
    for _ in range(2):
        peer.send(peer.request(b"known from here on", headers))


def _heard(peer: Caller, parts: Iterable[bytes]) -> bytes:
    out = b""
    try:
        for part in parts:
            out += peer.connection.received(part)
    except BrokenError as e:
        return peer.connection.goodbye(e.code, str(e))
    return out


def test_end_stream_flags_are_looked_at_on_data_only_where_they_are() -> None:
    peer = begun()
    peer.send(peer.opening())
    assert peer.send(peer.data(message(b"x"), end=False)) == []
    assert peer.told(peer.send(frame(DATA, END_STREAM, 1)))[0] == b"x"


def test_who_asks_for_no_table_reads_first_that_there_is_none() -> None:
    """As HPACK wants it (RFC 7541, 4.2); nghttp2 and Envoy refuse an answer that does not."""
    peer = begun()
    peer.decoder.max_allowed_table_size = 0
    for _ in range(2):
        assert peer.told(peer.send(peer.request(b"hi"))) == (b"hi", "0", "")
