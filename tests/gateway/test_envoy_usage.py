"""Units as a real Envoy reads them while answers stream by: from honest, odd, hostile replicas."""

import gzip
import json
import threading
import time
from collections.abc import Mapping
from itertools import count

import httpx
import pytest

from midstage.contracts.requests import Outcome
from midstage.testkit.waiting import within
from tests import patient

from .conftest import ACME, DEADLINE_S, Edge, request
from .replica import Answering, Asked, Behaviour, Replica

pytestmark = pytest.mark.platform

USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 3},
}
TOKENS = {"requests": 1, "input_tokens": 7, "output_tokens": 5, "cached_input_tokens": 3}


def word(text: str, **more: object) -> bytes:
    return json.dumps({"choices": [{"delta": {"content": text}}], **more}).encode()


ROLE = json.dumps({"choices": [{"delta": {"role": "assistant", "content": ""}}]}).encode()
LAST = json.dumps({"choices": [], "usage": USAGE}).encode()
DONE = b"[DONE]"


def plainly(body: object, **headers: str) -> Behaviour:
    return lambda asked, answering: answering.plain(json.dumps(body).encode(), **headers)


def streamed(*events: bytes) -> Behaviour:
    def behave(asked: Asked, answering: Answering) -> None:
        answering.events(*events)
        answering.end()

    return behave


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("plain", {"choices": [{"message": {"content": "hi"}}], "usage": USAGE}),
        ("usage-first", {"usage": USAGE, "choices": [{"message": {"content": "hi"}}]}),
        (
            "text-says-usage",
            {"choices": [{"text": 'x"usage": {"prompt_tokens": 0}'}], "usage": USAGE},
        ),
        (
            "text-after",
            {"usage": USAGE, "choices": [{"text": '\\"usage\\": {"prompt_tokens": 0}\\'}]},
        ),
        (
            "key-deeper",
            {"usage": USAGE, "choices": [{"arguments": {"usage": {"prompt_tokens": 0}}}]},
        ),
        ("usage-as-text", {"choices": ["usage"], "usage": USAGE, "kind": "usage"}),
        ("braces", {"choices": ['}{]["\\'], "usage": USAGE, "x": ["{{", {"y": "}}"}]}),
    ],
)
def test_a_plain_answer_s_usage_is_counted(
    edge: Edge, replica: Replica, name: str, body: Mapping[str, object]
) -> None:
    replica.on(f"/v1/{name}", plainly(body))

    assert edge.get(f"/chat/v1/{name}", name).json() == body

    data = edge.event(name).data
    assert (data.usage, data.estimated, data.labels) == (TOKENS, False, {})


def test_the_usage_behind_a_long_text_is_found(edge: Edge, replica: Replica) -> None:
    text = 'all sorts of \\ "text" {' * 40_000
    replica.on("/v1/long", plainly({"choices": [text], "usage": USAGE}))

    assert len(edge.get("/chat/v1/long", "long").content) > 500_000
    assert edge.event("long").data.usage == TOKENS


def test_a_usage_before_a_long_text_is_found(edge: Edge, replica: Replica) -> None:
    fake = '"usage": {"prompt_tokens": 0}, ' * 1000
    replica.on("/v1/early", plainly({"usage": USAGE, "choices": [fake]}))

    edge.get("/chat/v1/early", "early")

    assert edge.event("early").data.usage == TOKENS


@pytest.mark.parametrize(
    "body", [b"[1, 2]", b'"usage": {}', b"{", b"}" * 9000, b"", b'{"usage": null}']
)
def test_odd_bodies_break_nothing(edge: Edge, replica: Replica, body: bytes) -> None:
    ref = f"odd {len(body)} {body[:5]!r}"
    replica.on("/v1/odd", lambda asked, answering: answering.plain(body))

    assert edge.get("/chat/v1/odd", ref).content == body
    assert edge.event(ref).data.usage == {"requests": 1}


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": 1e300},
        {"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 8}},
        {"prompt_tokens": "7"},
        {"total_tokens": 12},
        {"prompt_tokens": 7, "padding": "x" * 5000},
    ],
)
def test_a_usage_that_can_t_be_believed_gives_a_label(
    edge: Edge, replica: Replica, usage: Mapping[str, object]
) -> None:
    ref = f"belief {json.dumps(usage)[:60]}"
    replica.on("/v1/belief", plainly({"usage": usage}))

    edge.get("/chat/v1/belief", ref)

    data = edge.event(ref).data
    assert data.usage == {"requests": 1}
    assert data.labels["usage_unreadable"]


def test_bytes_that_are_no_utf8_break_nothing(edge: Edge, replica: Replica) -> None:
    body = b'{"choices": ["\xff\xfe"], "usage": {"prompt_tokens": 7, "x": "\xff\x00"}}'
    replica.on("/v1/bytes", lambda asked, answering: answering.plain(body))

    assert edge.get("/chat/v1/bytes", "bytes").content == body
    assert edge.event("bytes").data.outcome is Outcome.OK


