"""Request bodies of any length for almost nothing: slices of one buffer of words.

All words have the same length, so N words from any word on are one slice. The JSON needs no
escapes, so a body is a few joined bytes; its prompt has exactly the words that were asked for.
"""

import random
from typing import Final

import msgspec

_WORDS: Final = (
    "able back call dark east fair gold half idea jump keep land made name once part quiz read "
    "side tree used very wind year zero"
)
_WIDTH = 5
_STEP = 7919
"""A prime: successive prompts begin at words far from each other."""


class Prompts:
    """Bodies for one replay; two prompts of one length are rarely the same text."""

    def __init__(self, *, longest: int, model: str = "replica", seed: int = 0) -> None:
        """Prepare for prompts of up to ``longest`` words."""
        draw = random.Random(seed)
        self._starts = 4096
        words = draw.choices(_WORDS.split(" "), k=longest + self._starts)
        self._buffer = " ".join(words).encode() + b" "
        self._head = b'{"model":' + msgspec.json.encode(model)
        self._at = 0

    def body(self, *, words: int, max_tokens: int, streamed: bool) -> bytes:
        """A chat completion request whose one message has ``words`` words."""
        self._at = (self._at + _STEP) % self._starts
        begin = self._at * _WIDTH
        stream = b',"stream":true,"stream_options":{"include_usage":true}' if streamed else b""
        return b"".join(
            (
                self._head,
                b',"max_tokens":',
                str(max_tokens).encode(),
                stream,
                b',"messages":[{"role":"user","content":"',
                self._buffer[begin : begin + words * _WIDTH - 1],
                b'"}]}',
            )
        )
