"""OpenAI's wire form of chat completions: what comes in, what goes out, how errors look.

A token is a word. One SSE event carries one token; the first names the role, the last the finish
reason, as in vLLM. ``usage`` is null until the event before ``[DONE]``, whose choices are empty:
always sent, as vLLM does with ``--enable-force-include-usage``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

CONTEXT_TOKENS = 32_768
"""Prompt and answer together; more is refused with 400, as by a model with such a window."""
BODY_BYTES = 1024 * 1024
DEFAULT_MAX_TOKENS = 128
DONE = b"data: [DONE]\n\n"

Positive = Annotated[int, msgspec.Meta(ge=1)]


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """One piece of a message; the stand-in reads text only."""

    text: str


class ChatMessage(msgspec.Struct, frozen=True):
    """One message of the prompt."""

    role: str
    content: str | list[TextPart]


class ChatRequest(msgspec.Struct, frozen=True):
    """The fields that the stand-in honours; all others are ignored."""

    model: str
    messages: Annotated[list[ChatMessage], msgspec.Meta(min_length=1)]
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One generation as it was asked for; ``prompt_tokens`` were counted."""

    model: str
    prompt_tokens: int
    max_tokens: int
    stream: bool


class WireError(Exception):
    """An answer in OpenAI's error form: ``status``, ``kind`` (its ``type``) and ``code``."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        kind: str = "invalid_request_error",
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what the caller is told."""
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body = msgspec.json.encode(
            {"error": {"message": message, "type": kind, "param": None, "code": code}}
        )


def asked(body: bytes) -> Asked:
    """The generation that ``body`` asks for; WireError 400 with the reason where it can't be."""
    try:
        chat = msgspec.json.decode(body, type=ChatRequest)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise WireError(f"the request can't be read: {e}", status=400) from e
    prompt_tokens = sum(_words(message) for message in chat.messages)
    max_tokens = chat.max_completion_tokens or chat.max_tokens or DEFAULT_MAX_TOKENS
    if prompt_tokens + max_tokens > CONTEXT_TOKENS:
        raise WireError(
            f"this model's context is {CONTEXT_TOKENS} tokens, but {prompt_tokens} in the messages "
            f"and {max_tokens} in the completion were asked for; reduce one of them",
            status=400,
            code="context_length_exceeded",
        )
    return Asked(
        model=chat.model, prompt_tokens=prompt_tokens, max_tokens=max_tokens, stream=chat.stream
    )


def answer(ask: Asked, *, name: str, created: int, words: Sequence[str]) -> bytes:
    """The plain answer: all words as one message, and the usage."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": " ".join(words)},
        "logprobs": None,
        "finish_reason": "length",
    }
    return msgspec.json.encode(
        {
            "id": name,
            "object": "chat.completion",
            "created": created,
            "model": ask.model,
            "choices": [choice],
            "usage": usage(ask, len(words)),
        }
    )


class Stream:
    """The events of one streamed answer, cheap to make: only the word changes between tokens."""

    def __init__(self, ask: Asked, *, name: str, created: int) -> None:
        """Encode once what all events of this answer share."""
        self._ask = ask
        fields = {
            "id": name,
            "object": "chat.completion.chunk",
            "created": created,
            "model": ask.model,
        }
        self._head = b"data: " + msgspec.json.encode(fields)[:-1]

    def tokens(self, words: Sequence[str], *, first: int) -> bytes:
        """One event for each of ``words``, of which the first is token number ``first``."""
        return b"".join(self._token(word, at) for at, word in enumerate(words, first))

    def end(self) -> bytes:
        """The usage, with empty choices, and the end of the stream."""
        sums = msgspec.json.encode(usage(self._ask, self._ask.max_tokens))
        return self._head + b',"choices":[],"usage":' + sums + b"}\n\n" + DONE

    def _token(self, word: str, at: int) -> bytes:
        role = b'"role":"assistant",' if at == 1 else b""
        finish = b'"length"' if at == self._ask.max_tokens else b"null"
        space = b" " if at < self._ask.max_tokens else b""
        return b"".join(
            (
                self._head,
                b',"choices":[{"index":0,"delta":{',
                role,
                b'"content":"',
                word.encode(),  # words of the vocabulary need no escapes
                space,
                b'"},"logprobs":null,"finish_reason":',
                finish,
                b'}],"usage":null}\n\n',
            )
        )


def usage(ask: Asked, completion_tokens: int) -> dict[str, int]:
    """What this generation used, in OpenAI's names."""
    return {
        "prompt_tokens": ask.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": ask.prompt_tokens + completion_tokens,
    }


def _words(message: ChatMessage) -> int:
    if isinstance(message.content, str):
        return len(message.content.split())
    return sum(len(part.text.split()) for part in message.content)