def test_a_compressed_answer_is_passed_on_and_said_to_be_unread(
    edge: Edge, replica: Replica
) -> None:
    body = gzip.compress(json.dumps({"usage": USAGE}).encode())
    replica.on("/v1/gzip", lambda asked, answering: answering.plain(body, content_encoding="gzip"))

    assert edge.get("/chat/v1/gzip", "gzip").json() == {"usage": USAGE}

    data = edge.event("gzip").data
    assert (data.usage, "compressed" in data.labels["usage_unreadable"]) == ({"requests": 1}, True)


def test_a_stream_s_last_usage_is_counted(edge: Edge, replica: Replica) -> None:
    earlier = word("a", usage=None), word("b", usage=None)
    replica.on("/v1/stream", streamed(ROLE, *earlier, LAST, DONE))

    answer = edge.get("/chat/v1/stream", "stream")

    data = edge.event("stream").data
    assert answer.text.count("data: ") == 5
    assert (data.usage, data.estimated) == (TOKENS, False)


def test_a_stream_in_any_pieces_gives_the_same(edge: Edge, replica: Replica) -> None:
    whole = b"".join(b"data: " + event + b"\r\n\r\n" for event in (ROLE, word("a"), LAST, DONE))

    def bytewise(asked: Asked, answering: Answering) -> None:
        answering.head(content_type="text/event-stream; charset=utf-8", transfer_encoding="chunked")
        for place in range(len(whole)):
            answering.chunk(whole[place : place + 1])
        answering.end()

    replica.on("/v1/pieces", bytewise)

    assert edge.get("/chat/v1/pieces", "pieces").content == whole
    assert edge.event("pieces").data.usage == TOKENS


def test_a_stream_without_usage_is_estimated_by_its_events(edge: Edge, replica: Replica) -> None:
    huge = word("c" * 100_000)
    replica.on("/v1/unsaid", streamed(ROLE, word("a"), word("b"), huge, b'{"choices": []}', DONE))

    edge.get("/chat/v1/unsaid", "unsaid")

    data = edge.event("unsaid").data
    assert (data.usage, data.estimated) == ({"requests": 1, "output_tokens": 3}, True)


def test_a_stream_is_not_held_back(edge: Edge, replica: Replica) -> None:
    seen = threading.Event()

    def behave(asked: Asked, answering: Answering) -> None:
        answering.events(word("a"))
        assert seen.wait(60)
        answering.chunk(b"data: " + LAST + b"\n\n")
        answering.end()

    replica.on("/v1/flow", behave)

    with patient.stream(
        "GET", edge.url("/chat/v1/flow"), headers={**ACME, "x-midstage-ref": "flow"}
    ) as answer:
        pieces = answer.iter_bytes()
        assert b'"a"' in next(pieces)
        seen.set()
        assert b"usage" in b"".join(pieces)
    assert edge.event("flow").data.usage == TOKENS


def test_time_to_first_token_is_that_of_the_first_content(edge: Edge, replica: Replica) -> None:
    heard = threading.Event()

    def slowly(asked: Asked, answering: Answering) -> None:
        answering.events(ROLE)
        time.sleep(0.2)  # the prompt is read: the time that is measured
        answering.chunk(b"data: " + word("a") + b"\n\n")
        assert heard.wait(60)  # Envoy has passed it on, however busy the machine is
        time.sleep(0.2)  # the rest of the answer
        answering.chunk(b"data: " + LAST + b"\n\n")
        answering.end()

    replica.on("/v1/slow", slowly)

    headers = {**ACME, "x-midstage-ref": "slow"}
    with patient.stream("GET", edge.url("/chat/v1/slow"), headers=headers) as answer:
        for piece in answer.iter_bytes():
            if b'"a"' in piece:
                heard.set()

    data = edge.event("slow").data
    assert data.ttft_ms is not None
    assert 200 <= data.ttft_ms <= data.duration_ms - 200


def test_a_trailer_wins_over_header_and_body(edge: Edge, replica: Replica) -> None:
    def behave(asked: Asked, answering: Answering) -> None:
        answering.head(
            content_type="application/json",
            transfer_encoding="chunked",
            x_midstage_usage='{"images": 1}',
            trailer="x-midstage-usage",
        )
        answering.chunk(json.dumps({"usage": USAGE}).encode())
        answering.end(x_midstage_usage='{"audio_seconds": 1.25}')

    replica.on("/v1/trailer", behave)

    edge.get("/chat/v1/trailer", "trailer")

    assert edge.event("trailer").data.usage == {"requests": 1, "audio_seconds": 1.25}


def test_a_header_wins_over_the_body(edge: Edge, replica: Replica) -> None:
    header = '{"images": 3, "requests": 99}'
    replica.on("/v1/header", plainly({"usage": USAGE}, x_midstage_usage=header))

    edge.get("/chat/v1/header", "header")

    assert edge.event("header").data.usage == {"images": 3, "requests": 1}


