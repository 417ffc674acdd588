"""Answers exactly as unmodified vLLM and SGLang send them, and what a caller can make them say."""

import json
from collections.abc import Mapping

import pytest

from midstage.contracts.requests import Outcome

from .conftest import Edge, request
from .replica import Answering, Asked, Behaviour, Replica

pytestmark = pytest.mark.platform

USAGE = {
    "prompt_tokens": 7,
    "total_tokens": 12,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 3},
}
TOKENS = {"requests": 1, "input_tokens": 7, "output_tokens": 5, "cached_input_tokens": 3}
CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
CHUNK = {**CHAT, "object": "chat.completion.chunk"}
PROMPT = [{"1": {"logprob": -0.5, "rank": 1, "decoded_token": '"usage": {}'}}] * 3_000


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def delta(index: int = 0, usage: object = None, **said: object) -> bytes:
    choice = {"index": index, "delta": said, "logprobs": None, "finish_reason": None}
    return b"data: " + compact({**CHUNK, "choices": [choice], "usage": usage}) + b"\n\n"


LAST = b"data: " + compact({**CHUNK, "choices": [], "usage": USAGE}) + b"\n\n"
DONE = b"data: [DONE]\n\n"
TOOL = [{"index": 0, "id": "call-1", "type": "function"}]


def tool(**function: str) -> bytes:
    return delta(tool_calls=[{**TOOL[0], "function": function}])


def streamed(*pieces: bytes) -> Behaviour:
    def behave(asked: Asked, answering: Answering) -> None:
        answering.head(content_type="text/event-stream; charset=utf-8", transfer_encoding="chunked")
        for piece in pieces:
            answering.chunk(piece)
        answering.end()

    return behave


