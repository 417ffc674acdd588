"""Answers go out as far as the caller's windows let them, and no further; none is lost by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.throttle.adapters.http2 import frames
from midstage.throttle.adapters.http2.frames import (
    DATA,
    HEADERS,
    RST_STREAM,
    BrokenError,
    Code,
    Setting,
    frame,
    window,
)

from .http2 import Caller, Frame, begun


def size_of(found: list[Frame]) -> int:
    return sum(len(each.payload) for each in found if each.kind == DATA)


def given_initial(peer: Caller, initial: int) -> list[Frame]:
    return peer.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: initial}))


def test_a_stream_without_a_window_waits_until_it_has_one() -> None:
    peer = begun(initial=0)
    found = peer.send(peer.request(b"hello"))
    assert [each.kind for each in found] == [HEADERS]
    assert not peer.connection.is_idle
    found += peer.send(window(1, 3))
    assert size_of(found) == 3
    found += peer.send(window(1, 100))
    assert peer.told(found) == (b"hello", "0", "")
    assert peer.connection.is_idle


def test_a_window_may_be_given_before_there_is_an_answer() -> None:
    peer = begun(initial=0)
    peer.send(peer.opening() + window(1, 100))
    assert peer.told(peer.send(peer.data(b"\x00\x00\x00\x00\x01x", end=True)))[0] == b"x"


def test_the_connections_window_holds_for_all() -> None:
    peer = begun(initial=1_000_000)
    found: list[Frame] = []
    asked = 0
    while size_of(found) == asked:
        found += peer.send(peer.request(b"x" * 8_000))
        asked += 8_005
    assert size_of(found) == 65_535
    behind = peer.send(peer.request(b"y"))
    assert size_of(behind) == 0  # the first first
    found += behind + peer.send(window(0, 1_000_000))
    assert peer.told(found, stream=peer.last - 2) == (b"x" * 8_000, "0", "")
    assert peer.told(found) == (b"y", "0", "")


def test_what_is_reset_does_not_wait_any_longer() -> None:
    peer = begun(initial=0)
    peer.send(peer.request(b"one"))
    peer.send(peer.request(b"two"))
    assert peer.send(frames.reset(1, Code.CANCEL)) == []
    found = given_initial(peer, 100)
    assert {each.stream for each in found if each.kind == DATA} == {3}
    assert peer.connection.is_idle


def test_a_window_may_be_taken_back() -> None:
    """RFC 9113, 6.9.2: it may even be less than nothing."""
    peer = begun(initial=4)
    found = peer.send(peer.request(b"hello"))
    assert size_of(found) == 4
    given_initial(peer, 1)  # three less than nothing
    assert size_of(peer.send(window(1, 3))) == 0
    assert size_of(peer.send(window(1, 2))) == 2


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=8),
    st.integers(0, 50),
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 300)), max_size=40),
)
def test_never_more_than_was_given_and_in_the_end_everything(
    sizes: list[int], initial: int, windows: list[tuple[int, int]]
) -> None:
    peer = begun(initial=initial)
    found: list[Frame] = []
    room: dict[int, int] = {0: 65_535}
    for size in sizes:
        found += peer.send(peer.request(b"x" * size))
        room[peer.last] = initial
    for number, more in windows:
        stream = 2 * number - 1 if number else 0
        if stream in room:
            room[stream] += more
            found += peer.send(window(stream, more))
            for each, most in room.items():
                went = size_of([one for one in found if each in (0, one.stream)])
                assert went <= most
    found += given_initial(peer, 1_000)
    assert peer.connection.is_idle
    for number, size in enumerate(sizes):
        assert peer.told(found, stream=2 * number + 1) == (b"x" * size, "0", "")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (window(0, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
        (window(0, 0), Code.PROTOCOL_ERROR),
        (window(99, 1), Code.PROTOCOL_ERROR),
        (window(3, 2**31 - 1) + window(3, 1), Code.FLOW_CONTROL_ERROR),
        (frame(frames.WINDOW_UPDATE, 0, 0, b"123"), Code.FRAME_SIZE_ERROR),
        (frame(frames.SETTINGS, 0, 0, b"\x00\x04\xff\xff\xff\xff"), Code.FLOW_CONTROL_ERROR),
    ],
)
def test_windows_that_can_not_be_end_the_connection(said: bytes, code: Code) -> None:
    peer = begun(initial=0)
    peer.send(peer.request(b"waits") + peer.opening())
    with pytest.raises(BrokenError) as broken:
        peer.send(said)
    assert broken.value.code == code


def test_who_does_not_read_is_given_up_after_two_sweeps() -> None:
    peer = begun(initial=0)
    peer.send(peer.request(b"waits") + peer.opening())
    assert peer.connection.swept() == b""
    peer.send(peer.opening())
    resets = peer.connection.swept()
    assert resets == frames.reset(1, Code.CANCEL) + frames.reset(3, Code.CANCEL)
    assert resets[3] == RST_STREAM
    assert peer.connection.swept() == frames.reset(5, Code.CANCEL)
    assert peer.connection.is_idle