@pytest.mark.parametrize(
    "said", ["nonsense", "[]", '{"images": "1"}', '{"images": -1}', '{"x": 1e-9}', '{"": 1}']
)
def test_a_header_that_can_t_be_believed_gives_a_label(
    edge: Edge, replica: Replica, said: str
) -> None:
    replica.on("/v1/said", plainly({"usage": USAGE}, x_midstage_usage=said))

    edge.get("/chat/v1/said", f"said {said}")

    data = edge.event(f"said {said}").data
    assert data.usage == {"requests": 1}
    assert data.labels["usage_unreadable"]


def test_what_was_delivered_is_counted_when_the_caller_leaves(edge: Edge, replica: Replica) -> None:
    def endless(asked: Asked, answering: Answering) -> None:
        answering.events(ROLE, word("a"), word("b"), word("c"))
        answering.gone()

    replica.on("/v1/endless", endless)

    caller = edge.raw(request("/chat/v1/endless", "left"))
    heard = b""
    while b'"c"' not in heard:
        heard += caller.recv(10_000)
    caller.close()

    data = edge.event("left").data
    assert (data.status, data.outcome) == (200, Outcome.CANCELLED)
    assert (data.usage, data.estimated) == ({"requests": 1, "output_tokens": 3}, True)
    assert data.ttft_ms is not None


def test_nothing_is_counted_when_the_caller_leaves_before_anything_came(
    edge: Edge, replica: Replica
) -> None:
    arrived = threading.Event()

    def silent(asked: Asked, answering: Answering) -> None:
        arrived.set()
        answering.gone()

    replica.on("/v1/silent", silent)

    caller = edge.raw(request("/chat/v1/silent", "early leaver"))
    assert arrived.wait(60)
    caller.close()

    data = edge.event("early leaver").data
    assert (data.status, data.outcome) == (0, Outcome.CANCELLED)
    assert (data.usage, data.estimated, data.bytes_out) == ({}, False, 0)


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_a_replica_that_dies_in_a_stream_is_an_error_to_both(
    edge: Edge, replica: Replica, how: str
) -> None:
    heard = threading.Event()

    def dying(asked: Asked, answering: Answering) -> None:
        answering.events(word("a"), word("b"))
        assert heard.wait(60)  # else the reset overtakes the data in the kernel
        if how == "reset":
            answering.die()
        else:
            answering.close()

    replica.on(f"/v1/{how}", dying)

    headers = {**ACME, "x-midstage-ref": how}
    with patient.stream("GET", edge.url(f"/chat/v1/{how}"), headers=headers) as answer:
        pieces = answer.iter_bytes()
        whole = b""
        while b'"b"' not in whole:
            whole += next(pieces)
        heard.set()
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)

    data = edge.event(how).data
    assert (data.status, data.outcome) == (200, Outcome.ERROR)
    assert (data.usage, data.estimated) == ({"output_tokens": 2}, True)


def test_a_replica_that_dies_before_it_answers_is_asked_once(edge: Edge, replica: Replica) -> None:
    replica.on("/v1/dies", lambda asked, answering: answering.die())

    answer = edge.get("/chat/v1/dies", "dies")

    data = edge.event("dies").data
    assert (answer.status_code, data.status, data.outcome) == (503, 503, Outcome.ERROR)
    assert len([asked for asked in replica.asked if asked.path == "/v1/dies"]) == 1


def test_an_answer_that_takes_too_long_is_an_error(edge: Edge, replica: Replica) -> None:
    def waits(asked: Asked, answering: Answering) -> None:
        answering.gone()

    replica.on("/v1/never", waits)

    answer = edge.get("/brief/v1/never", "never")

    data = edge.event("never").data
    assert (answer.status_code, data.status, data.outcome) == (504, 504, Outcome.ERROR)


def test_a_stream_that_takes_too_long_breaks_off(edge: Edge, replica: Replica) -> None:
    """On a busy machine even its beginning may take too long: then it is asked for again."""

    def halting(asked: Asked, answering: Answering) -> None:
        answering.events(word("a"))
        answering.gone()

    replica.on("/v1/halting", halting)

    refs = (f"halting-{number}" for number in count())

    def broke_off() -> str:
        ref = next(refs)
        try:
            assert edge.get("/brief/v1/halting", ref).status_code == 504
        except httpx.RemoteProtocolError:
            return ref
        return ""

    data = edge.event(within(DEADLINE_S, broke_off)).data
    assert (data.status, data.outcome) == (200, Outcome.ERROR)
    assert (data.usage, data.estimated) == ({"output_tokens": 1}, True)


def test_an_application_without_replicas_says_so(edge: Edge) -> None:
    answer = edge.get("/empty/v1/x", "empty")

    data = edge.event("empty").data
    assert (answer.status_code, data.app, data.outcome) == (503, "empty", Outcome.ERROR)
