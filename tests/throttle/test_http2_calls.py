"""Unary gRPC over HTTP/2: what is asked, in whatever pieces, and what is answered."""

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.throttle.adapters.http2 import frames
from midstage.throttle.adapters.http2.connection import MOST_MESSAGE, MOST_STREAMS
from midstage.throttle.adapters.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    BrokenError,
    Code,
    Setting,
    frame,
)
from midstage.throttle.model.later import Later

from .http2 import ECHO, LOUD, Caller, begun, blocks, caller, framed, message, said, texts


def test_both_say_their_settings_and_acknowledge() -> None:
    found = caller().begin()
    assert [(each.kind, each.flags) for each in found] == [(SETTINGS, 0), (SETTINGS, ACK)]
    assert dict(frames.settings_of(found[0].payload)) == {
        Setting.HEADER_TABLE_SIZE: 0,
        Setting.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
        Setting.MAX_HEADER_LIST_SIZE: 8192,
    }


def test_a_call_is_answered() -> None:
    peer = begun()
    found = peer.send(peer.request(b"hello"))
    assert [each.kind for each in found] == [HEADERS, DATA, HEADERS]
    assert peer.told(found) == (b"hello", "0", "")
    assert peer.told(peer.send(peer.request(b"hello", said(LOUD)))) == (b"HELLO", "0", "")
    assert peer.connection.is_idle


@given(st.lists(st.integers(0, 700), max_size=12), st.booleans())
def test_pieces_of_any_size_are_the_same_as_the_whole(cuts: list[int], acknowledges: bool) -> None:
    def spoken(peer: Caller) -> bytes:
        ack = frame(SETTINGS, ACK, 0) if acknowledges else b""
        if acknowledges:
            peer.encoder.header_table_size = 0
        calls = [peer.request(text, said(ECHO, ("n", "1"))) for text in (b"a", b"", b"c" * 300)]
        return b"".join([PREFACE, frames.settings({}), ack, *calls])

    whole, pieces = caller(), caller()
    data = spoken(whole)
    assert spoken(pieces) == data
    at, out = 0, b""
    for cut in sorted(cut for cut in cuts if cut < len(data)):
        out += pieces.connection.received(data[at:cut])
        at = cut
    out += pieces.connection.received(data[at:])
    assert out == whole.connection.received(data)
    assert whole.told(framed(out)) == (b"c" * 300, "0", "")


def test_headers_may_come_in_parts_padded_and_with_a_priority() -> None:
    peer = begun()
    block = peer.encoder.encode(said())
    first = bytes([3]) + b"\x00\x00\x00\x00\x10" + block[:10] + b"\x00" * 3
    data = bytes([2]) + message(b"x") + b"\x00\x00"
    found = peer.send(
        frame(HEADERS, PADDED | WITH_PRIORITY, 1, first)
        + frame(CONTINUATION, 0, 1, block[10:12])
        + frame(CONTINUATION, END_HEADERS, 1, block[12:])
        + frame(DATA, PADDED | END_STREAM, 1, data)
    )
    assert peer.told(found, stream=1) == (b"x", "0", "")


def test_a_message_may_come_in_parts_and_its_padding_gives_room_again() -> None:
    peer = begun()
    found = peer.send(
        peer.opening()
        + peer.data(message(b"hello")[:3], end=False)
        + frame(DATA, PADDED, peer.last, bytes([9]) + message(b"hello")[3:8] + b"\x00" * 9)
    )
    [more] = [each for each in found if each.kind == WINDOW_UPDATE]
    assert (more.stream, more.payload) == (1, (10).to_bytes(4, "big"))
    assert not peer.connection.is_idle
    assert peer.told(peer.send(peer.data(message(b"hello")[8:], end=True)))[0] == b"hello"


def test_a_call_may_end_with_trailers_or_with_an_empty_frame() -> None:
    peer = begun()
    peer.send(peer.opening() + peer.data(message(b"one"), end=False))
    trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, peer.encoder.encode([("x", "y")]))
    assert peer.told(peer.send(trailers))[0] == b"one"
    peer.send(peer.opening() + peer.data(message(b"two"), end=False))
    assert peer.told(peer.send(peer.data(b"", end=True)))[0] == b"two"