def pieces(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def plainly(body: bytes, size: int = 0) -> Behaviour:
    def behave(asked: Asked, answering: Answering) -> None:
        answering.head(content_type="application/json", transfer_encoding="chunked")
        for piece in pieces(body, size or len(body)):
            answering.chunk(piece)
        answering.end()

    return behave


@pytest.mark.parametrize(
    ("name", "body", "units"),
    [
        # vLLM's members after the usage: a caller asks for them, and they may be of any length
        ("prompt-logprobs", {**CHAT, "usage": USAGE, "prompt_logprobs": PROMPT}, TOKENS),
        ("token-ids", {**CHAT, "usage": USAGE, "prompt_token_ids": [128_000] * 9_000}, TOKENS),
        ("sglang", {**CHAT, "usage": USAGE, "metadata": {"weight_version": "1"}}, TOKENS),
        (
            "embeddings",
            {
                "object": "list",
                "data": [{"embedding": [-0.25] * 4_000}],
                "usage": {"prompt_tokens": 7, "total_tokens": 7, "completion_tokens": 0},
            },
            {"requests": 1, "input_tokens": 7, "output_tokens": 0},
        ),
        (
            "rerank",
            {"usage": {"prompt_tokens": 7, "total_tokens": 7}, "results": [{"index": 0}] * 2_000},
            {"requests": 1, "input_tokens": 7},
        ),
        (
            "responses",
            {
                "output": [{"type": "message", "content": [{"text": "hi"}]}],
                "usage": {
                    "input_tokens": 7,
                    "input_tokens_details": {"cached_tokens": 3},
                    "output_tokens": 5,
                },
            },
            TOKENS,
        ),
    ],
)
def test_the_usage_is_found_wherever_a_server_puts_it(
    edge: Edge, replica: Replica, name: str, body: object, units: Mapping[str, int]
) -> None:
    replica.on(f"/v1/{name}", plainly(compact(body)))

    edge.get(f"/chat/v1/{name}", name)

    data = edge.event(name).data
    assert (data.usage, data.estimated, data.labels) == (units, False, {})


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_plain_answer_in_any_pieces_gives_the_same(
    edge: Edge, replica: Replica, size: int
) -> None:
    fake = '\\" } ] "usage": {"prompt_tokens": 0} \\\\ é'
    body = {fake: fake, "choices": [{"text": fake, "usage": {}}], "usage": USAGE, "kind": ["usage"]}
    whole = json.dumps(body, ensure_ascii=False, indent=1).encode()
    replica.on("/v1/any", plainly(whole, size))

    assert edge.get("/chat/v1/any", f"any-{size}").content == whole
    assert edge.event(f"any-{size}").data.usage == TOKENS


WORDS = (delta(role="assistant", content=""), delta(content="a"), delta(content="b"))
STREAMS = {
    "include-usage": (*WORDS, LAST, DONE),
    "continuous": (*(delta(content="a", usage={**USAGE, "completion_tokens": 1}),) * 2, LAST, DONE),
    "without-done": (*WORDS, LAST),
    "pings": (b": ping\n\n", WORDS[1], b": ping - 2026\r\n\r\n", LAST, b": ping\n\n", DONE),
    "named": (b"event: message\nid: 1\nretry: 5\n", WORDS[1], LAST, DONE),
    "no-blank": (WORDS[1], LAST.replace(b"data: ", b"data:"), DONE),
    "usage-first": (WORDS[1], b'data: {"usage" : %s ,"choices":[]}\n\n' % compact(USAGE), DONE),
    "long": (b'data: {"usage":%s,"x":"%s"}\n\n' % (compact(USAGE), b"y" * 50_000), DONE),
    "longer": (b'data: {"x":"%s","usage":%s}\n\n' % (b"\\" * 50_000, compact(USAGE)), DONE),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [0, 7])
def test_a_stream_s_usage_is_found_as_it_is_written(
    edge: Edge, replica: Replica, name: str, size: int
) -> None:
    whole = STREAMS[name]
    replica.on(f"/v1/{name}", streamed(*(pieces(b"".join(whole), size) if size else whole)))

    edge.get(f"/chat/v1/{name}", f"{name}-{size}")

    data = edge.event(f"{name}-{size}").data
    assert (data.usage, data.estimated, data.labels) == (TOKENS, False, {})


ESTIMATES = {
    "content": (WORDS, 2),
    "reasoning-content": ((delta(reasoning_content="hm"), delta(content=None)), 1),
    "reasoning": ((delta(reasoning="hm"), delta(reasoning=""), delta(content="a")), 2),
    "tools": ((tool(name="f", arguments=""), tool(arguments='{"x"'), tool(arguments=":1}")), 2),
    "choices": ((delta(0, content="a"), delta(1, content="a"), delta(2, content="")), 2),
    "completions": ((b'data: {"choices":[{"text":"a"}]}\n\n', b'data: {"choices":[]}\n\n'), 1),
    "fails": ((delta(content="a"), b'data: {"error":{"message":"x","code":500}}\n\n', DONE), 1),
}


@pytest.mark.parametrize("name", ESTIMATES)
def test_a_stream_without_usage_counts_what_carried_content(
    edge: Edge, replica: Replica, name: str
) -> None:
    events, output = ESTIMATES[name]
    replica.on(f"/v1/{name}", streamed(*events))

    edge.get(f"/chat/v1/{name}", name)

    data = edge.event(name).data
    assert (data.usage, data.estimated) == ({"requests": 1, "output_tokens": output}, True)


def test_who_leaves_several_choices_pays_for_all_of_them(edge: Edge, replica: Replica) -> None:
    """With ``continuous_usage_stats`` vLLM states one choice's tokens, not those of all."""
    one = {"prompt_tokens": 7, "completion_tokens": 2}

    def endless(asked: Asked, answering: Answering) -> None:
        words = [delta(at % 4, usage=one, content="a") for at in range(8)]
        streamed_part = b"".join([*words, delta(content="the end of what came")])
        answering.head(content_type="text/event-stream", transfer_encoding="chunked")
        answering.chunk(streamed_part)
        answering.gone()

    replica.on("/v1/choices-left", endless)
    caller = edge.raw(request("/chat/v1/choices-left", "choices-left"))
    heard = b""
    while b"the end" not in heard:
        heard += caller.recv(10_000)
    caller.close()

    data = edge.event("choices-left").data
    assert (data.outcome, data.estimated) == (Outcome.CANCELLED, True)
    assert data.usage == {"requests": 1, "input_tokens": 7, "output_tokens": 9}


def test_who_leaves_before_the_last_byte_pays_for_what_was_stated(
    edge: Edge, replica: Replica
) -> None:
    body = compact({**CHAT, "usage": USAGE, "prompt_logprobs": PROMPT})

    def halting(asked: Asked, answering: Answering) -> None:
        answering.head(content_type="application/json", content_length=str(len(body)))
        answering.send(body[:-1])
        answering.gone()

    replica.on("/v1/halting-plain", halting)
    caller = edge.raw(request("/chat/v1/halting-plain", "halting-plain"))
    heard = 0
    while heard < len(body):  # the head is there too
        heard += len(caller.recv(100_000))
    caller.close()

    data = edge.event("halting-plain").data
    assert (data.outcome, data.usage, data.estimated) == (Outcome.CANCELLED, TOKENS, True)
