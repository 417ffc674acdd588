from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from midstage.local.replay.sse import Events, Usage, usage_in
from midstage.local.replica.wire import Asked, Stream


def streamed(tokens: int) -> bytes:
    ask = Asked(model="m", prompt_tokens=9, max_tokens=tokens, stream=True)
    stream = Stream(ask, name="chatcmpl-1", created=1)
    return stream.tokens(["word"] * tokens, first=1) + stream.end()


def chunks(whole: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({min(cut, len(whole)) for cut in cuts}), len(whole)]
    return [whole[a:b] for a, b in pairwise(places)]


def read(parts: list[bytes]) -> Events:
    events = Events()
    for part in parts:
        events.feed(part)
    return events


@given(st.integers(1, 60), st.lists(st.integers(0, 20_000), max_size=200))
def test_however_a_stream_is_cut_its_tokens_and_usage_are_the_same(
    tokens: int, cuts: list[int]
) -> None:
    events = read(chunks(streamed(tokens), cuts))
    assert events.tokens() == tokens
    assert events.usage() == Usage(prompt_tokens=9, completion_tokens=tokens)
    assert events.ended()


def test_byte_by_byte_is_the_same_too() -> None:
    whole = streamed(7)
    events = read([whole[at : at + 1] for at in range(len(whole))])
    assert (events.tokens(), events.ended()) == (7, True)


@given(st.integers(1, 60), st.integers(0, 20_000), st.lists(st.integers(0, 20_000), max_size=50))
def test_of_a_stream_that_breaks_off_the_begun_events_count(
    tokens: int, end: int, cuts: list[int]
) -> None:
    whole = streamed(tokens)
    part = whole[: min(end, len(whole) - len(b"\n\ndata: [DONE]\n\n") - 1)]
    events = read(chunks(part, cuts))
    assert not events.ended()
    assert events.tokens() == part.count(b"data:") - (events.usage() is not None)


def test_crlf_comments_and_one_line_gaps_are_no_tokens() -> None:
    stream = b': hello\r\n\r\ndata: {"usage":null}\r\n\r\n: ping\r\ndata: [DONE]\r\n\r\n'
    events = read([stream])
    assert (events.tokens(), events.usage(), events.ended()) == (1, None, True)


def test_a_plain_answer_without_a_readable_usage_has_none() -> None:
    assert usage_in(b'{"usage":{"prompt_tokens":1,"completion_tokens":2,"x":3}}') == Usage(1, 2)
    assert usage_in(b'{"usage":null}') is None
    assert usage_in(b"<html>") is None