@pytest.mark.parametrize(
    ("headers", "body", "status", "words"),
    [
        (said("/no.Such/Call"), message(b"x"), "12", "unknown method /no.Such/Call"),
        (said(), b"", "13", "a call has one message"),
        (said(), message(b"x") + message(b"y"), "13", "a call has one message"),
        (said(), b"\x01" + message(b"x")[1:], "12", "compressed messages are not read"),
        (said(), message(b"refuse"), "3", "100 %25 wrong"),
        (said(ECHO, ("grpc-timeout", "soon")), message(b"x"), "13", "malformed grpc-timeout"),
        ([*said()[:4], ("content-type", "text/html")], message(b"x"), "13", None),
        ([(":method", "GET"), *said()[1:]], message(b"x"), "13", "a call is a POST"),
    ],
)
def test_what_can_not_be_served_has_a_status_and_words(
    headers: list[tuple[str, str]], body: bytes, status: str, words: str | None
) -> None:
    peer = begun()
    found = peer.send(peer.opening(headers) + peer.data(body, end=True))
    told = peer.told(found)
    assert told[:2] == (b"", status)
    assert words in (None, told[2])
    assert peer.told(peer.send(peer.request(b"fine"))) == (b"fine", "0", "")


def test_headers_that_end_the_call_leave_no_message() -> None:
    peer = begun()
    assert peer.told(peer.send(peer.opening(flags=END_STREAM)))[1] == "13"


@pytest.mark.parametrize(
    ("said_so", "seconds"),
    [("2S", 2.0), ("500m", 0.5), ("300000u", 0.3), ("1M", 60.0), ("1H", 3600)],
)
def test_a_deadline_counts_from_when_the_call_came(said_so: str, seconds: float) -> None:
    peer = caller(waited_s=lambda: 0.1)
    peer.begin()
    found = peer.send(peer.request(b"t", said(ECHO, ("grpc-timeout", said_so))))
    assert peer.told(found)[0] == f"t {seconds - 0.1:.1f}".encode()


def test_a_table_of_headers_is_known_until_the_caller_gives_it_up() -> None:
    """A caller that has not heard of our settings refers to what it said before."""
    peer = caller()
    peer.begin(acknowledge=False)
    sizes = []
    for _ in range(3):
        request = peer.request(b"a", said(ECHO, ("x-long", "v" * 60)))
        sizes.append(len(request))
        assert peer.told(peer.send(request))[0] == b"a"
    assert sizes[1] == sizes[2] < sizes[0]  # it was a reference
    peer.encoder.header_table_size = 0
    peer.send(frame(SETTINGS, ACK, 0))
    for _ in range(3):
        request = peer.request(b"b", said(ECHO, ("x-long", "v" * 60)))
        assert peer.told(peer.send(request))[0] == b"b"
    assert len(request) > sizes[1]


def test_what_one_caller_said_is_not_taken_for_what_another_says() -> None:
    """The same bytes mean something else where a table lies before them: none is remembered."""
    known = blocks()
    speaking, other = caller(known=known), caller(known=known)
    speaking.begin(acknowledge=False)
    other.begin(acknowledge=False)
    speaking.send(speaking.request(b"x", said(ECHO)))
    other.send(other.request(b"x", said(LOUD)))
    one = speaking.encoder.encode(said(ECHO))
    assert one == other.encoder.encode(said(LOUD))  # both refer to their tables
    for peer, wanted in ((speaking, b"y"), (other, b"Y"), (speaking, b"y")):
        peer.last += 2
        asked = frame(HEADERS, END_HEADERS, peer.last, one) + peer.data(message(b"y"), end=True)
        assert peer.told(peer.send(asked))[0] == wanted


def test_a_table_that_was_given_up_may_come_back_until_our_settings_are_known() -> None:
    """What refers to it is remembered for nobody: without that table it is no request."""
    known = blocks()
    fickle, other = caller(known=known), caller(known=known)
    fickle.begin(acknowledge=False)
    for size in (0, 4096):
        fickle.encoder.header_table_size = size
        assert fickle.told(fickle.send(fickle.request(b"x", said(LOUD))))[0] == b"X"
    reference = fickle.encoder.encode(said(LOUD))
    fickle.last += 2
    asked = frame(HEADERS, END_HEADERS, fickle.last, reference)
    assert fickle.told(fickle.send(asked + fickle.data(message(b"y"), end=True)))[0] == b"Y"
    other.begin()
    other.send(other.request(b"x"))
    with pytest.raises(BrokenError) as broken:
        other.send(frame(HEADERS, END_HEADERS, 3, reference))
    assert broken.value.code is Code.COMPRESSION_ERROR


def test_a_block_is_remembered_for_all_callers_without_tables() -> None:
    known = blocks()
    for _ in range(2):
        peer = caller(known=known)
        peer.begin()
        for _ in range(3):
            assert peer.told(peer.send(peer.request(b"x", said(LOUD))))[0] == b"X"
    peer = caller(known=known)
    peer.begin()
    for number in range(3_000):  # more than is remembered
        headers = said(ECHO, ("n", str(number)))
        assert peer.told(peer.send(peer.request(b"x", headers)))[0] == b"x"


def test_a_ping_is_answered() -> None:
    found = begun().send(frame(PING, 0, 0, b"12345678"))
    assert [(each.kind, each.flags, each.payload) for each in found] == [(PING, ACK, b"12345678")]
    assert begun().send(frame(PING, ACK, 0, b"12345678")) == []


def test_what_is_not_known_is_passed_over() -> None:
    peer = begun()
    unknown = frame(0x42, 0xFF, 77, b"?")
    goaway = frames.goaway(0, Code.NO_ERROR)
    priority = frame(frames.PRIORITY, 0, 99, b"\x00" * 5)
    found = peer.send(unknown + goaway + priority + peer.request(b"still"))
    assert peer.told(found)[0] == b"still"


def test_a_message_longer_than_is_looked_at_is_refused_by_its_first_bytes() -> None:
    peer = begun()
    announced = b"\x00" + (MOST_MESSAGE + 1).to_bytes(4, "big")
    found = peer.send(peer.opening() + peer.data(announced + b"...", end=False))
    assert [each.kind for each in found] == [HEADERS, RST_STREAM]
    assert peer.told(found[:1])[1] == "8"
    assert peer.connection.is_idle
    assert peer.send(peer.data(b"more", end=False)) == []  # it was under way
    largest = b"x" * MOST_MESSAGE
    found = peer.send(peer.opening() + _cut(peer, message(largest)))
    assert peer.told(found)[0] == largest


def _cut(peer: Caller, data: bytes) -> bytes:
    half = len(data) // 2
    return peer.data(data[:half], end=False) + peer.data(data[half:], end=True)


def test_data_makes_room_for_more_as_it_comes() -> None:
    peer = begun()
    given, sent = 65_535, 0
    for _ in range(200):
        request = peer.request(b"x" * 5_000)
        sent += 5_005
        for each in peer.send(request):
            if each.kind == WINDOW_UPDATE and each.stream == 0:
                given += int.from_bytes(each.payload, "big")
        assert given > sent
    assert given - sent <= 65_535


def test_words_are_percent_encoded() -> None:
    peer = begun()
    found = peer.send(peer.request(b"x", said("/no/\u00e4\n")))
    told = texts(hpack.Decoder(), found[-1].payload)
    assert told["grpc-message"].startswith("unknown method /no/%")


def test_an_answer_that_comes_later_goes_out_when_it_is_told() -> None:
    later: list[Later[bytes]] = []

    def answer(_message: bytes, _remaining_s: float | None) -> Later[bytes]:
        later.append(Later())
        return later[-1]

    found = begun(answer)
    assert found.send(found.request(b"first") + found.request(b"second")) == []
    assert not found.connection.is_idle
    later[1].told(b"two")
    assert found.told(framed(found.later.pop()))[0] == b"two"
    found.send(frame(RST_STREAM, 0, found.last - 2, bytes(4)))
    later[0].told(b"one")
    assert found.later == [], "its caller does not wait any more"
    assert found.connection.is_idle
